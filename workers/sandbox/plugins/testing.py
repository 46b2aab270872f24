"""In-memory twins of the ports, for tests of functions, of seed scripts, and of what stands on them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from workers.sandbox.plugins.buffer import Memories, MemoryChanges, Variables
from workers.sandbox.plugins.context import PluginContext
from workers.sandbox.plugins.errors import CallError, GenerationFailed
from workers.sandbox.plugins.ports import (
    ConversationInfo,
    GenerateCall,
    LogEntry,
    Memory,
    ModuleOutput,
    PersonaInfo,
    ReflectCall,
    Said,
)

#: A Wednesday.
NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


def said(nth: int, content: str | None = None, *, role: str | None = None) -> Said:
    """The ``nth`` message (from 0) of a conversation: user and assistant in turn, a minute apart."""
    role = role or ("user" if nth % 2 == 0 else "assistant")
    return Said(
        id=str(uuid.UUID(int=nth + 1)),
        role=role,
        content=f"message {nth}" if content is None else content,
        created_at=NOON - timedelta(days=1) + timedelta(minutes=nth),
    )


class InMemoryMessages:
    """A :class:`~workers.sandbox.plugins.ports.MessageReader` over a list.

    Attributes:
        said: the messages, oldest first; may be added to.
        reads: how many messages were given out.
    """

    def __init__(self, messages: Iterable[Said] = ()) -> None:
        self.said = list(messages)
        self.reads = 0

    async def count(self) -> int:
        """How many there are."""
        return len(self.said)

    async def recent(self, limit: int) -> list[Said]:
        """The last ``limit``, oldest first."""
        return self._given(self.said[max(0, len(self.said) - limit) :])

    async def range(self, start: int, end: int | None) -> list[Said]:
        """Those from ``start`` up to, not including, ``end``."""
        return self._given(self.said[start:end])

    async def positions(self, ids: Sequence[str]) -> dict[str, int]:
        """The positions of those of ``ids`` that are here."""
        wanted = set(ids)
        return {message.id: nth for nth, message in enumerate(self.said) if message.id in wanted}

    def _given(self, messages: list[Said]) -> list[Said]:
        self.reads += len(messages)
        return messages


class InMemoryInfo:
    """An :class:`~workers.sandbox.plugins.ports.InfoReader` over two values."""

    def __init__(
        self, conversation: ConversationInfo | None = None, persona: PersonaInfo | None = None
    ) -> None:
        self._conversation = conversation or ConversationInfo()
        self._persona = persona

    async def conversation(self) -> ConversationInfo:
        """The conversation."""
        return self._conversation

    async def persona(self) -> PersonaInfo | None:
        """The persona."""
        return self._persona


class InMemoryMemories:
    """A :class:`~workers.sandbox.plugins.ports.MemoryReader`, and the commit that stands behind it."""

    def __init__(self, memories: Iterable[Memory] = (), remembered: Mapping[str, Any] | None = None) -> None:
        self._memories = list(memories)
        self._remembered = dict(remembered or {})
        self._last = max((memory.sequence for memory in self._memories), default=0)

    async def memories(self) -> list[Memory]:
        """The committed memories, by rising sequence."""
        return list(self._memories)

    async def remembered(self) -> dict[str, Any]:
        """The committed values by key."""
        return dict(self._remembered)

    def commit(self, changes: MemoryChanges) -> None:
        """Do what a turn's commit does with ``changes``."""
        if changes.cleared:
            self._memories.clear()
        for new in changes.stored:
            self._last += 1
            self._memories.append(
                Memory(
                    sequence=self._last,
                    content=new.content,
                    message_range=new.message_range,
                    message_count=new.message_count,
                    first_message_id=new.first_message_id,
                    created_at=new.created_at,
                )
            )
        for key, value in changes.remembered.items():
            self._remembered[key] = value
        self._remembered = {key: value for key, value in self._remembered.items() if value is not None}


class ScriptedGenerator:
    """A :class:`~workers.sandbox.plugins.ports.Generator` that gives the answers it was given, in order.

    Attributes:
        calls: what it was asked.
    """

    def __init__(
        self,
        answers: Iterable[str | GenerationFailed]
        | Callable[[GenerateCall | ReflectCall], str | GenerationFailed] = (),
    ) -> None:
        self.calls: list[GenerateCall | ReflectCall] = []
        self._answer: Callable[[GenerateCall | ReflectCall], str | GenerationFailed]
        if callable(answers):
            self._answer = answers
        else:
            remaining = iter(list(answers))
            none_left = GenerationFailed("provider_error", "the script has no further answer")
            self._answer = lambda _: next(remaining, none_left)

    async def generate(self, call: GenerateCall) -> str:
        """The next answer."""
        return self._next(call)

    async def reflect(self, call: ReflectCall) -> str:
        """The next answer."""
        return self._next(call)

    def _next(self, call: GenerateCall | ReflectCall) -> str:
        self.calls.append(call)
        answer = self._answer(call)
        if isinstance(answer, GenerationFailed):
            raise answer
        return answer


class KnownModules:
    """A :data:`~workers.sandbox.plugins.ports.ModuleRunner` over outputs by name.

    Attributes:
        ran: the names that were asked for.
    """

    def __init__(self, outputs: Mapping[str, ModuleOutput] | None = None) -> None:
        self._outputs = dict(outputs or {})
        self.ran: list[str] = []

    async def __call__(self, name: str) -> ModuleOutput:
        """The output of ``name``."""
        self.ran.append(name)
        if name not in self._outputs:
            raise CallError("LookupError", f"run_module(): there is no active module {name!r}; create it")
        return self._outputs[name]


def in_memory_context(**changes: Any) -> PluginContext:
    """A context over empty twins at :data:`NOON`; ``changes`` are its fields.

    ``log`` may be a list that takes the entries.
    """
    entries = changes.pop("log", None)
    log: Callable[[LogEntry], Any] = entries.append if isinstance(entries, list) else (lambda _: None)
    fields: dict[str, Any] = {
        "module_name": "script",
        "module_id": str(uuid.UUID(int=0xA)),
        "conversation_id": str(uuid.UUID(int=0xC)),
        "persona_id": str(uuid.UUID(int=0xE)),
        "messages": InMemoryMessages(),
        "info": InMemoryInfo(),
        "variables": Variables(),
        "memories": Memories(InMemoryMemories()),
        "run_module": KnownModules(),
        "log": log,
        "clock": lambda: NOON,
    }
    return PluginContext(**(fields | changes))
