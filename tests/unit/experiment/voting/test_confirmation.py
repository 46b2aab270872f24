"""Who takes part in a vote."""

from __future__ import annotations

import pytest

from shared.schemas.events import EventType
from tests.unit.experiment.voting.group import GARBAGE, NO, REFUSED, SLOW, YES, Group, state


async def test_all_but_the_initiator_are_asked_at_once_and_told_in_config_order() -> None:
    group = Group({"vote/confirmation": {"Ann": YES, "Cleo": YES}}, arrival=["Cleo", "Ann"])
    found = await group.service.coordinate_voting_confirmation(group.agents, state(), initiator="Bob")
    assert found.confirmed
    assert [(answer.agent, answer.agrees, answer.steps) for answer in found.answers] == [
        ("Ann", True, ("p2/r3/Ann/vote/confirmation/try1",)),
        ("Bob", True, ()),
        ("Cleo", True, ("p2/r3/Cleo/vote/confirmation/try1",)),
    ]
    assert group.events(EventType.VOTE_CONFIRMATION) == [
        {"round": 3, "agent": name, "agrees": True} for name in ("Ann", "Bob", "Cleo")
    ]
    assert "Bob wants the group to vote" in group.prompts("vote/confirmation", "Ann")[0].user


async def test_one_no_keeps_the_vote_from_being_held() -> None:
    group = Group({"vote/confirmation": {"Bob": YES, "Cleo": NO}})
    found = await group.service.coordinate_voting_confirmation(group.agents, state(), initiator="Ann")
    assert not found.confirmed
    assert [answer.agrees for answer in found.answers] == [True, True, False]


async def test_what_is_not_clear_is_asked_for_again_before_it_keeps_a_vote_from_being_held() -> None:
    group = Group(
        {"vote/confirmation": {"Bob": [GARBAGE, SLOW, YES], "Cleo": ["I am 100% with you, or 0%?", YES]}}
    )
    found = await group.service.coordinate_voting_confirmation(group.agents, state(), initiator="Ann")
    assert found.confirmed
    assert len(found.answers[1].warnings) == 2


@pytest.mark.parametrize("answer", [GARBAGE, SLOW, REFUSED, "", "10"])
async def test_without_a_clear_answer_it_is_no_yes_and_no_no(answer) -> None:  # type: ignore[no-untyped-def]
    group = Group({"vote/confirmation": {"Bob": answer, "Cleo": YES}})
    found = await group.service.coordinate_voting_confirmation(group.agents, state(), initiator="Ann")
    assert not found.confirmed
    assert [answer.agrees for answer in found.answers] == [True, None, True]
    assert group.events(EventType.VOTE_CONFIRMATION)[1] == {"round": 3, "agent": "Bob", "agrees": None}


async def test_tries_and_time_are_those_of_the_configuration() -> None:
    group = Group(
        {"vote/confirmation": {"*": GARBAGE}},
        phase2_settings={"confirmation_timeout_seconds": 33, "two_stage_max_retries": 4},
    )
    found = await group.service.coordinate_voting_confirmation(group.agents, state(), initiator="Ann")
    assert [len(answer.steps) for answer in found.answers] == [0, 4, 4]
    assert {call.timeout for call in group.models.calls} == {33.0}
    await group.service.coordinate_voting_confirmation(group.agents, state(4), initiator="Ann", timeout=12)
    assert {call.timeout for call in group.models.calls[8:]} == {12}
