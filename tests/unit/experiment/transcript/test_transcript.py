"""A transcript tells each step, in an order that can be followed, and no text gets out of its place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.schemas.experiment.transcript import (
    TranscriptOptions,
    interaction,
    json_lines,
    markdown,
)

ALL = TranscriptOptions(memory_updates=True, instructions=True)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the step log."""

    path: str = "p2/r1/Agent_1/statement/try1"
    phase: int = 2
    round: int | None = 1
    agent: str | None = "Agent_1"
    purpose: str = "statement"
    tried: int | None = 1
    kind: str = "call"
    role: str | None = "Agent_1"
    model: str | None = "small-instruct"
    system_prompt: str | None = "You take part."
    user_prompt: str | None = "What do you say?"
    outcome: str | None = "answered"
    answer: str | None = "I am for a floor."
    value: Any = "I am for a floor."
    unreadable: str | None = None
    sends: int = 1
    input_tokens: int | None = 12
    output_tokens: int | None = 5
    seconds: float | None = 0.251
    started_at: datetime | None = datetime(2026, 3, 1, 12, tzinfo=UTC)
    answered_at: datetime | None = datetime(2026, 3, 1, 12, 0, 1, tzinfo=UTC)


MEMORY = Row(
    path="p2/r1/Agent_1/memory/discussion", purpose="memory/discussion", tried=None, answer="I noted."
)


def lines(rows: list[Row], options: TranscriptOptions = ALL) -> list[dict[str, Any]]:
    """What the lines hold."""
    return [json.loads(line) for line in json_lines(rows, options)]


def test_a_line_has_everything_of_a_call() -> None:
    (line,) = lines([Row()])

    assert line == {
        "path": "p2/r1/Agent_1/statement/try1",
        "kind": "call",
        "phase": 2,
        "round": 1,
        "participant": "Agent_1",
        "interaction_type": "statement",
        "try": 1,
        "asked": "Agent_1",
        "model": "small-instruct",
        "instructions": "You take part.",
        "prompt": "What do you say?",
        "outcome": "answered",
        "response": "I am for a floor.",
        "value": "I am for a floor.",
        "unreadable": None,
        "input_tokens": 12,
        "output_tokens": 5,
        "sends": 1,
        "duration_seconds": 0.251,
        "started_at": "2026-03-01T12:00:00.000Z",
        "answered_at": "2026-03-01T12:00:01.000Z",
    }


def test_by_default_neither_memory_updates_nor_instructions_are_in_it() -> None:
    (line,) = lines([MEMORY, Row()], TranscriptOptions())

    assert line["interaction_type"] == "statement"
    assert "instructions" not in line
    assert "prompt" in line


@pytest.mark.parametrize(
    ("option", "missing"),
    [
        ("input_prompts", {"prompt"}),
        ("instructions", {"instructions"}),
        ("agent_responses", {"response", "value", "unreadable"}),
    ],
)
def test_what_an_option_leaves_out(option: str, missing: set[str]) -> None:
    options = {"memory_updates": True, "instructions": True, option: False}
    (line,) = lines([Row()], TranscriptOptions(**options))
    (whole,) = lines([Row()])

    assert set(whole) - set(line) == missing
    text = "".join(markdown([Row()], TranscriptOptions(**options)))
    assert ("What do you say?" in text) is (option != "input_prompts")
    assert ("I am for a floor." in text) is (option != "agent_responses")
    assert ("You take part." in text) is (option != "instructions")


def test_a_draw_is_a_step_too() -> None:
    order = Row(
        path="p2/r1/-/order",
        purpose="order",
        kind="draw",
        agent=None,
        tried=None,
        value=["Agent_2", "Agent_1"],
    )

    assert lines([order])[0]["value"] == ["Agent_2", "Agent_1"]
    assert 'Drawn: `["Agent_2", "Agent_1"]`' in "".join(markdown([order]))


@pytest.mark.parametrize(
    ("purpose", "name"),
    [
        ("reasoning", "internal_reasoning"),
        ("statement", "statement"),
        ("statement/failure", "failure_classification"),
        ("vote/initiation", "vote_prompt"),
        ("vote/confirmation", "vote_confirmation"),
        ("ballot/principle", "ballot"),
        ("ballot/amount", "ballot"),
        ("memory/discussion/3", "memory_update"),
        ("ranking/initial", "ranking"),
        ("application", "demonstration"),
        ("comprehension/2", "comprehension"),
    ],
)
def test_types_of_interaction(purpose: str, name: str) -> None:
    assert interaction(purpose) == name


def test_markdown_follows_each_agent_and_then_each_round() -> None:
    rows = [
        Row(path="a", phase=1, round=None, agent="Agent_1", purpose="ranking/initial"),
        Row(path="b", phase=1, round=None, agent="Agent_2", purpose="ranking/initial"),
        Row(path="c", phase=1, round=1, agent="Agent_1", purpose="application"),
        Row(path="d", phase=2, round=2, purpose="statement"),
        Row(path="e", phase=2, round=None, purpose="ranking/final"),
        Row(path="f", phase=2, round=10, purpose="statement"),
        # Its answer came late.
        Row(path="g", phase=2, round=2, agent=None, purpose="favoured", role=None),
    ]

    text = "".join(markdown(rows, title="three_agents.yaml"))

    heads = [line for line in text.splitlines() if line.startswith(("#", "*"))]
    paths = [line.rsplit("`", 2)[1] for line in heads if line.startswith("*")]
    assert paths == ["a", "c", "b", "d", "g", "f", "e"]
    assert [line for line in heads if line.startswith(("# ", "## ", "### "))] == [
        "# three\\_agents.yaml",
        "## Phase 1",
        "### Agent\\_1",
        "### Agent\\_2",
        "## Phase 2",
        "### Round 2",
        "### Round 10",
        "### Results",
    ]


def test_what_went_wrong_is_told() -> None:
    text = "".join(
        markdown(
            [Row(tried=2, sends=3, unreadable="no_principle", value=None), Row(outcome=None, answer=None)]
        )
    )

    assert "try 2" in text
    assert "sent 3 times" in text
    assert "Not readable: `no_principle`" in text
    assert "in flight" in text


@given(st.text(alphabet="`#\n a*<", max_size=60))
def test_an_answer_cannot_leave_its_fence(answer: str) -> None:
    text = "".join(markdown([Row(answer=answer + "x", agent="A`#\n# B", value=None)]))

    inside: str | None = None
    heads = []
    for line in text.splitlines():
        if inside is not None:
            inside = None if line == inside else inside
        elif line.startswith("```"):
            inside = line.removesuffix("text")
        elif line.startswith("#"):
            heads.append(line)
    assert inside is None
    assert heads == ["# Transcript", "## Phase 2", "### Round 1", "#### A\\`\\# \\# B: statement"]


@given(st.text(), st.text(min_size=1))
def test_a_line_is_one_line_whatever_was_said(answer: str, agent: str) -> None:
    (line,) = json_lines([Row(answer=answer, agent=agent)])

    assert line.count("\n") == 1
    assert json.loads(line)["response"] == answer
