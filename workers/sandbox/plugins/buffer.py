"""What scripts write during a turn: seen at once by the run that wrote it, committed with its stage.

A run writes into buffers of its own. When it succeeded, the turn applies them in the stated order of the
modules, so that the result does not depend on which of them finished first; those of a run that failed are
dropped.

Values are not copied: they came as JSON from a script's process, go to it as JSON, and nothing changes them
in between.
"""

from __future__ import annotations

import asyncio
import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from shared.schemas.nesting import MAX_REQUEST_DEPTH, too_deep
from shared.schemas.text import storable_json
from workers.sandbox.plugins.errors import CallError
from workers.sandbox.plugins.ports import Memory, MemoryReader, NewMemory

#: Bytes of JSON that one run may write into one buffer.
MAX_WRITTEN = 1024 * 1024
#: Bytes that the memories of a branch may have together, values by key as JSON: a turn that asks reads all.
MAX_KEPT = 8 * MAX_WRITTEN
#: Characters of a key of ``remember``.
MAX_KEY = 200
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}", re.ASCII)


def kept_size(function: str, argument: str, value: Any) -> int:
    """Bytes of ``value`` as JSON, when Postgres gives back exactly what it was given.

    Raises:
        CallError: ``ValueError``, naming what cannot be kept and the remedy.
    """
    try:
        encoded = orjson.dumps(value)
        if b"\\u0000" in encoded or b"null" in encoded:  # a NUL, or a number that JSON does not have
            storable_json(value)
        if too_deep(encoded, value, MAX_REQUEST_DEPTH):
            raise ValueError(f"must not be nested deeper than {MAX_REQUEST_DEPTH} levels")
    except (ValueError, TypeError, RecursionError) as error:
        what = "must not be nested that deep" if isinstance(error, RecursionError) else str(error)
        raise CallError(
            "ValueError",
            f"{function}(): argument {argument} cannot be kept: {what}; use plain JSON: str, int of at most "
            "64 bits, finite float, bool, None, list, and dict with str keys",
        ) from None
    return len(encoded)


class _Room:
    """How much one run may still write."""

    def __init__(self) -> None:
        self._sizes: dict[tuple[str, str | int], int] = {}
        self._written = 0

    def take(self, function: str, slot: tuple[str, str | int], size: int) -> None:
        """Count ``size`` bytes for ``slot``, in place of what it had."""
        written = self._written - self._sizes.get(slot, 0) + size
        if written > MAX_WRITTEN:
            raise CallError(
                "ValueError",
                f"{function}(): one run may write {MAX_WRITTEN} bytes, and this would make it {written}; "
                "keep less, or shorten it first",
            )
        self._sizes[slot] = size
        self._written = written


class Variables:
    """The variables of one run: its own, those of other modules that it may read, and what it writes."""

    def __init__(
        self, own: Mapping[str, Any] | None = None, visible: Mapping[str, Any] | None = None
    ) -> None:
        self._own = dict(own or {})
        self._visible = visible or {}
        self._written: dict[str, Any] = {}
        self._room = _Room()

    def get(self, name: str, default: Any = None) -> Any:
        """Its value: as this run wrote it, else the module's own, else another module's."""
        for layer in (self._written, self._own, self._visible):
            if name in layer:
                return layer[name]
        return default

    def set(self, name: str, value: Any) -> None:
        """Write one of the module's own variables.

        Raises:
            CallError: the name is no identifier, or the value cannot be kept.
        """
        if not _VARIABLE_NAME.fullmatch(name):
            raise CallError(
                "ValueError",
                f"set_variable(): argument name: {name[:60]!r} is no variable name; use a letter or _, then "
                "letters, digits and _, 100 characters at most",
            )
        self._room.take("set_variable", ("variable", name), kept_size("set_variable", "value", value))
        self._written[name] = value

    def all(self) -> dict[str, Any]:
        """Every variable by name, the nearest value of each."""
        return {**self._visible, **self._own, **self._written}

    def changes(self) -> dict[str, Any]:
        """What this run wrote, by name."""
        return dict(self._written)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryChanges:
    """What is to be done to the memories, in this order.

    Attributes:
        cleared: take away what was stored before.
        stored: then store these.
        remembered: values by key; ``None`` forgets the key.
    """

    cleared: bool = False
    stored: tuple[NewMemory, ...] = ()
    remembered: Mapping[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.cleared or bool(self.stored) or bool(self.remembered)

    def then(self, later: MemoryChanges) -> MemoryChanges:
        """These changes followed by ``later`` ones."""
        return MemoryChanges(
            cleared=self.cleared or later.cleared,
            stored=later.stored if later.cleared else self.stored + later.stored,
            remembered={**self.remembered, **later.remembered},
        )


class _Committed:
    """The committed memories, read when they are first asked for, once for all runs of a turn."""

    def __init__(self, reader: MemoryReader) -> None:
        self._reader = reader
        self._lock = asyncio.Lock()
        self._memories: list[Memory] | None = None
        self._remembered: dict[str, Any] | None = None

    async def memories(self) -> list[Memory]:
        async with self._lock:
            if self._memories is None:
                self._memories = await self._reader.memories()
            return self._memories

    async def remembered(self) -> dict[str, Any]:
        async with self._lock:
            if self._remembered is None:
                self._remembered = await self._reader.remembered()
            return self._remembered


class Memories:
    """The memories of a turn, or of one of its runs.

    The turn makes one on a reader; each run gets :meth:`nested`, a buffer that starts from what the turn
    holds at that moment and keeps its own writes to itself, until the turn takes them with :meth:`apply`.
    """

    def __init__(self, reader: MemoryReader) -> None:
        self._committed = _Committed(reader)
        #: What was written before this buffer began, and in it.
        self._before = MemoryChanges()
        self._own = MemoryChanges()
        self._room = _Room()
        #: Bytes of all that is kept; ``None``: nobody has counted.
        self._kept: int | None = None

    def nested(self) -> Memories:
        """A buffer for one run, on top of what is here now."""
        run = copy.copy(self)
        run._before = self._before.then(self._own)
        run._own = MemoryChanges()
        run._room = _Room()
        run._kept = None
        return run

    def apply(self, changes: MemoryChanges) -> None:
        """Take over what a run wrote."""
        self._own = self._own.then(changes)

    def changes(self) -> MemoryChanges:
        """What was written here: for :meth:`apply` one level up, or for the commit."""
        return self._own

    async def stored(self) -> list[Memory]:
        """The stored memories, by rising sequence."""
        committed = await self._committed.memories()
        changes = self._before.then(self._own)
        last = committed[-1].sequence if committed else 0
        kept = [] if changes.cleared else committed
        return [*kept, *(_preview(last + nth, new) for nth, new in enumerate(changes.stored, start=1))]

    async def store(self, memory: NewMemory) -> Memory:
        """Add a memory.

        Raises:
            CallError: it cannot be kept.
        """
        size = kept_size("store_memory", "text", memory.content)
        kept_size("store_memory", "message_range", memory.message_range)
        kept = await self._with("store_memory", size)
        self._room.take("store_memory", ("memory", len(self._own.stored)), size)
        self._kept = kept
        self.apply(MemoryChanges(stored=(memory,)))
        return (await self.stored())[-1]

    async def clear(self) -> int:
        """Take away every stored memory; how many there were."""
        there = len(await self.stored())
        self.apply(MemoryChanges(cleared=True))
        self._kept = None
        return there

    async def remember(self, key: str, value: Any) -> None:
        """Keep ``value`` under ``key``; ``None`` forgets the key.

        Raises:
            CallError: it cannot be kept.
        """
        if not key.strip() or len(key) > MAX_KEY:
            raise CallError(
                "ValueError", f"remember(): argument key: use 1 to {MAX_KEY} characters, not only blanks"
            )
        kept_size("remember", "key", key)
        size = kept_size("remember", "value", value)
        older = (await self.recalled()).get(key)
        kept = await self._with("remember", size - (0 if older is None else len(orjson.dumps(older))))
        self._room.take("remember", ("key", key), size)
        self._kept = kept
        self.apply(MemoryChanges(remembered={key: value}))

    async def _with(self, function: str, more: int) -> int:
        """How many bytes are kept when it is ``more`` than now."""
        if self._kept is None:
            self._kept = sum(len(one.content.encode()) for one in await self.stored())
            self._kept += sum(len(orjson.dumps(value)) for value in (await self.recalled()).values())
        kept = self._kept + more
        if more > 0 and kept > MAX_KEPT:
            raise CallError(
                "ValueError",
                f"{function}(): the memories of this conversation would have {kept} bytes, and {MAX_KEPT} "
                "are the most; forget values with remember(key, None), or call clear_memories()",
            )
        return kept

    async def recalled(self) -> dict[str, Any]:
        """Everything that is remembered, by key."""
        committed = await self._committed.remembered()
        return _without_forgotten({**committed, **self._before.then(self._own).remembered}.items())


def _preview(sequence: int, new: NewMemory) -> Memory:
    return Memory(
        sequence=sequence,
        content=new.content,
        message_range=new.message_range,
        message_count=new.message_count,
        first_message_id=new.first_message_id,
        created_at=new.created_at,
    )


def _without_forgotten(values: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {key: value for key, value in values if value is not None}
