"""``traceparent`` as W3C Trace Context has it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.tracing import TraceParent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
def test_a_place_survives_its_way(trace_id: int, span_id: int, sampled: bool) -> None:
    place = TraceParent(trace_id, span_id, sampled)
    assert len(str(place)) == 55
    assert TraceParent.parse(str(place)) == place


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        # Flags that are not known yet, and a later version, which may have more to say.
        (f"00-{TRACE}-{SPAN}-ff", True),
        (f"00-{TRACE}-{SPAN}-02", False),
        (f"cc-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-brings", True),
    ],
)
def test_it_is_read(header: str, sampled: bool) -> None:
    assert TraceParent.parse(header) == TraceParent(int(TRACE, 16), int(SPAN, 16), sampled)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f" 00-{TRACE}-{SPAN}-01",
        "00-\uff11" + TRACE[1:] + f"-{SPAN}-01",
    ],
)
def test_what_is_none_begins_a_trace_anew(header: str | None) -> None:
    assert TraceParent.parse(header) is None


@given(st.text())
def test_whatever_comes_is_read_or_not(header: str) -> None:
    place = TraceParent.parse(header)
    assert place is None or place.trace_id > 0
