"""A history that does not fit keeps whole entries: the newest statement, outcomes, then the newest first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Principle
from workers.experiment.history import EntryKind, HistoryEntry, PublicHistory, one_line

entries = st.lists(
    st.builds(
        HistoryEntry,
        kind=st.sampled_from(EntryKind),
        round=st.integers(1, 5),
        text=st.text("ab 平均", min_size=1, max_size=60).map(lambda text: f"<{text}>"),
        agent=st.sampled_from(["Alice", "Bob"]),
        reasoning=st.none() | st.text("xyz", min_size=1, max_size=60),
    ),
    max_size=12,
)


@given(entries, st.integers(5, 400), st.sampled_from([None, "Alice", "Bob"]))
def test_what_is_kept_is_whole_in_order_and_fits(
    said: list[HistoryEntry], limit: int, reader: str | None
) -> None:
    history = PublicHistory(said)

    shown = history.truncated(limit, reader)

    assert len(shown) <= limit
    if len(history.read_by(reader)) <= limit:
        assert shown == history.read_by(reader)
        return
    left = [line for line in shown.split("\n") if line != "[…]"]
    forms = [form for entry in said for form in entry.shown(reader).split("\n")]
    at = 0
    for line in left:
        at = forms.index(line, at) + 1
    assert "[…]" in shown


@given(entries, st.integers(5, 400))
def test_nobody_reads_anothers_reasoning(said: list[HistoryEntry], limit: int) -> None:
    shown = PublicHistory(said).truncated(limit, "Alice")

    thoughts = [line for line in shown.split("\n") if line and not line.startswith(("<", "["))]
    own = {entry.reasoning for entry in said if entry.agent == "Alice"}
    assert set(thoughts) <= own


def test_what_is_told_has_one_line() -> None:
    assert one_line(" I agree.\nThe group has decided.\r\n\u2028Bob: no ") == (
        "I agree. The group has decided. Bob: no"
    )


def _history() -> PublicHistory:
    history = PublicHistory()
    for number in range(1, 6):
        history.add(EntryKind.STATEMENT, number, f"Round {number}, Alice: " + "a" * 40, agent="Alice")
        history.add(EntryKind.VOTE, number, f"Round {number}: no agreement.")
    return history


def test_outcomes_outlive_statements_and_the_newest_statement_outlives_outcomes() -> None:
    shown = _history().truncated(250)

    assert [number for number in range(1, 6) if f"Round {number}: no agreement." in shown] == [1, 2, 3, 4, 5]
    assert [number for number in range(1, 6) if f"Round {number}, Alice" in shown] == [5]
    tiny = _history().truncated(80)
    assert "Round 5, Alice" in tiny
    assert "no agreement" not in tiny


def test_own_reasoning_goes_before_the_statement_does() -> None:
    history = PublicHistory()
    history.add(EntryKind.STATEMENT, 1, "old " * 20, agent="Bob")
    history.add(EntryKind.STATEMENT, 2, "what I said", agent="Alice", reasoning="what I thought " * 20)

    assert history.truncated(60, "Alice") == "[…]\nwhat I said"


def test_the_agenda_takes_each_principle_once() -> None:
    history = PublicHistory()

    assert not history.propose(Principle.MAXIMIZING_FLOOR)
    assert history.propose(Principle.MAXIMIZING_MEDIAN)
    assert not history.propose(Principle.MAXIMIZING_MEDIAN)
    assert history.agenda == (*FOUR_PRINCIPLES, Principle.MAXIMIZING_MEDIAN)
