"""A sink that remembers, for tests of whatever tells events."""

from __future__ import annotations

import asyncio
from typing import Any

from shared.schemas.events import EventType


class RecordedEvents:
    """Keeps the events it is told; ``full`` can be set to hold a turn up.

    Attributes:
        told: the events in order, with their data.
    """

    def __init__(self) -> None:
        self.told: list[tuple[EventType, dict[str, Any]]] = []
        self.full = False
        self.waiting = asyncio.Event()
        self._freed = asyncio.Event()

    def emit(self, event: EventType, data: dict[str, Any]) -> object:
        """Remember an event."""
        self.told.append((event, data))
        return None

    async def room(self) -> None:
        """Wait until :meth:`drain`."""
        self.waiting.set()
        await self._freed.wait()

    def drain(self) -> None:
        """Be empty again."""
        self.full = False
        self._freed.set()

    @property
    def text(self) -> str:
        """The concatenated content of the chunks."""
        return "".join(data["content"] for event, data in self.told if event is EventType.CHUNK)
