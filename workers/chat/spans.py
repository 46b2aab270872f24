"""The spans of a turn."""

from __future__ import annotations

from shared import tracing


def stage_span(number: int) -> tracing.Span:
    """A stage of a turn; to be entered."""
    return tracing.span(f"stage {number}", {"parley.stage": number}) if tracing.on() else tracing.NOTHING
