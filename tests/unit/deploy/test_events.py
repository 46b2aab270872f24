"""What the supervisor tells survives the pipe."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deploy.local.events import Event, Kind


@given(
    st.builds(
        Event,
        kind=st.sampled_from(Kind),
        name=st.text(),
        text=st.text(),
        fraction=st.none() | st.floats(0, 1),
        code=st.integers(0, 255),
    )
)
def test_an_event_is_one_line_and_comes_back(event: Event) -> None:
    line = event.line()
    assert "\n" not in line
    assert Event.parse(line) == event
