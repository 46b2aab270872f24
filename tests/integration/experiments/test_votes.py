"""How groups come to a decision, or do not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.experiments.lab import NAMES, Lab, Played, asked, config
from tests.integration.experiments.money import AVERAGE, FLOOR, WITH_FLOOR, check, check_choice, scaled

DRAWN = (None, None)


def decided(played: Played) -> tuple[str | None, int | None]:
    """Principle and amount of the decision."""
    return played.general["decided_principle"], played.general["consensus_amount"]


def pays(played: Played, principle: str | None, amount: int | None = None) -> None:
    """Everybody was paid, by the group's decision, to the cent."""
    table = scaled(played.general["distribution_multiplier"])
    for agent in played.result["agents"]:
        earning = agent["phase_2"]["post_group_discussion"]
        check(earning, table)
        told = played.of("payoff", phase=2, agent=agent["name"])
        assert [one["payoff"] for one in told] == [f"{earning['payoff_received']:.2f}"]
        if principle is not None:
            check_choice(earning, principle, amount)
            assert played.general["constraint_binding"] == earning["constraint_binding"]
        for chosen in agent["phase_1"]["demonstrations"]:
            check_choice(chosen, chosen["choice_principal"], chosen["constraint_amount"])
        # What it had, and what it was paid, is what it has.
        before = agent["phase_1"]["demonstrations"][-1]["bank_balance_after_round"]
        after = round(before + earning["payoff_received"], 2)
        assert earning["bank_balance"] == after


@pytest.mark.parametrize("structured", ["on", "off"])
async def test_a_group_agrees(lab: Lab, structured: str) -> None:
    """Two agents; with and without structured output."""
    run = config("agree", "agree", structured_output=structured, distribution_range_phase2=[0.5, 0.8])
    played = await lab.play(run)
    assert decided(played) == (WITH_FLOOR, 14_000)
    assert (played.general["consensus_reached"], played.general["decided_by"]) == (True, "consensus")
    assert played.general["status"] == "complete"
    pays(played, WITH_FLOOR, 14_000)
    [vote] = played.votes
    assert (vote["trigger_participant"], vote["vote_counts"], vote["abstentions"]) == (
        "Alice",
        {WITH_FLOOR: 2},
        0,
    )
    favoured = {agent["phase_2"]["rounds"][0]["favored_principle"] for agent in played.result["agents"]}
    assert favoured == {WITH_FLOOR}
    # Above every floor nothing qualifies: that it makes a difference is told.
    assert played.general["constraint_binding"] is True
    assert played.ballot("Bob")["certainty"] == "sure"
    requests = await lab.requests()
    with_schema = [one for one in requests if "response_format" in one["body"]]
    if structured == "off":
        assert with_schema == []
    else:
        assert all(
            "response_format" in one["body"]
            for one in requests
            if asked(one).kind in ("ballot", "amount", "ranking", "confirmation", "initiation")
        )
    assert played.result["run"]["usage"]["calls"] == len(requests) == played.shown["calls"]
    assert played.result["run"]["usage"]["reasked"] == 0


async def test_the_events_are_in_order_and_complete_after_a_reconnect(lab: Lab) -> None:
    path = await lab.start(config("agree", "agree"))
    first: list[dict[str, Any]] = []
    async for event in lab.events(path):
        first.append(event)
        if event["event"] == "statement":
            break
    rest = [event async for event in lab.events(path, after=first[-1]["id"])]
    events = [event for event in (*first, *rest) if event["event"] != "queued"]
    assert [event["id"] for event in events] == [f"1-{number}" for number in range(1, len(events) + 1)]
    assert [event async for event in lab.events(path)][-len(events) :] == events
    told = [event["event"] for event in events if event["event"] != "progress"]
    assert told[:2] == ["experiment_started", "phase"]
    alone = told[2 : told.index("phase", 2)]
    assert {kind: alone.count(kind) for kind in set(alone)} == {"ranking": 6, "application": 8, "payoff": 8}
    group = told[told.index("phase", 2) :]
    assert group == [
        "phase",
        "phase",
        "speaking_order",
        "statement",
        "statement",
        "vote_initiation",
        "vote_confirmation",
        "vote_confirmation",
        "ballot_result",
        "payoff",
        "payoff",
        "ranking",
        "ranking",
        "phase",
        "experiment_finished",
    ]
    fractions = [event["data"]["fraction"] for event in events if event["event"] == "progress"]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert events[-1]["data"].items() >= {"consensus_reached": True, "principle": WITH_FLOOR}.items()


async def test_another_principle_is_a_principle_disagreement(lab: Lab) -> None:
    played = await lab.play(config("agree", "agree+floor", "agree"))
    [vote] = played.votes
    assert (vote["consensus_reached"], vote["disagreement"]) == (False, "principle_disagreement")
    assert vote["vote_counts"] == {FLOOR: 1, WITH_FLOOR: 2}
    assert vote["abstentions"] == 0
    assert (played.general["consensus_reached"], played.general["decided_by"]) == (False, "none")
    assert decided(played) == DRAWN
    pays(played, None)
    assert "Bob" not in played.general["public_conversation_phase_2"].split("called for a vote")[1], (
        "nobody learns who voted otherwise"
    )


@pytest.mark.parametrize(("tolerance", "amount"), [(1_999, None), (2_000, 13_000)], ids=["less", "enough"])
async def test_other_amounts_disagree_beyond_the_tolerance(
    lab: Lab, tolerance: int, amount: int | None
) -> None:
    played = await lab.play(
        config("agree+low", "agree+high", phase2_settings={"constraint_tolerance": tolerance})
    )
    [vote] = played.votes
    if amount is None:
        assert vote["disagreement"] == "constraint_disagreement"
        assert vote["disagreement_detail"] == f"{WITH_FLOOR}:13000,15000"
        assert played.general["consensus_reached"] is False
    else:
        # Of two amounts, the lower is the middle one.
        assert decided(played) == (WITH_FLOOR, amount)
        pays(played, WITH_FLOOR, amount)


async def test_other_principles_and_amounts_are_mixed(lab: Lab) -> None:
    played = await lab.play(config("agree+low", "agree+high", "agree+floor"))
    assert played.votes[0]["disagreement"] == "mixed_disagreement"
    assert played.votes[0]["vote_counts"] == {FLOOR: 1, WITH_FLOOR: 2}


async def test_who_does_not_want_to_vote_is_asked_again_in_the_next_round(lab: Lab) -> None:
    played = await lab.play(config("agree", "agree+declines", "agree", phase2_rounds=3))
    attempts = played.result["voting_history"]["vote_confirmation_attempts"]
    assert [one["confirmation_succeeded"] for one in attempts] == [False, True]
    assert attempts[0]["confirmation_responses"] == {"Alice": "Yes", "Bob": "No", "Carol": "Yes"}
    assert [vote["round_number"] for vote in played.votes] == [2]
    assert played.general["rounds_conducted_phase_2"] == 2
    assert "Against voting now: Bob." in played.general["public_conversation_phase_2"]
    assert played.result["voting_history"]["vote_statistics"]["confirmations_refused"] == 1
    # The first round's ballot was never asked for.
    assert all(one.round == 2 for one in await lab.asked("ballot"))


async def test_who_cannot_be_understood_keeps_a_vote_from_being_held_without_a_no(lab: Lab) -> None:
    played = await lab.play(config("agree", "agree+hesitates"))
    [attempt] = played.result["voting_history"]["vote_confirmation_attempts"]
    assert attempt["confirmation_responses"] == {"Alice": "Yes", "Bob": None}
    assert played.votes == []
    assert len(await lab.asked("confirmation", "agree+hesitates")) == 3
    assert [one["agrees"] for one in played.of("vote_confirmation", agent="Bob")] == [None]


@pytest.mark.parametrize("structured", ["auto", "off"])
async def test_an_unreadable_ballot_is_asked_again_and_then_an_abstention(lab: Lab, structured: str) -> None:
    """``10`` and ``$15,000`` are no principle 1; the others' ballots stay what they are."""
    played = await lab.play(config("agree", "agree+garbled", "agree+average", structured_output=structured))
    garbled = played.ballot("Bob")
    assert (garbled["assessed_choice"], garbled["abstention"]) == (None, "unreadable")
    assert garbled["raw_response"] == "principle 1 or 2"
    assert garbled["warnings"] == ["number_out_of_range", "amount_not_principle", "multiple_principles"]
    assert len(garbled["steps"]) == 3
    questions = await lab.asked("ballot", "agree+garbled")
    assert [one.last_answer for one in questions] == [None, "10", "$15,000"]
    [vote] = played.votes
    assert (vote["vote_counts"], vote["abstentions"]) == ({AVERAGE: 1, WITH_FLOOR: 1}, 1)
    assert vote["warnings"] == [f"Bob: {code}" for code in garbled["warnings"]]
    assert played.ballot("Alice")["constraint_amount"] == 14_000
    statistics = played.result["voting_history"]["vote_statistics"]
    assert (statistics["abstentions"], statistics["failed_parsing_attempts"]) == (1, 1)
    assert (statistics["ballots_cast"], played.result["run"]["usage"]["reasked"]) == (3, 2)
    assert played.shown["reasked"] == 2


async def test_an_abstention_never_agrees(lab: Lab) -> None:
    """All who voted are of one mind; prose and nothing are no votes."""
    played = await lab.play(config("agree", "agree+wordy", "agree+mute"))
    [vote] = played.votes
    assert (vote["consensus_reached"], vote["disagreement"]) == (False, "voting_failed")
    assert (vote["vote_counts"], vote["abstentions"]) == ({WITH_FLOOR: 1}, 2)
    assert played.ballot("Bob")["raw_response"].startswith("Whatever the others want")
    assert [played.ballot(name)["abstention"] for name in ("Bob", "Carol")] == ["unreadable"] * 2


async def test_an_answer_that_is_read_at_the_second_try_counts(lab: Lab) -> None:
    played = await lab.play(config("agree", "agree+garbled_once"))
    assert decided(played) == (WITH_FLOOR, 14_000)
    assert played.ballot("Bob")["warnings"] == ["number_out_of_range"]


async def test_an_amount_out_of_bounds_is_corrected(lab: Lab) -> None:
    played = await lab.play(config("agree", "agree+small"))
    assert decided(played) == (WITH_FLOOR, 14_000)
    [question] = await lab.asked("correction")
    assert "is too low. It must be at least $1,000." in question.question


async def test_a_vote_without_consensus_opens_the_discussion_again(lab: Lab) -> None:
    played = await lab.play(config("agree", "agree+comes_round", phase2_rounds=3))
    assert [vote["disagreement"] for vote in played.votes] == ["principle_disagreement", None]
    assert decided(played) == (WITH_FLOOR, 14_000)
    assert played.result["voting_history"]["vote_statistics"]["average_consensus_round"] == 2


async def test_one_combined_ballot(lab: Lab) -> None:
    played = await lab.play(config("agree", "agree", phase2_settings={"two_stage_voting_enabled": False}))
    assert decided(played) == (WITH_FLOOR, 14_000)
    assert len(await lab.asked("combined")) == 2
    assert await lab.asked("ballot") == []


@pytest.mark.parametrize(
    ("plays", "principle", "amount"),
    [
        (("agree+floor", "agree+floor", "agree"), FLOOR, None),
        (("agree+low", "agree+high", "agree+garbled"), WITH_FLOOR, 13_000),
        (("agree+floor", "agree+floor", "agree", "agree+garbled"), None, None),
    ],
    ids=["most", "with_an_abstention", "of_all"],
)
async def test_a_majority_is_of_all_agents(
    lab: Lab, plays: tuple[str, ...], principle: str | None, amount: int | None
) -> None:
    played = await lab.play(config(*plays, decision_rule="majority"))
    assert decided(played) == (principle, amount)
    assert played.general["decided_by"] == ("majority" if principle else "none")
    pays(played, principle, amount)


async def test_a_forced_ballot_needs_nobody_to_call_it(lab: Lab) -> None:
    played = await lab.play(
        config("agree+talk", "agree+talk", forced_ballot_last_round=True, phase2_rounds=2)
    )
    [vote] = played.votes
    assert (vote["trigger"], vote["trigger_participant"], vote["round_number"]) == ("forced", None, 2)
    assert decided(played) == (WITH_FLOOR, 14_000)
    assert await lab.asked("confirmation") == []


async def test_all_are_asked_whether_to_vote_or_only_until_the_first_yes(lab: Lab) -> None:
    plays = ("agree+never_calls", "agree", "agree")
    first = await lab.play(config(*plays))
    requests = first.result["voting_history"]["vote_initiation_requests"]
    assert requests == {"1": {"Alice": "No", "Bob": "Yes"}}
    everybody = await lab.play(config(*plays, initiation="all", minimum_rounds=2, phase2_rounds=2))
    requests = everybody.result["voting_history"]["vote_initiation_requests"]
    assert requests == {"1": {}, "2": {"Alice": "No", "Bob": "Yes", "Carol": "Yes"}}
    assert everybody.votes[0]["trigger_participant"] in NAMES[1:3]


async def test_nobody_calls_a_vote(lab: Lab) -> None:
    played = await lab.play(config("talk", "talk", phase2_rounds=2))
    assert played.votes == []
    assert (played.general["consensus_reached"], played.general["decided_by"]) == (False, "none")
    assert played.general["rounds_conducted_phase_2"] == 2
    pays(played, None)
    # Whoever closes a round does not open the next, of two as of many.
    orders = [one["order"] for one in played.of("speaking_order")]
    assert orders[0][-1] != orders[1][0]
