"""Runs a script of the seed as a turn does, with the in-memory twins behind ``ctx``."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from shared import seed
from workers.sandbox.language import CallFailed, Outcome, compile_script, run_script
from workers.sandbox.plugins.buffer import Variables
from workers.sandbox.plugins.context import PluginContext
from workers.sandbox.plugins.errors import CallError
from workers.sandbox.plugins.registry import plugin_registry
from workers.sandbox.plugins.testing import InMemoryMessages, ScriptedGenerator, in_memory_context

MODULES = {module["name"]: module for module in seed.modules()}


async def run(script: str, context: PluginContext) -> Outcome:
    """What ``script`` leaves; its calls go over JSON, as between processes."""
    loop = asyncio.get_running_loop()

    def call(name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        answer = plugin_registry().call(context, name, *json.loads(json.dumps([args, kwargs])))
        try:
            return json.loads(json.dumps(asyncio.run_coroutine_threadsafe(answer, loop).result()))
        except CallError as error:
            raise CallFailed(error.type, error.message, error.code or "") from None

    return await asyncio.to_thread(
        run_script,
        compile_script(script).code,
        call=call,
        functions=plugin_registry().names(),
        attributes={},
        output_limit=256 * 1024,
    )


class SeededModule:
    """A module of the seed in one conversation; its variables go from turn to turn.

    Attributes:
        variables: as the last run left them.
        logged: the lines it logged.
    """

    def __init__(
        self, name: str, messages: InMemoryMessages, *, ai: ScriptedGenerator | None = None, **fields: Any
    ) -> None:
        self._name = name
        self._messages = messages
        self._ai = ai
        self._fields = fields
        self.variables: dict[str, Any] = {}
        self.logged: list[Any] = []

    async def run(self) -> dict[str, Any]:
        """Run it once, as a turn would; its variables afterwards."""
        context = in_memory_context(
            module_name=self._name,
            messages=self._messages,
            ai=self._ai,
            variables=Variables(self.variables),
            log=self.logged,
            **self._fields,
        )
        outcome = await run(MODULES[self._name]["script"], context)
        assert outcome.error is None, outcome.error
        assert outcome.printed == ""
        self.variables = self.variables | context.variables.changes() | outcome.variables  # type: ignore[attr-defined]
        return self.variables
