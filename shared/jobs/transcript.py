"""What a stream tells about the answer: the text that clients hold, and whether it is complete."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from shared.jobs.event_log import Entry
from shared.jobs.messages import Reply
from shared.schemas.events import EventType
from shared.schemas.tool_calls import ToolCallMerger


@dataclass(slots=True)
class Transcript:
    """The concatenation of chunks since the last ``restart``."""

    content: list[str] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)
    tool_calls: ToolCallMerger = field(default_factory=ToolCallMerger)
    #: Whether ``done`` is in the stream, after the last ``restart``.
    done: bool = False

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Transcript:
        """Read ``entries`` in order."""
        transcript = cls()
        for entry in entries:
            transcript.take(entry)
        return transcript

    def take(self, entry: Entry) -> None:
        """Read one more event."""
        if entry.type == EventType.RESTART:
            self.content.clear()
            self.thinking.clear()
            self.tool_calls = ToolCallMerger()
            self.done = False
        elif entry.type == EventType.CHUNK:
            chunk = entry.payload()
            self.content.append(chunk.get("content") or "")
            self.thinking.append(chunk.get("thinking") or "")
            self.tool_calls.add(chunk.get("tool_calls") or [])
        elif entry.type == EventType.DONE:
            self.done = True

    def reply(self, details: dict[str, Any]) -> Reply:
        """What there is of the answer."""
        return Reply(
            content="".join(self.content),
            thinking="".join(self.thinking) or None,
            tool_calls=[dict(call) for call in self.tool_calls.result()] or None,
            details=details,
        )
