"""The secret ballot: what is asked, what counts, what becomes of answers that do not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Certainty, Principle
from tests.unit.experiment.voting.group import GARBAGE, REFUSED, SLOW, Group, amount, ballot, state
from workers.experiment.errors import VotingTimeoutError
from workers.experiment.records import Ballot, Choice

FLOOR = Principle.MAXIMIZING_FLOOR
WITH_FLOOR = Principle.MAXIMIZING_AVERAGE_FLOOR_CONSTRAINT
WITH_RANGE = Principle.MAXIMIZING_AVERAGE_RANGE_CONSTRAINT


async def cast(group: Group, **discussed: Any) -> tuple[Ballot, ...]:
    return await group.service.coordinate_secret_ballot(group.agents, state(**discussed))


async def test_the_amount_is_asked_of_those_alone_whose_principle_needs_one() -> None:
    group = Group(
        {
            "ballot/principle": {
                "Ann": ballot(1, "very_sure"),
                "Bob": ballot(3, "unsure"),
                "Cleo": ballot(4, None),
            },
            "ballot/amount": {"Bob": amount(13_000), "Cleo": "$15,000"},
        },
        arrival=["Bob", "Cleo", "Ann"],
    )
    ann, bob, cleo = await cast(group)
    assert (ann.choice, ann.certainty, ann.amount_text) == (Choice(FLOOR), Certainty.VERY_SURE, None)
    assert (bob.choice, bob.certainty) == (Choice(WITH_FLOOR, 13_000), Certainty.UNSURE)
    assert (bob.text, bob.amount_text) == (ballot(3, "unsure"), amount(13_000))
    assert bob.steps == ("p2/r3/Bob/ballot/principle/try1", "p2/r3/Bob/ballot/amount/try1")
    assert (cleo.choice, cleo.certainty) == (Choice(WITH_RANGE, 15_000), None), "certainty is never assumed"
    assert [given.abstention for given in (ann, bob, cleo)] == [None] * 3


async def test_a_ballot_carries_no_memory_and_no_balance() -> None:
    group = Group({"ballot/principle": {"*": ballot(3)}, "ballot/amount": {"*": amount(12_000)}})
    ballots = await cast(group)
    for call in group.models.calls:
        assert "77,777" not in call.system + call.user
        assert len(call.system + call.user) < 2_500
    assert ballots[0].memory == "memory of Ann: 77,777", "the record keeps what the agent remembered"


@pytest.mark.parametrize(
    "answer", ["$15,000", "10", "1 or 2", '{"principle": 10}', '{"principle": [1, 2]}', "15"]
)
async def test_what_names_no_principle_or_two_is_asked_again_with_a_quote(answer: str) -> None:
    group = Group({"ballot/principle": {"*": [answer, ballot(2)]}})
    ballots = await cast(group)
    assert {given.choice for given in ballots} == {Choice(Principle.MAXIMIZING_AVERAGE)}
    first, second = group.prompts("ballot/principle", "Ann")
    assert second.user.startswith(first.user)
    assert answer in second.user.removeprefix(first.user)
    assert len(ballots[0].warnings) == 1


@pytest.mark.parametrize(
    ("answers", "amounts", "abstention", "tries"),
    [
        (GARBAGE, amount(1), "unreadable", 3),
        (SLOW, amount(1), "timed_out", 3),
        (REFUSED, amount(1), "refused", 1),
        (ballot(3), SLOW, "timed_out", 1 + 3),
        (ballot(3), REFUSED, "refused", 1 + 1),
        # And two tries of a correction.
        (ballot(3), GARBAGE, "unreadable", 1 + 3 + 2),
    ],
)
async def test_what_cannot_be_had_is_an_abstention_of_that_agent_alone(
    answers: Any, amounts: Any, abstention: str, tries: int
) -> None:
    group = Group(
        {
            "ballot/principle": {"Ann": ballot(3), "Bob": answers, "Cleo": ballot(1)},
            "ballot/amount": {"Ann": amount(12_000), "Bob": amounts},
            "ballot/amount/correction": {"Bob": amounts},
        }
    )
    ann, bob, cleo = await cast(group)
    assert (ann.choice, cleo.choice) == (Choice(WITH_FLOOR, 12_000), Choice(FLOOR))
    assert (bob.choice, bob.abstention, len(bob.steps)) == (None, abstention, tries)
    assert bob.steps == tuple(path for path in group.asked if "/Bob/" in path)


async def test_nobody_answers_in_time() -> None:
    group = Group({"ballot/principle": {"*": SLOW}})
    with pytest.raises(VotingTimeoutError) as failure:
        await cast(group)
    assert [given.abstention for given in failure.value.ballots] == ["timed_out"] * 3


async def test_one_answer_among_time_outs_is_a_vote() -> None:
    group = Group({"ballot/principle": {"Ann": SLOW, "Bob": SLOW, "Cleo": ballot(1)}})
    assert [given.abstention for given in await cast(group)] == ["timed_out", "timed_out", None]


@pytest.mark.parametrize(("given", "bound"), [(12, "$1,000"), (99_000_000, "$10,000,000")])
async def test_an_amount_out_of_bounds_is_corrected(given: int, bound: str) -> None:
    group = Group(
        {
            "ballot/principle": {"*": ballot(3)},
            "ballot/amount": {"*": amount(given)},
            "ballot/amount/correction": {"*": [GARBAGE, amount(12_000)]},
        },
        phase2_settings={"constraint_correction_timeout_seconds": 21, "two_stage_timeout_seconds": 31},
    )
    ballots = await cast(group)
    assert {made.choice for made in ballots} == {Choice(WITH_FLOOR, 12_000)}
    first, _ = group.prompts("ballot/amount/correction", "Ann")
    assert f"${given:,}" in first.user
    assert bound in first.user
    assert first.timeout == 21
    assert group.prompts("ballot/amount", "Ann")[0].timeout == 31
    assert len(ballots[0].steps) == 4
    assert ballots[0].amount_text == amount(12_000)


async def test_a_correction_has_its_own_tries_and_then_the_agent_abstains() -> None:
    group = Group(
        {
            "ballot/principle": {"*": ballot(3)},
            "ballot/amount": {"*": amount(1)},
            "ballot/amount/correction": {"*": amount(2)},
        },
        phase2_settings={"max_constraint_correction_attempts": 4},
    )
    ballots = await cast(group)
    assert [(made.choice, made.abstention, len(made.steps)) for made in ballots] == [
        (None, "unreadable", 1 + 1 + 4)
    ] * 3


async def test_without_correction_the_bounds_belong_to_the_question() -> None:
    group = Group(
        {
            "ballot/principle": {"*": ballot(3)},
            "ballot/amount": {"Ann": amount(5), "*": [amount(5), amount(9_000)]},
        },
        phase2_settings={"constraint_correction_enabled": False},
    )
    ann, bob, _ = await cast(group)
    assert (ann.choice, ann.abstention, len(ann.steps)) == (None, "unreadable", 1 + 3)
    assert (bob.choice, bob.warnings) == (Choice(WITH_FLOOR, 9_000), ("amount_too_low",))


async def test_without_validation_any_amount_over_zero_counts() -> None:
    group = Group(
        {"ballot/principle": {"*": ballot(4)}, "ballot/amount": {"*": amount(1)}},
        phase2_settings={"amount_range_validation": False},
    )
    assert {made.choice for made in await cast(group)} == {Choice(WITH_RANGE, 1)}


def combined(principle: int, dollars: int | None) -> str:
    return json.dumps({"principle": principle, "amount": dollars, "certainty": "sure"})


async def test_one_question_asks_for_both_where_stages_are_off() -> None:
    group = Group(
        {"ballot/combined": {"Ann": combined(1, None), "Bob": combined(3, 13_000), "Cleo": GARBAGE}},
        phase2_settings={"two_stage_voting_enabled": False, "ballot_timeout_seconds": 77},
        arrival=["Cleo", "Bob", "Ann"],
    )
    ann, bob, cleo = await cast(group)
    assert (ann.choice, bob.choice) == (Choice(FLOOR), Choice(WITH_FLOOR, 13_000))
    assert bob.certainty is Certainty.SURE
    assert (cleo.choice, cleo.abstention, len(cleo.steps)) == (None, "unreadable", 3)
    assert {call.timeout for call in group.models.calls} == {77.0}


async def test_the_amount_of_a_combined_ballot_is_corrected_too() -> None:
    group = Group(
        {
            "ballot/combined": {"Ann": combined(3, 5), "Bob": combined(4, None), "Cleo": SLOW},
            "ballot/amount/correction": {"Ann": amount(11_000), "Bob": amount(20_000)},
        },
        phase2_settings={"two_stage_voting_enabled": False},
    )
    ann, bob, cleo = await cast(group)
    assert (ann.choice, bob.choice) == (Choice(WITH_FLOOR, 11_000), Choice(WITH_RANGE, 20_000))
    assert len(bob.steps) == 3 + 1
    assert cleo.abstention == "timed_out"


async def test_the_box_offers_what_is_on_the_agenda_and_takes_nothing_else() -> None:
    ceiling = Principle.MAXIMIZING_AVERAGE_CEILING_CONSTRAINT
    group = Group(
        {
            "ballot/principle": {"Ann": ballot(7), "Bob": [ballot(5), ballot(1)], "Cleo": ballot(6)},
            "ballot/amount": {"Ann": amount(50_000)},
        },
        open_agenda=True,
    )
    ann, bob, cleo = await cast(group, agenda=(*FOUR_PRINCIPLES, ceiling))
    assert ann.choice == Choice(ceiling, 50_000)
    assert bob.choice == Choice(FLOOR)
    assert cleo.abstention == "unreadable"
    question = group.prompts("ballot/principle", "Ann")[0].user
    assert f"7 = {group.agents[0].text.principle(ceiling)}" in question
    assert group.agents[0].text.principle(Principle.MINIMIZING_RANGE) not in question


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({}, "voting.rule.unanimity"),
        ({"phase2_settings": {"constraint_tolerance": 500}}, "voting.rule.unanimity_within"),
        ({"decision_rule": "majority"}, "voting.rule.majority"),
    ],
)
async def test_agents_are_told_what_decides(config: dict[str, Any], told: str) -> None:
    group = Group({"ballot/principle": {"*": ballot(1)}}, **config)
    await cast(group)
    assert group.agents[0].text.text(told, tolerance="$500") in group.models.calls[0].user
