"""A runner without processes, for tests of whatever runs modules: its scripts are Python functions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from workers.chat.modules.module import Module
from workers.chat.modules.runner import ScriptInputs
from workers.sandbox.result import ErrorKind, ScriptError, ScriptExecutionResult

#: A script: what it returns is what it publishes and sets.
Script = Callable[[ScriptInputs], Awaitable[Mapping[str, Any]]]


class InMemoryScriptRunner:
    """Runs the function that stands for a module's script; a module without one publishes nothing.

    An exception of the function is a script that failed, as it is with the real runner.

    Args:
        scripts: by the module's name.

    Attributes:
        started: names of the modules whose scripts began, in order.
        finished: those that came to an end, in order.
        cancelled: those that were cancelled.
        inputs: what each was given, by name; of the last run.
    """

    def __init__(self, scripts: Mapping[str, Script] | None = None) -> None:
        self.scripts = dict(scripts or {})
        self.started: list[str] = []
        self.finished: list[str] = []
        self.cancelled: list[str] = []
        self.inputs: dict[str, ScriptInputs] = {}

    async def run(self, module: Module, inputs: ScriptInputs) -> ScriptExecutionResult:
        """Run the function of a module."""
        self.started.append(module.name)
        self.inputs[module.name] = inputs
        script = self.scripts.get(module.name)
        try:
            variables = {} if script is None else dict(await script(inputs))
        except asyncio.CancelledError:
            self.cancelled.append(module.name)
            raise
        except Exception as error:
            failed = ScriptError(ErrorKind.RUNTIME, type(error).__name__, str(error), line=1)
            return ScriptExecutionResult(success=False, variables={}, error=failed)
        self.finished.append(module.name)
        return ScriptExecutionResult(success=True, variables=variables)
