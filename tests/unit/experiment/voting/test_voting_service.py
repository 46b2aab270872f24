"""A whole vote, from the question whether to vote to what is told of it."""

from __future__ import annotations

import dataclasses
from itertools import permutations
from typing import Any

import pytest

from shared.schemas.events import EventType
from shared.schemas.experiment.terms import Language, Principle
from tests.unit.experiment.voting.group import GARBAGE, NO, SLOW, YES, Group, amount, ballot, state
from workers.experiment.errors import ConsensusFailureError, ReplayDivergedError
from workers.experiment.history import EntryKind
from workers.experiment.records import Ballot, Choice, Disagreement, VoteRound
from workers.experiment.services.protocols import VotingProtocol

FLOOR = Principle.MAXIMIZING_FLOOR
WITH_FLOOR = Principle.MAXIMIZING_AVERAGE_FLOOR_CONSTRAINT

CALLED = {"vote/initiation": {"Ann": YES}, "vote/confirmation": {"*": YES}}


def voting(principles: dict[str, Any], amounts: dict[str, Any] | None = None) -> dict[str, Any]:
    """A vote that Ann calls and everybody confirms."""
    return {**CALLED, "ballot/principle": principles, "ballot/amount": amounts or {}}


async def test_it_is_what_the_phase_asks_for() -> None:
    service: VotingProtocol = Group({}).service
    assert service.should_initiate_voting(state())


async def test_a_group_agrees() -> None:
    group = Group(
        voting({"*": ballot(3)}, {"Ann": amount(12_000), "Bob": amount(13_000), "Cleo": amount(12_500)}),
        phase2_settings={"constraint_tolerance": 1_000},
    )
    vote = await group.service.coordinate_voting(state())
    assert (vote.trigger, vote.initiator, vote.confirmed, vote.reached) == ("initiated", "Ann", True, True)
    assert vote.consensus is not None
    assert vote.consensus.choice == Choice(WITH_FLOOR, 12_500)
    assert [given.agent for given in vote.ballots] == ["Ann", "Bob", "Cleo"]
    assert group.events(EventType.BALLOT_RESULT) == [
        {
            "round": 3,
            "reached": True,
            "principle": "maximizing_average_floor_constraint",
            "amount": 12_500,
            "disagreement": None,
            "counts": {"maximizing_average_floor_constraint": 3},
            "abstentions": 0,
        }
    ]
    told = group.service.announce(vote)
    assert told is not None
    assert "Ann called for a vote." in told
    assert "$12,500" in told


async def test_nobody_calls_a_vote() -> None:
    group = Group({"vote/initiation": {"*": NO}})
    vote = await group.service.coordinate_voting(state())
    assert (vote.trigger, vote.initiator, vote.confirmed, vote.reached) == ("none", None, None, False)
    assert len(vote.initiations) == 3
    assert group.service.announce(vote) is None
    assert group.service.recollection(group.agents[0], vote) is not None


async def test_one_who_does_not_confirm_sends_the_group_back_to_talking() -> None:
    group = Group({"vote/initiation": {"Ann": YES}, "vote/confirmation": {"Bob": NO, "Cleo": GARBAGE}})
    vote = await group.service.coordinate_voting(state())
    assert (vote.trigger, vote.confirmed, vote.ballots, vote.consensus) == ("initiated", False, (), None)
    assert not group.events(EventType.BALLOT_RESULT)
    told = group.service.announce(vote)
    assert told is not None
    against, unclear = told.splitlines()[1:3]
    assert ("Bob" in against, "Cleo" in against) == (True, False)
    assert ("Bob" in unclear, "Cleo" in unclear) == (False, True)
    assert "not a no" in unclear


@pytest.mark.parametrize(
    ("principles", "amounts", "disagreement"),
    [
        ({"Ann": ballot(1), "*": ballot(2)}, {}, Disagreement.PRINCIPLE),
        ({"*": ballot(3)}, {"Ann": amount(9_000), "*": amount(12_000)}, Disagreement.CONSTRAINT),
        (
            {"Ann": ballot(1), "*": ballot(3)},
            {"Bob": amount(9_000), "Cleo": amount(12_000)},
            Disagreement.MIXED,
        ),
        ({"Ann": GARBAGE, "*": ballot(1)}, {}, Disagreement.FAILED),
        ({"*": SLOW}, {}, Disagreement.FAILED),
    ],
)
async def test_a_vote_without_a_decision_is_kept_and_told(
    principles: dict[str, Any], amounts: dict[str, Any], disagreement: Disagreement
) -> None:
    group = Group(voting(principles, amounts))
    vote = await group.service.coordinate_voting(state())
    assert vote.consensus is not None
    assert (vote.reached, vote.consensus.disagreement) == (False, disagreement)
    assert [given.agent for given in vote.ballots] == ["Ann", "Bob", "Cleo"]
    (event,) = group.events(EventType.BALLOT_RESULT)
    assert event["disagreement"] == disagreement.value
    told = group.service.announce(vote)
    assert told is not None
    assert told.endswith(group.agents[0].text.text(f"voting.outcome.{disagreement.value}"))


async def test_a_vote_that_nobody_answered_in_time_is_all_abstentions() -> None:
    vote = await Group(voting({"*": SLOW})).service.coordinate_voting(state())
    assert [(given.choice, given.abstention, len(given.steps)) for given in vote.ballots] == [
        (None, "timed_out", 3)
    ] * 3
    assert vote.consensus is not None
    assert vote.consensus.abstentions == 3


async def test_one_unreadable_ballot_leaves_a_majority_to_the_others() -> None:
    group = Group(
        voting({"Ann": GARBAGE, "*": ballot(3)}, {"Bob": amount(9_000), "Cleo": amount(12_000)}),
        decision_rule="majority",
    )
    vote = await group.service.coordinate_voting(state())
    assert vote.consensus is not None
    assert vote.consensus.choice == Choice(WITH_FLOOR, 9_000)
    told = group.service.announce(vote)
    assert told is not None
    assert "by majority" in told


async def test_two_agents() -> None:
    group = Group(voting({"*": ballot(1)}), agents=("Ann", "Bob"))
    assert (await group.service.coordinate_voting(state())).reached
    apart = Group(
        voting({"Ann": ballot(1), "Bob": ballot(2)}), agents=("Ann", "Bob"), decision_rule="majority"
    )
    assert not (await apart.service.coordinate_voting(state())).reached, "one of two is no majority"


# When there is a vote


@pytest.mark.parametrize(
    ("config", "discussed", "expected"),
    [
        ({}, state(1), True),
        ({"minimum_rounds": 3}, state(2), False),
        ({"minimum_rounds": 3}, state(3), True),
        ({"profile": "human"}, state(1), False),
        ({"profile": "human"}, state(2), True),
        ({"forced_ballot_last_round": True}, state(10, last=True), True),
        ({"forced_ballot_last_round": True, "minimum_rounds": 3}, state(2, last=True), True),
        ({"decision_rule": "imposed:maximizing_floor"}, state(10, last=True), False),
        (
            {"decision_rule": "imposed:maximizing_floor", "forced_ballot_last_round": True},
            state(10, last=True),
            False,
        ),
    ],
)
async def test_when_a_vote_may_follow(config: dict[str, Any], discussed: Any, expected: bool) -> None:
    group = Group({"vote/initiation": {"*": NO}, "ballot/principle": {"*": ballot(1)}}, **config)
    assert group.service.should_initiate_voting(discussed) is expected
    vote = await group.service.coordinate_voting(discussed)
    assert bool(group.asked) is expected
    assert expected or (vote == VoteRound(round=discussed.round, trigger="none") and not group.told)


async def test_the_last_ballot_is_forced_and_needs_no_confirmation() -> None:
    group = Group({"ballot/principle": {"*": ballot(1)}}, forced_ballot_last_round=True)
    vote = await group.service.coordinate_voting(state(10, last=True))
    assert (vote.trigger, vote.initiator, vote.confirmed, vote.reached) == ("forced", None, None, True)
    assert (vote.initiations, vote.confirmations) == ((), ())
    assert [event.type for event in group.told] == [EventType.BALLOT_RESULT]
    told = group.service.announce(vote)
    assert told is not None
    assert told.startswith(group.agents[0].text.text("voting.outcome.forced"))


async def test_without_prompts_the_forced_ballot_is_still_held() -> None:
    group = Group(
        {"ballot/principle": {"*": ballot(1)}},
        forced_ballot_last_round=True,
        phase2_settings={"prompt_based_voting": False},
    )
    assert (await group.service.coordinate_voting(state(4))).trigger == "none"
    assert (await group.service.coordinate_voting(state(10, last=True))).reached


# Order and repetition


async def test_the_record_does_not_depend_on_the_order_in_which_answers_arrive() -> None:
    answers: dict[str, dict[str, Any]] = {
        "vote/initiation": {"Ann": NO, "Bob": YES, "Cleo": YES},
        "vote/confirmation": {"Ann": YES, "Bob": YES, "Cleo": YES},
        "ballot/principle": {"Ann": ballot(3), "Bob": ballot(1), "Cleo": ballot(3)},
        "ballot/amount": {"Ann": amount(9_000), "Cleo": [amount(3), GARBAGE]},
        "ballot/amount/correction": {"Cleo": amount(10_000)},
    }
    # Who called the vote is not asked to confirm it, and nobody waits for it.
    initiator = await _initiator(answers)
    answers["vote/confirmation"].pop(initiator)
    votes, events, prompts = [], [], []
    for arrival in permutations(("Ann", "Bob", "Cleo")):
        group = Group(answers, initiation="all", arrival=arrival)
        votes.append(await group.service.coordinate_voting(state()))
        events.append(group.told)
        prompts.append({path: (step.system, step.user) for path, step in group.store.steps.items()})
    assert all(vote == votes[0] for vote in votes)
    assert all(told == events[0] for told in events)
    assert all(asked == prompts[0] for asked in prompts)
    assert votes[0].consensus is not None
    assert votes[0].consensus.disagreement is Disagreement.MIXED


async def _initiator(answers: dict[str, Any]) -> str:
    group = Group(answers, initiation="all")
    found = (await group.service.initiate_voting(state())).initiator
    assert found is not None
    return found


async def test_a_recorded_vote_is_never_asked_again() -> None:
    answers = voting({"*": ballot(3)}, {"Bob": [GARBAGE, amount(12_000)], "*": amount(12_000)})
    first = Group(answers)
    vote = await first.service.coordinate_voting(state())
    again = Group({}, recorded=first.store, replay=True)
    assert await again.service.coordinate_voting(state()) == vote
    assert again.models.calls == []
    assert again.told == first.told
    other = Group({}, recorded=first.store, replay=True)
    with pytest.raises(ReplayDivergedError):
        await other.service.coordinate_voting(state(said={"Ann": "Something else."}))


# Secrecy


async def test_no_prompt_no_event_and_no_history_holds_another_agents_ballot() -> None:
    amounts = {"Ann": 11_113, "Bob": 22_227, "Cleo": 33_331}
    group = Group(
        {
            "vote/initiation": {"Ann": YES},
            "vote/confirmation": {"*": YES},
            "ballot/principle": {name: ballot(3, "very_unsure") for name in amounts},
            "ballot/amount": {name: amount(given) for name, given in amounts.items()},
        }
    )
    vote = await group.service.coordinate_voting(state(3))
    assert vote.consensus is not None
    assert vote.consensus.disagreement is Disagreement.CONSTRAINT
    public = str(group.service.announce(vote))
    for agent in group.agents:
        agent.memory = str(group.service.recollection(agent, vote))
    later = state(4, said=dict.fromkeys(amounts, "Let us talk."))
    later.history.add(EntryKind.VOTE, 3, public)
    await group.service.coordinate_voting(later)
    told = [str(event.data) for event in group.told]
    assert len(told) == 2 * (1 + 3 + 1)
    for name, given in amounts.items():
        written = (str(given), f"{given:,}")
        elsewhere = [call.system + call.user for call in group.models.calls if call.role != name]
        for text in (*elsewhere, *told, public):
            assert not any(form in text for form in written)
        own = next(agent for agent in group.agents if agent.name == name).memory
        assert written[1] in own
        assert not any(f"{other:,}" in own for other in amounts.values() if other != given)


async def test_the_result_is_told_once_the_box_is_closed_and_names_nobody() -> None:
    group = Group(voting({"Ann": ballot(1), "*": ballot(2)}))
    await group.service.coordinate_voting(state())
    assert [event.type for event in group.told] == [
        EventType.VOTE_INITIATION,
        *[EventType.VOTE_CONFIRMATION] * 3,
        EventType.BALLOT_RESULT,
    ]
    told = str(group.told[-1].data)
    assert not any(name in told for name in group.names)
    assert list(group.told[-1].data["counts"].values()) == [1, 2]


# Counting what others hand in


def of(agent: str, principle: Principle | None) -> Ballot:
    return Ballot(agent=agent, choice=None if principle is None else Choice(principle))


async def test_who_hands_in_no_ballot_abstains() -> None:
    service = Group({}).service
    found = service.validate_consensus([of("Ann", FLOOR), of("Bob", FLOOR)], "unanimity")
    assert (found.reached, found.abstentions) == (False, 1)
    assert service.validate_consensus([of("Ann", FLOOR), of("Bob", FLOOR)], "majority").reached
    assert service.require_consensus([of("Ann", FLOOR), of("Bob", FLOOR)], "majority") == Choice(FLOOR)
    with pytest.raises(ConsensusFailureError, match="voting_failed"):
        service.require_consensus([of("Ann", FLOOR), of("Bob", FLOOR)])


@pytest.mark.parametrize(
    ("ballots", "rule", "told"),
    [
        ([of("Dan", FLOOR)], "unanimity", "'Dan', who is no agent"),
        ([of("Ann", FLOOR), of("Ann", FLOOR)], "unanimity", "2 ballots of 'Ann'"),
        ([of("Ann", FLOOR)], "plurality", "plurality"),
    ],
)
async def test_ballots_that_cannot_be_are_refused(ballots: list[Ballot], rule: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Group({}).service.validate_consensus(ballots, rule)


# Languages

_MONEY = {Language.ENGLISH: "12,000", Language.SPANISH: "12.000", Language.MANDARIN: "1.2万"}


@pytest.mark.parametrize("language", Language)
async def test_a_vote_in_each_language(language: Language) -> None:
    written = _MONEY[language]
    group = Group(
        {
            "vote/initiation": {
                "Ann": {"english": "no", "spanish": "no", "mandarin": "否"}[language],
                "Bob": YES,
            },
            "vote/confirmation": {"*": {"english": "yes", "spanish": "Sí", "mandarin": "同意"}[language]},
            "ballot/principle": {"*": [GARBAGE, ballot(3)]},
            "ballot/amount": {"Ann": amount(5), "*": written},
            "ballot/amount/correction": {"*": written},
        },
        language=language.value,
    )
    assert {agent.text.language for agent in group.agents} == {language}
    vote = await group.service.coordinate_voting(state(said={"Ann": "12000?", "Bob": "好。", "Cleo": "Sí."}))
    assert vote.consensus is not None
    assert vote.consensus.choice == Choice(WITH_FLOOR, 12_000)
    text = group.agents[0].text
    told = group.service.announce(vote)
    assert told is not None
    assert text.principle(WITH_FLOOR) in told
    assert text.money(12_000) in told
    recalled = group.service.recollection(group.agents[1], vote)
    assert recalled is not None
    assert told in recalled
    assert text.text("voting.memory.wanted", round=3) in recalled
    # Whatever can be told of a vote is there in the language.
    for kind in Disagreement:
        failed = dataclasses.replace(vote.consensus, reached=False, choice=None, disagreement=kind)
        assert group.service.announce(dataclasses.replace(vote, consensus=failed))


async def test_each_agent_is_asked_in_its_own_language_and_the_history_has_the_groups() -> None:
    answers: dict[str, Any] = {"vote/initiation": {"*": YES}, "vote/confirmation": {"*": NO}}
    group = Group(answers, languages={"Bob": "spanish"})
    vote = await group.service.coordinate_voting(state())
    asked = {call.role: call.user for call in group.models.calls}
    assert "Do you want the group to vote now?" in asked["Ann"]
    assert "¿Estás de acuerdo en votar ahora?" in asked["Bob"]
    assert "called for a vote" in str(group.service.announce(vote))
    assert "pidió votar" in str(group.service.recollection(group.agents[1], vote))
