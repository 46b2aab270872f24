"""Who calls a vote, and who is asked."""

from __future__ import annotations

import pytest

from shared.schemas.events import EventType
from tests.unit.experiment.voting.group import GARBAGE, NO, REFUSED, SLOW, YES, Group, everybody, state
from workers.experiment.languages.manager import load


async def test_the_first_yes_in_config_order_ends_the_poll() -> None:
    group = Group({"vote/initiation": {"Ann": NO, "Bob": YES}})
    found = await group.service.initiate_voting(state())
    assert found.initiator == "Bob"
    assert [(answer.agent, answer.wants) for answer in found.answers] == [("Ann", False), ("Bob", True)]
    assert group.asked == ["p2/r3/Ann/vote/initiation/try1", "p2/r3/Bob/vote/initiation/try1"]
    assert found.answers[1].steps == ("p2/r3/Bob/vote/initiation/try1",)
    assert group.events(EventType.VOTE_INITIATION) == [
        {"round": 3, "initiator": "Bob", "asked": ["Ann", "Bob"]}
    ]


async def test_everybody_is_asked_at_once_where_the_first_yes_does_not_count() -> None:
    group = Group(
        {"vote/initiation": {"Ann": NO, "Bob": YES, "Cleo": YES}},
        initiation="all",
        arrival=["Cleo", "Bob", "Ann"],
    )
    found = await group.service.initiate_voting(state())
    assert [(answer.agent, answer.wants) for answer in found.answers] == [
        ("Ann", False),
        ("Bob", True),
        ("Cleo", True),
    ]
    order = group.store.steps["p2/r3/-/vote/order"].value
    assert sorted(order) == ["Ann", "Bob", "Cleo"]
    assert found.initiator == next(name for name in order if name != "Ann")


async def test_the_initiator_does_not_depend_on_who_answers_first_nor_only_on_the_config() -> None:
    initiators: dict[int, set[str | None]] = {}
    for number in range(1, 9):
        for arrival in (["Ann", "Bob", "Cleo"], ["Cleo", "Bob", "Ann"]):
            group = Group(
                {"vote/initiation": everybody(("Ann", "Bob", "Cleo"), YES)}, initiation="all", arrival=arrival
            )
            found = await group.service.initiate_voting(state(number))
            initiators.setdefault(number, set()).add(found.initiator)
    assert all(len(names) == 1 for names in initiators.values())
    assert len(set.union(*initiators.values())) > 1


@pytest.mark.parametrize("initiation", ["first_yes", "all"])
async def test_nobody_wants_to_vote(initiation: str) -> None:
    group = Group({"vote/initiation": {"*": NO}}, initiation=initiation)
    found = await group.service.initiate_voting(state())
    assert (found.initiator, len(found.answers)) == (None, 3)
    assert group.events(EventType.VOTE_INITIATION)[0]["initiator"] is None


async def test_an_unreadable_answer_is_asked_for_again_and_then_a_no() -> None:
    group = Group(
        {"vote/initiation": {"Ann": GARBAGE, "Bob": [GARBAGE, YES]}},
        phase2_settings={"max_statement_retries": 2},
    )
    found = await group.service.initiate_voting(state())
    ann, bob = found.answers
    assert (ann.wants, len(ann.steps), len(ann.warnings), ann.text) == (False, 2, 2, GARBAGE)
    assert (bob.wants, len(bob.steps), len(bob.warnings)) == (True, 2, 1)
    assert GARBAGE in group.prompts("vote/initiation", "Bob")[1].user


async def test_a_time_out_is_asked_again_and_a_refusal_is_not() -> None:
    group = Group({"vote/initiation": {"Ann": [SLOW, NO], "Bob": REFUSED, "Cleo": SLOW}})
    found = await group.service.initiate_voting(state())
    ann, bob, cleo = found.answers
    assert (ann.wants, ann.warnings) == (False, ("timed_out",))
    assert (bob.wants, bob.warnings) == (False, ("refused",))
    assert (cleo.wants, cleo.warnings) == (False, ("timed_out",) * 3)
    assert found.initiator is None


async def test_an_agent_is_shown_what_it_said_and_thought_and_what_the_others_said() -> None:
    group = Group(
        {"vote/initiation": {"*": NO}},
        phase2_settings={"statement_timeout_seconds": 45},
    )
    await group.service.initiate_voting(
        state(
            said={"Ann": "A floor of $12,000.", "Bob": "No floor."},
            reasoning={"Ann": "Bob may yield.", "Bob": "I will not yield."},
        )
    )
    (ann,) = group.prompts("vote/initiation", "Ann")
    assert "A floor of $12,000." in ann.user
    assert "Bob may yield." in ann.user
    assert "Bob: No floor." in ann.system
    assert "I will not yield." not in ann.system + ann.user
    assert ann.timeout == 45
    (cleo,) = group.prompts("vote/initiation", "Cleo")
    assert load(group.agents[2].text.language).text("voting.own.nothing") in cleo.user


async def test_without_prompts_a_line_of_its_own_calls_the_vote() -> None:
    line = load(Group({}).config.language).text("voting.call.line")
    group = Group({}, phase2_settings={"prompt_based_voting": False})
    quoted = await group.service.initiate_voting(state(said={"Ann": f"Bob said: {line} I disagree."}))
    assert quoted.initiator is None
    called = await group.service.initiate_voting(
        state(4, said={"Ann": "I am for a floor.", "Bob": f"So am I.\n**{line}**", "Cleo": f"{line}\nNow!"})
    )
    assert called.initiator == "Bob"
    assert [answer.wants for answer in called.answers] == [False, True, True]
    spoken = await group.service.initiate_voting(state(5, said={"Cleo": line, "Ann": "No.", "Bob": line}))
    assert spoken.initiator == "Cleo"
    assert [answer.agent for answer in spoken.answers] == ["Ann", "Bob", "Cleo"]
    assert group.asked == []
