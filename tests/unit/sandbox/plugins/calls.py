"""Calls as a script makes them."""

from __future__ import annotations

from typing import Any

from workers.sandbox.plugins.context import PluginContext
from workers.sandbox.plugins.registry import plugin_registry


async def call(context: PluginContext, name: str, /, *args: Any, **kwargs: Any) -> Any:
    """What ``ctx.name(*args, **kwargs)`` gives."""
    return await plugin_registry().call(context, name, list(args), kwargs)
