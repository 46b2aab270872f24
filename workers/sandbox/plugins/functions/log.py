"""Lines that a script leaves in the turn's trace and in the worker's log."""

from __future__ import annotations

from typing import Any

from workers.sandbox.plugins.context import PluginContext
from workers.sandbox.plugins.functions.text import beginning
from workers.sandbox.plugins.ports import LogEntry, LogLevel
from workers.sandbox.plugins.registry import plugin_function

#: Characters of a line.
MAX_LINE = 2000


@plugin_function(category="log")
def log(context: PluginContext, message: Any, level: LogLevel = "info") -> None:
    """Leave a line; what is no string is written as JSON, and what is longer than 2,000 characters is cut."""
    text = beginning("log", message, MAX_LINE)
    if len(text) > MAX_LINE:
        text = text[: MAX_LINE - 1] + "…"
    context.log(LogEntry(level=level, message=text, module_name=context.module_name, at=context.now()))
