"""Spans: begun in the place where the work is, ended when it is left, and nothing at all while off."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from shared.errors import ParleyError
from shared.tracing.traceparent import TraceParent

if TYPE_CHECKING:
    from opentelemetry import trace as otel

    from shared.tracing.export import Exporting

Value = str | bool | int | float
Attributes = Mapping[str, Value | None]
#: On which side of which call a span stands.
Kind = Literal["internal", "server", "client", "producer", "consumer"]


class Span:
    """A span of a process that does not trace: every method does nothing."""

    __slots__ = ()

    #: Whether what is told to it goes anywhere: to be asked before something is worked out for it alone.
    recording = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing ends."""

    @property
    def parent(self) -> TraceParent | None:
        """Its place, for those that are to stand below it, in whatever process."""
        return None

    @property
    def trace_id(self) -> str | None:
        """Its trace, as it stands in logs."""
        return None

    def set(self, attributes: Attributes) -> None:
        """Tell of it; what is ``None`` is not told."""

    def rename(self, name: str) -> None:
        """Give it the name that is known only now."""

    def event(self, name: str, attributes: Attributes | None = None) -> None:
        """Something happened in it, now."""

    def fail(self, error: BaseException | str) -> None:
        """It failed: by an error, of which only the type is told, or by this code."""

    def end(self, at: float | None = None) -> None:
        """It ends: now, or ended ``at`` this time (seconds since 1970). A second end changes nothing."""

    def discard(self) -> None:
        """It is not told of, because somebody else does."""


NOTHING = Span()

_current: ContextVar[Span] = ContextVar("parley_span", default=NOTHING)


#: Where the spans of this process go.
_exporting: Exporting | None = None


def use(exporting: Exporting | None) -> Exporting | None:
    """From now on spans go there, or nowhere; returns where they went before."""
    global _exporting
    before, _exporting = _exporting, exporting
    return before


def on() -> bool:
    """Whether this process traces."""
    return _exporting is not None


def current() -> Span:
    """The span that the caller is in."""
    return NOTHING if _exporting is None else _current.get()


def span(
    name: str,
    attributes: Attributes | None = None,
    *,
    kind: Kind = "internal",
    parent: TraceParent | None = None,
    links: Sequence[TraceParent] = (),
    began: float | None = None,
    span_id: int | None = None,
    trace_id: int | None = None,
) -> Span:
    """A span that has begun, to be entered, or ended by hand.

    Args:
        name: of few different ones; no id stands in it.
        attributes: of which ``None`` are left out.
        kind: what it is to the processes around.
        parent: its place; default: below the one that the caller is in.
        links: others that it has to do with.
        began: when, in seconds since 1970; default: now.
        span_id: its own id, where others must know it who never hear of it; default: a random one.
        trace_id: of a trace that begins with it; default: a random one.
    """
    exporting = _exporting
    if exporting is None:
        return NOTHING
    return RecordedSpan(
        exporting,
        exporting.begin(
            name,
            told(attributes),
            kind=kind,
            parent=parent or _current.get().parent,
            links=links,
            began=began,
            span_id=span_id,
            trace_id=trace_id,
        ),
    )


def told(attributes: Attributes | None) -> dict[str, Value]:
    """``attributes`` without those that are ``None``."""
    return {} if not attributes else {name: value for name, value in attributes.items() if value is not None}


class RecordedSpan(Span):
    """A span of a process that traces."""

    __slots__ = ("_discarded", "_exporting", "_outer", "_span")

    def __init__(self, exporting: Exporting, begun: otel.Span) -> None:
        self._exporting = exporting
        self._span = begun
        self._outer: Span = NOTHING
        self._discarded = False

    def __enter__(self) -> Self:
        self._outer = _current.get()
        _current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """It ends, and failed with ``error`` if there is one; being cancelled is no failure."""
        # Not by the token: a generator may be closed in another context than it was entered in.
        _current.set(self._outer)
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            self.set({"parley.cancelled": True})
        elif error is not None:
            self.fail(error)
        self.end()

    @property
    def recording(self) -> bool:  # type: ignore[override]
        """Whether it is sampled."""
        return self._span.is_recording()

    @property
    def parent(self) -> TraceParent:
        """See :attr:`Span.parent`."""
        place = self._span.get_span_context()
        return TraceParent(place.trace_id, place.span_id, place.trace_flags.sampled)

    @property
    def trace_id(self) -> str:
        """See :attr:`Span.trace_id`."""
        return f"{self._span.get_span_context().trace_id:032x}"

    def set(self, attributes: Attributes) -> None:
        """See :meth:`Span.set`."""
        self._span.set_attributes(told(attributes))

    def rename(self, name: str) -> None:
        """See :meth:`Span.rename`."""
        self._span.update_name(name)

    def event(self, name: str, attributes: Attributes | None = None) -> None:
        """See :meth:`Span.event`."""
        self._span.add_event(name, told(attributes))

    def fail(self, error: BaseException | str) -> None:
        """See :meth:`Span.fail`. Messages may quote a provider or a row: they are not told."""
        code, title = _described(error)
        self._span.set_attribute("error.type", code)
        self._exporting.failed(self._span, title)

    def end(self, at: float | None = None) -> None:
        """See :meth:`Span.end`."""
        if not self._discarded and self._span.is_recording():
            self._span.end(None if at is None else int(at * 1e9))

    def discard(self) -> None:
        """See :meth:`Span.discard`."""
        self._discarded = True


def _described(error: BaseException | str) -> tuple[str, str]:
    if isinstance(error, str):
        return error, error
    if isinstance(error, ParleyError):
        return error.code, type(error).title
    return type(error).__qualname__, type(error).__qualname__
