"""What the functions of ``ctx`` need from the worker. :mod:`~workers.sandbox.plugins.testing` has the twins.

Every reader shows one conversation of one owner, on the branch that the turn answers, and nothing else: a
function cannot ask for another one. The readers of a worker use READ ONLY transactions, one for each call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from shared.schemas.controls import ChatControls

ReflectRole = Literal["user", "assistant", "system"]
LogLevel = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A message of the conversation.

    Attributes:
        id: a UUID.
        role: ``user``, ``assistant``, ``system`` or ``tool``.
        created_at: aware.
    """

    id: str
    role: str
    content: str
    thinking: str | None = None
    created_at: datetime


class MessageReader(Protocol):
    """The messages of the turn's branch, hidden ones left out.

    The newest user message is among them; in stages 4 and 5 the reply is the last. A position counts from 0,
    the oldest message.
    """

    async def count(self) -> int:
        """How many there are."""
        ...

    async def recent(self, limit: int) -> list[Said]:
        """The last ``limit`` (≥ 0) of them, oldest first."""
        ...

    async def range(self, start: int, end: int | None) -> list[Said]:
        """Those from position ``start`` (≥ 0) up to, not including, ``end``; ``None``: to the newest."""
        ...

    async def positions(self, ids: Sequence[str]) -> dict[str, int]:
        """The position of each of ``ids`` that is a message of this branch; others are left out."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationInfo:
    """The conversation that a script belongs to.

    Attributes:
        provider: ``ollama`` or ``openai``: what answers this turn.
        model: the model that answers this turn.
    """

    id: str | None = None
    title: str | None = None
    persona_id: str | None = None
    persona_name: str | None = None
    provider: str | None = None
    model: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonaInfo:
    """The persona that answers this turn."""

    id: str
    name: str
    description: str | None = None
    template: str = ""
    mode: str = "reactive"
    first_message: str | None = None
    is_active: bool = True
    extra_data: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime | None = None
    updated_at: datetime | None = None


class InfoReader(Protocol):
    """What surrounds the turn."""

    async def conversation(self) -> ConversationInfo:
        """The conversation; all ``None`` where there is none."""
        ...

    async def persona(self) -> PersonaInfo | None:
        """The persona; ``None`` where there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """A piece of compressed conversation.

    Attributes:
        sequence: rises with every memory of the conversation. That of a memory which is not committed yet is
            a preview: the commit may number it higher.
        message_range: ``"25-35"``: which messages it stands for, counted back from the newest (1) as the
            conversation stood then; both ends included.
        message_count: how many messages the conversation had then.
        first_message_id: the oldest message it stands for.
    """

    sequence: int
    content: str
    message_range: str
    message_count: int
    first_message_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMemory:
    """A memory to store; attributes as of :class:`Memory`."""

    content: str
    message_range: str
    message_count: int
    first_message_id: str | None
    created_at: datetime


class MemoryReader(Protocol):
    """The committed memories, as the turn's branch sees them."""

    async def memories(self) -> list[Memory]:
        """What ``store_memory`` stored, by rising sequence."""
        ...

    async def remembered(self) -> dict[str, Any]:
        """What ``remember`` stored, by key."""
        ...


class MemoryScope(Protocol):
    """The memories as one run of a module sees them: committed ones, and what was written in this turn."""

    async def stored(self) -> list[Memory]:
        """What ``store_memory`` stored, by rising sequence."""
        ...

    async def store(self, memory: NewMemory) -> Memory:
        """Add a memory."""
        ...

    async def clear(self) -> int:
        """Take away every stored memory; how many there were."""
        ...

    async def remember(self, key: str, value: Any) -> None:
        """Keep ``value`` under ``key``; ``None`` forgets the key."""
        ...

    async def recalled(self) -> dict[str, Any]:
        """Everything that is remembered, by key."""
        ...


class VariableScope(Protocol):
    """The variables that one run of a module sees."""

    def get(self, name: str, default: Any = None) -> Any:
        """Its value: as this run wrote it, else the module's own, else another module's."""
        ...

    def set(self, name: str, value: Any) -> None:
        """Write one of the module's own variables."""
        ...

    def all(self) -> dict[str, Any]:
        """Every variable by name, the nearest value of each."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateCall:
    """A model call that a script asks for.

    Attributes:
        input: text to work on, apart from the instructions.
        provider: ``ollama``, ``openai`` or the name of a connection; ``None``: what answers the turn.
        model: ``None``: the provider's own choice; without a provider the turn's model.
        controls: complete: explicit ones over the session's over the defaults.
        explicit: the names of those in ``controls`` that the script chose itself. When another provider than
            the session's is asked, it may have no form for one that was only inherited: leave that out.
    """

    instructions: str
    input: str | None = None
    provider: str | None = None
    model: str | None = None
    controls: ChatControls
    explicit: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReflectCall:
    """A model call under the turn's own system prompt; attributes as of :class:`GenerateCall`.

    Attributes:
        role: how the instructions are posted.
        prompt: the system prompt as this stage sees it: in stages 1 and 2 the text before the stage, in
            stages 4 and 5 exactly what was sent.
        reply: the answer, in stages 4 and 5.
    """

    instructions: str
    role: ReflectRole
    prompt: str
    reply: str | None = None
    provider: str | None = None
    model: str | None = None
    controls: ChatControls
    explicit: frozenset[str] = frozenset()


class Generator(Protocol):
    """Model calls. Each is one provider call with its tokens counted; none runs modules or stages."""

    async def generate(self, call: GenerateCall) -> str:
        """The model's text.

        Raises:
            GenerationFailed: there is none.
        """
        ...

    async def reflect(self, call: ReflectCall) -> str:
        """The model's text.

        Raises:
            GenerationFailed: there is none.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleOutput:
    """What a module gave when a script ran it: its text as a template would show it, and its variables."""

    text: str
    variables: Mapping[str, Any] = field(default_factory=dict)


#: Runs a module by name, once a turn. Raises ``CallError``: ``LookupError`` for a name that is not there or
#: not active, ``RecursionError`` with the path for a cycle or too much nesting.
ModuleRunner = Callable[[str], Awaitable[ModuleOutput]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """A line that a script logged; at most 2,000 characters."""

    level: LogLevel
    message: str
    module_name: str
    at: datetime


class ScriptLog(Protocol):
    """Where the lines of scripts go."""

    def __call__(self, entry: LogEntry) -> None:
        """Keep ``entry``; does not wait."""
        ...
