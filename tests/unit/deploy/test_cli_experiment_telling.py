"""The events of a run in words: nothing of a model's text moves the terminal."""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.cli.api import ServerEvent
from deploy.cli.experiment.printable import one_line, printable
from deploy.cli.experiment.screens import FollowedRun, Look, TextScreen, decision, ending
from deploy.cli.experiment.telling import Standing, seconds_words, told
from shared.schemas.experiment.sections import LoggingConfig

FLOOR = "maximizing_average_floor_constraint"


def event(type_: str, **data: Any) -> ServerEvent:
    return ServerEvent(type_, data, "1-1")


def statement(agent: str, content: str, *, quarantined: bool = False) -> ServerEvent:
    return event("statement", round=1, agent=agent, content=content, quarantined=quarantined)


def ballot(**data: Any) -> ServerEvent:
    whole = {"round": 1, "reached": True, "principle": FLOOR, "amount": 14_000, "disagreement": None}
    return event("ballot_result", **{**whole, "counts": {FLOOR: 3}, "abstentions": 0, **data})


def test_a_run_stands_where_its_events_say() -> None:
    standing = Standing()
    told_events = [
        event("experiment_started", name="x", agents=["Ana", "Ben"], rounds=5, profile="original", seed=1),
        event("phase", phase=2, state="started"),
        event("speaking_order", round=3, order=["Ben", "Ana"]),
    ]
    for one in told_events:
        standing.take(one)
    assert "phase 2 · round 3 of 5 · Ben speaks" in standing.words()
    standing.take(statement("Ben", "So be it."))
    assert "Ana speaks" in standing.words()
    standing.take(statement("Ana", "So be it."))
    assert "speaks" not in standing.words()
    standing.take(ballot(reached=False))
    progress = {"phase": 2, "round": 3, "calls": 9, "tokens": 12_345, "fraction": 0.5, "seconds_left": 61.2}
    standing.take(event("progress", **progress))
    assert standing.words() == "phase 2 · round 3 of 5 · 1 vote · 12,345 tokens"
    assert (standing.fraction, standing.seconds_left) == (0.5, 61.2)


@pytest.mark.parametrize(
    ("told_event", "words"),
    [
        (ballot(), ["  The ballot decides for average with a floor of $14,000 (average with a floor 3)."]),
        (
            ballot(
                reached=False, principle=None, disagreement="principle_disagreement", counts={}, abstentions=3
            ),
            ["  The ballot decides nothing (principle disagreement): abstained 3."],
        ),
        (event("vote_initiation", round=1, initiator=None, asked=["Ana"]), ["  Nobody asks for a vote."]),
        (event("vote_initiation", round=1, initiator="Ana", asked=["Ana"]), ["  Ana asks for a vote."]),
        (event("vote_confirmation", round=1, agent="Ana", agrees=False), ["  Ana does not agree to vote."]),
        (
            event("vote_confirmation", round=1, agent="Ana", agrees=None),
            ["  Ana gives no readable answer."],
        ),
        (
            event("ranking", agent="Ana", checkpoint="initial", order=None, certainty=None),
            ["  Ana gives no ranking that can be read, at first."],
        ),
        (
            event("application", agent="Ana", round=2, principle=FLOOR, amount=15_000, certainty="very_sure"),
            ["  Ana chooses (2 of 4): average with a floor of $15,000 (very sure)"],
        ),
        (statement("Ana", "", quarantined=True), ["Ana finds no words that count."]),
        (
            event("error", code="budget_exceeded", message="No more."),
            ["  The run failed (budget_exceeded): No more."],
        ),
        (event("of_a_later_version", x=1), []),
    ],
)
def test_events_are_told(told_event: ServerEvent, words: list[str]) -> None:
    assert told(told_event) == words


@given(st.text(), st.text(min_size=1), st.booleans())
def test_no_text_of_a_model_controls_the_terminal(content: str, name: str, compact: bool) -> None:
    for line in told(statement(name, f"{content}\x1b[2J\x9b1A\r\u202e{content}"), compact=compact):
        assert "\u202e" not in line
        assert not [c for c in line if unicodedata.category(c) == "Cc" and c not in "\n\t"]


@given(st.text(), st.integers(min_value=1, max_value=80))
def test_a_line_is_one_line_and_not_longer_than_it_may_be(text: str, length: int) -> None:
    line = one_line(text, length)
    assert len(line) <= length
    assert len(line.splitlines()) <= 1


def test_what_can_be_shown_stays() -> None:
    text = "Ich finde: 公平 — ¡sí!\n\t👩‍⚕️"
    assert printable(text) == text


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_gets_no_control_characters_and_a_file_every_byte(terminal: bool) -> None:
    content = "one\x1b[2Jtwo\x9bthree\n".encode()
    code = f"from deploy.cli.experiment.printable import write_out; write_out({content!r})"
    outer, inner = os.openpty() if terminal else os.pipe()
    try:
        subprocess.run([sys.executable, "-c", code], stdout=inner, check=True, timeout=60)
        written = os.read(outer, 1000)
    finally:
        os.close(outer)
        os.close(inner)
    assert written == (b"one[2Jtwothree\r\n" if terminal else content)


def test_a_duration_is_told_in_its_unit() -> None:
    assert [seconds_words(seconds) for seconds in (0.2, 59.4, 59.7, 185, 7_800)] == [
        "0 s",
        "59 s",
        "1:00 min",
        "3:05 min",
        "2:10 h",
    ]


def run(last: ServerEvent | None, **experiment: Any) -> FollowedRun:
    whole = {"status": "succeeded", "calls": 5, "reasked": 1, "tokens": 10, "seconds": 2.0, "seed": 7}
    made = FollowedRun("e1", experiment={**whole, "degraded": 0, "result_hash": "ab", **experiment})
    if last is not None:
        made.take(last)
    return made


def finished(**data: Any) -> ServerEvent:
    whole = {"rounds": 2, "principle": FLOOR, "amount": 14_000, "decided_by": "consensus"}
    return event("experiment_finished", **{**whole, **data})


def test_what_came_of_a_run_is_told() -> None:
    assert decision(run(finished())) == "Consensus after 2 rounds: average with a floor of $14,000."
    assert decision(run(finished(decided_by="majority", rounds=1))).startswith("A majority after 1 round:")
    assert decision(run(finished(decided_by="imposed"))).startswith("Imposed:")
    assert decision(run(finished(decided_by="none", principle=None))) == "No agreement after 2 rounds."
    error = {"code": "budget_exceeded", "message": "The budget is used up."}
    failed = ending(run(event("error", **error), status="failed", error=error))
    assert failed[0].startswith("Failed (budget_exceeded): The budget is used up.")
    cancelled = ending(run(event("cancelled"), status="cancelled"))
    assert cancelled[0].startswith("Cancelled.")


def test_the_end_of_an_attempt_is_not_that_of_a_run_that_was_resumed() -> None:
    resumed = run(event("cancelled"))
    resumed.take(event("resumed", attempt=2))
    assert decision(resumed) == "Finished."
    resumed.take(finished())
    assert decision(resumed).startswith("Consensus")


STARTED = event("experiment_started", name="x", agents=["Ana"], rounds=2, profile="original", seed=7)
STATEMENT = statement("Ana", "So be it.")
DEGRADED = event("service_degraded", service="memory", step="p2", message="It is away.")


@pytest.mark.parametrize(
    ("level", "several", "shown"),
    [
        ("minimal", False, ["x: Ana;", "  The ballot decides for", "  Goes on without memory"]),
        ("standard", False, ["x: Ana;", "Ana: So be it.", "  The ballot decides for", "  Goes on without"]),
        ("minimal", True, ["1 of 2: Goes on without"]),
        ("standard", True, ["1 of 2: Goes on without"]),
        (
            "detailed",
            True,
            ["1 of 2: x: Ana;", "1 of 2: Ana: So be it.", "1 of 2: The ballot", "1 of 2: Goes on without"],
        ),
        (
            "debug",
            False,
            [
                '1-1 experiment_started {"name": "x",',
                "x: Ana;",
                '1-1 statement {"round": 1, "agent": "Ana",',
                "Ana: So be it.",
                "1-1 ballot_result {",
                "  The ballot decides for",
                "1-1 service_degraded {",
                "  Goes on without memory",
            ],
        ),
    ],
)
def test_as_much_is_shown_as_the_configuration_asks_for(
    level: str, several: bool, shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    followed = FollowedRun("e1", label="1 of 2" if several else "")
    screen = TextScreen(brief=several, look=Look(verbosity_level=level))
    for one in (STARTED, STATEMENT, ballot(), DEGRADED):
        screen.event(followed, one)
    screen.close()
    told_lines = capsys.readouterr().out.splitlines()
    assert len(told_lines) == len(shown)
    for line, beginning in zip(told_lines, shown, strict=True):
        assert line.startswith(beginning)


def test_what_was_before_is_told_at_length_when_details_are_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    long = statement("Ana", "So be it. " * 30)
    for level in ("standard", "detailed"):
        TextScreen(compact=True, look=Look(verbosity_level=level)).event(FollowedRun("e1"), long)
    short, whole = capsys.readouterr().out.splitlines()
    assert len(short) < 120 < len(whole)


def test_the_look_is_that_of_the_configuration() -> None:
    assert Look.of(LoggingConfig().model_dump()) == Look.of({}) == Look()
    asked = LoggingConfig(verbosity_level="debug", use_colors=False, show_progress_bars=False)
    assert Look.of({"logging": asked.model_dump()}) == Look("debug", False, False)
    assert set(LoggingConfig.model_fields) == set(Look.__dataclass_fields__)
