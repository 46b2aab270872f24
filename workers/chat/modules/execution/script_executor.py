"""Script modules: one run, and the one rule for what goes wrong in it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import orjson

from shared.schemas.text import storable_json
from workers.chat.modules.module import Module
from workers.chat.modules.runner import ScriptInputs, ScriptRunner
from workers.chat.modules.warning import ModuleWarning, WarningType
from workers.sandbox.result import ErrorKind, ScriptError, ScriptExecutionResult

log = logging.getLogger(__name__)


#: Levels of lists and objects that a variable may have.
MAX_LEVELS = 64
#: Bytes of JSON that all variables of a module may have: they are read and written whole.
MAX_STATE = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Execution:
    """A run, and the warning that it leaves; ``None`` when it was good."""

    result: ScriptExecutionResult
    warning: ModuleWarning | None = None


class ScriptModuleExecutor:
    """Runs the scripts of modules.

    Args:
        runner: what runs them.
    """

    def __init__(self, runner: ScriptRunner) -> None:
        self._runner = runner

    async def execute(self, module: Module, inputs: ScriptInputs) -> Execution:
        """Run a module's script.

        Whatever goes wrong is a result that did not succeed and a warning: an error of the script in its own
        words, a fault of the service in words that tell nothing of its insides. Only cancellation passes.
        """
        if not (module.script or "").strip():
            return Execution(ScriptExecutionResult(success=True, variables={}))
        try:
            result = await self._runner.run(module, inputs)
        except Exception:
            log.exception("The service failed at running module %s", module.name)
            message = "the service failed at running the script; its log has the reason"
            failed = ScriptError(ErrorKind.BROKEN, "ServiceError", message)
            return Execution(
                ScriptExecutionResult(success=False, variables={}, error=failed),
                self._warning(module, inputs.stage, WarningType.PROCESSING_ERROR, failed),
            )
        result = replace(result, printed=_legible(result.printed))
        if result.success:
            reason = _unstorable(result.variables) or _too_much({**inputs.own, **result.variables})
            if reason is None:
                return Execution(result)
            error = ScriptError(ErrorKind.RUNTIME, "ValueError", reason)
            result = replace(result, success=False, error=error)
        error = result.error or ScriptError(ErrorKind.BROKEN, "UnknownError", "the script gave no reason")
        error = replace(error, type=_legible(error.type), message=_legible(error.message))
        result = replace(result, variables={}, error=error)
        return Execution(result, self._warning(module, inputs.stage, WarningType.EXECUTION_ERROR, error))

    @staticmethod
    def _warning(module: Module, stage: int, kind: WarningType, error: ScriptError) -> ModuleWarning:
        where = "" if error.line is None else f" in line {error.line}"
        message = f"{module.name} did not succeed{where}: {error.type}: {error.message}"
        return ModuleWarning(module.name, kind, message, stage)


def _legible(text: str) -> str:
    """``text`` without what a trace or a log cannot keep."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _too_much(variables: dict[str, Any]) -> str | None:
    """Why a module cannot keep these variables; ``None`` when it can."""
    size = len(orjson.dumps(variables))
    if size <= MAX_STATE:
        return None
    return (
        f"the module's variables, older ones included, would have {size} bytes together, and {MAX_STATE} are "
        "the most; make some shorter, or set them to None"
    )


def _unstorable(variables: dict[str, Any]) -> str | None:
    """Why the variables can be neither kept nor sent to a model; ``None`` when they can."""
    level: list[Any] = [variables]
    for _ in range(MAX_LEVELS + 1):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            break
    else:
        return f"a variable has more than {MAX_LEVELS} lists or dicts in one another"
    try:
        storable_json(variables)
    except ValueError as error:
        return f"a variable {error}"
    return None
