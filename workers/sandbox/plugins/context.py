"""What one run of a module stands in: the ports of its turn, and who it is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from shared.schemas.controls import ChatControls
from workers.sandbox.plugins.errors import CallError, generation_error
from workers.sandbox.plugins.ports import (
    Generator,
    InfoReader,
    LogEntry,
    MemoryScope,
    MessageReader,
    ModuleRunner,
    ScriptLog,
    VariableScope,
)

#: A run this deep (a module that a module ran that …) may not reflect any more.
MAX_REFLECTION_DEPTH = 3
#: Entries that the audit trail of reflections keeps.
AUDIT_ENTRIES = 10
#: Model calls that the scripts of one turn may make together.
MAX_MODEL_CALLS = 50


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _nowhere(entry: LogEntry) -> None:
    del entry


@dataclass(slots=True)
class ModelCalls:
    """The model calls that the scripts of one turn made: counted, limited, and the last reflections kept.

    Attributes:
        trail: ``{module_name, stage, depth, role, instructions, at, outcome}``, oldest first.
    """

    limit: int = MAX_MODEL_CALLS
    made: int = 0
    trail: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=AUDIT_ENTRIES))

    def take(self, function: str) -> None:
        """Count one call.

        Raises:
            CallError: ``GenerationError``, when the turn's calls are used up.
        """
        if self.made >= self.limit:
            raise generation_error(
                "model_calls_exceeded",
                f"{function}(): the scripts of a turn may make {self.limit} model calls, and made them; "
                "keep results in variables and generate anew only when something changed",
            )
        self.made += 1


@dataclass(slots=True, kw_only=True)
class PluginContext:
    """The world of one run. Made for each run; a module that is run by a script has its own.

    Attributes:
        conversation_id: ``None`` where there is none (a dry run, a call without a stored conversation).
        stage: 1, 2, 4 or 5.
        prompts: the prompt after each stage so far, by stage.
        visible_prompt: the system prompt that ``reflect`` works under in this stage; ``None``: it cannot.
        reply: the answer, in stages 4 and 5.
        ai: ``None``: model calls are off (a dry run).
        session_controls: the turn's chat controls; explicit arguments of a script go before them.
        reflection_depth: how many modules stand above this one through ``run_module``.
        calls: shared by all runs of a turn.
        payload: bytes that the answer to one call may have; a script may catch the refusal of more.
        clock: the time, aware.
    """

    module_name: str
    module_id: str | None = None
    stage: int = 1
    conversation_id: str | None = None
    persona_id: str | None = None
    messages: MessageReader
    info: InfoReader
    variables: VariableScope
    memories: MemoryScope
    ai: Generator | None = None
    session_controls: ChatControls = field(default_factory=ChatControls)
    run_module: ModuleRunner | None = None
    log: ScriptLog = _nowhere
    prompts: Mapping[int, str] = field(default_factory=dict)
    visible_prompt: str | None = None
    reply: str | None = None
    reflection_depth: int = 0
    calls: ModelCalls = field(default_factory=ModelCalls)
    payload: int = 1024 * 1024
    clock: Callable[[], datetime] = _utc_now

    def now(self) -> datetime:
        """The time in UTC."""
        return self.clock().astimezone(UTC)

    def own_conversation(self, function: str, conversation_id: str | None) -> None:
        """Accept a script's ``conversation_id`` when it is its own one, or none.

        Raises:
            CallError: ``PermissionError`` for any other.
        """
        self._own(function, "conversation_id", "conversation", conversation_id, self.conversation_id)

    def own_persona(self, function: str, persona_id: str | None) -> None:
        """Accept a script's ``persona_id`` when it is its own one, or none.

        Raises:
            CallError: ``PermissionError`` for any other.
        """
        self._own(function, "persona_id", "persona", persona_id, self.persona_id)

    def _own(self, function: str, argument: str, noun: str, given: str | None, own: str | None) -> None:
        if given is None or (own is not None and given.lower() == own.lower()):
            return
        raise CallError(
            "PermissionError",
            f"{function}(): {argument} is not this script's own {noun}; a script reads only its own: "
            f"leave {argument} out",
        )
