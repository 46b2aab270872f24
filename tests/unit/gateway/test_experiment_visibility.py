"""What is shown of a phase that goes on: what the others hear, and nothing that was thought or voted."""

from __future__ import annotations

from typing import Any

from gateway.experiments.visibility import visible
from shared.database.models import ExperimentStep


def step(path: str, purpose: str, **values: Any) -> ExperimentStep:
    usual = {"phase": int(path[1]), "kind": "call", "outcome": "answered", "answer": "raw", "value": "read"}
    return ExperimentStep(
        path=path, purpose=purpose, system_prompt="memory", user_prompt="asked", **{**usual, **values}
    )


def shown(phase: int, *, ended: bool = False) -> list[ExperimentStep]:
    thought = "<think>I mean the opposite.</think>We need a floor."
    steps = [
        step("p1/Ann/ranking/initial/try1", "ranking/initial"),
        step("p2/r1/-/order", "order", kind="draw", outcome=None, answer=None, value=["Ann"]),
        step("p2/r1/Ann/reasoning/try1", "reasoning"),
        step("p2/r1/Ann/statement/try1", "statement", unreadable="too_short"),
        step("p2/r1/Ann/statement/try2", "statement", answer=thought, value="We need a floor."),
        step("p2/r1/Ann/ballot/principle/try1", "ballot/principle"),
        step("p2/r1/-/vote/order", "vote/order", kind="draw", outcome=None, answer=None, value=["Ann"]),
    ]
    return list(visible(steps, phase=phase, ended=ended))


def test_of_a_phase_that_goes_on_only_what_the_others_hear_is_shown() -> None:
    assert shown(1)[0].purpose == "order"
    order, statement = shown(2)[1:]
    assert (order.purpose, statement.path) == ("order", "p2/r1/Ann/statement/try2")
    assert (statement.answer, statement.system_prompt, statement.user_prompt) == (
        "We need a floor.",
        None,
        None,
    )


def test_of_a_phase_that_has_ended_everything_is_shown() -> None:
    assert shown(2)[0].system_prompt == "memory"
    everything = shown(2, ended=True)
    assert len(everything) == 7
    assert "opposite" in str(everything[4].answer)
