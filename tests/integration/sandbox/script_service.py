"""Scripts through real processes, as a worker runs them, with a host that knows secrets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from workers.sandbox.limits import KIB, MIB, ScriptLimits
from workers.sandbox.plugins.errors import CallError
from workers.sandbox.process.processes import ScriptProcesses
from workers.sandbox.process.request import ScriptRequest
from workers.sandbox.result import ScriptExecutionResult

#: In the environment and in the memory of the process that runs the tests, which stands for the worker.
SECRET = "sk-Wt7" + "Zr3Qe9-never-to-be-seen"
SECRET_NAME = "PARLEY_TEST_PROVIDER_KEY"

#: Small, so that a bomb costs the suite little.
LIMITS = ScriptLimits(
    cpu=0.4, between_calls=3.0, total=8.0, memory=48 * MIB, output=64 * KIB, calls=50, payload=64 * KIB
)

ATTRIBUTES: dict[str, Any] = {
    "conversation_id": "c-1",
    "persona_id": "p-1",
    "module_name": "mood",
    "stage": 1,
    "stage_name": "before",
    "last_user_message": "hello there",
    "ai_response": None,
    "trigger_data": {"keyword": "hello"},
}
FUNCTIONS = (
    "generate",
    "reflect",
    "get_variable",
    "set_variable",
    "get_persona_info",
    "get_recent_messages",
    "get_message_count",
    "run_module",
    "recall",
    "remember",
    "log",
)


class ScriptService:
    """Runs scripts one after the other on a loop of its own."""

    def __init__(self, limits: ScriptLimits = LIMITS) -> None:
        self._runner = asyncio.Runner()
        self._processes = ScriptProcesses(limits, processes=4, reserved=3, pool=2)
        self._processes.start()
        self.stored: dict[str, Any] = {}

    def close(self) -> None:
        """End the processes and the loop."""
        self._processes.close()
        self._runner.close()

    def run(self, source: str) -> ScriptExecutionResult:
        """Run a script with the functions and values above."""
        request = ScriptRequest(source=source, attributes=ATTRIBUTES, functions=FUNCTIONS)
        return self._runner.run(self._processes.run(request, self._serve))

    async def _serve(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        first = args[0] if args else None
        match name:
            case "generate" if first == "fail":
                raise CallError("GenerationError", "provider_timeout: nobody answered", "provider_timeout")
            case "generate" | "reflect":
                return f"{name}: {first}"
            case "set_variable" | "remember":
                self.stored[str(first)] = args[1]
                return None
            case "get_variable" | "recall":
                return self.stored.get(str(first), kwargs.get("default"))
            case "get_persona_info":
                return {"name": "Ava", "mode": "reactive", "tags": ["calm"]}
            case "get_recent_messages":
                return "[10:00] User: hello\n[10:01] Assistant: hi"
            case "get_message_count":
                return 42
        return None


@contextmanager
def script_service(limits: ScriptLimits = LIMITS) -> Iterator[ScriptService]:
    """A service, closed at the end."""
    service = ScriptService(limits)
    try:
        yield service
    finally:
        service.close()


def shown(result: ScriptExecutionResult) -> str:
    """Everything of a result that anybody could see."""
    return repr((result.variables, result.printed, result.error))
