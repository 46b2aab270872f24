"""``traceparent``: which trace a call belongs to, and below which of its spans (W3C Trace Context)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_HEADER = re.compile(r"(?P<version>[0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?P<more>-.*)?")
_SAMPLED = 0x01


@dataclass(frozen=True, slots=True)
class TraceParent:
    """The place of a span, as it travels.

    Attributes:
        trace_id: 128 bits, not zero.
        span_id: 64 bits, not zero.
        sampled: whether whoever began the trace records it.
    """

    trace_id: int
    span_id: int
    sampled: bool = True

    @classmethod
    def parse(cls, header: str | None) -> TraceParent | None:
        """The place that ``header`` names; ``None`` when it names none: a trace is begun anew then."""
        found = _HEADER.fullmatch(header or "")
        if found is None or found["version"] == "ff" or (found["version"] == "00" and found["more"]):
            return None
        trace_id, span_id, flags = (int(found[number], 16) for number in (2, 3, 4))
        if not trace_id or not span_id:
            return None
        return cls(trace_id, span_id, bool(flags & _SAMPLED))

    def __str__(self) -> str:
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{_SAMPLED if self.sampled else 0:02x}"
