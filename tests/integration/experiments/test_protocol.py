"""The choices of the protocol, each language, the manipulator: to the end, over HTTP."""

from __future__ import annotations

import pytest

from tests.integration.experiments.lab import Lab, config, model
from tests.integration.experiments.money import (
    AVERAGE,
    FLOOR,
    LEAST_RANGE,
    WITH_FLOOR,
    WITH_RANGE,
    check,
    paid,
    scaled,
    winner,
)

#: The printed tables of the paid rounds.
PRINTED = (
    ((28_000, 25_000, 20_000, 15_000, 12_000), (35_000, 30_000, 25_000, 15_000, 10_000)),
    ((17_000, 16_000, 15_000, 14_000, 13_000), (30_000, 25_000, 20_000, 15_000, 12_500)),
    ((100_000, 30_000, 20_000, 15_000, 13_000), (35_000, 30_000, 25_000, 20_000, 8_000)),
    ((35_000, 30_000, 25_000, 20_000, 13_000), (30_000, 28_000, 26_000, 24_000, 12_000)),
)


@pytest.mark.parametrize(
    ("language", "heading", "line"),
    [
        ("English", "Do you want the group to vote now?", "I think about"),
        ("Spanish", "¿Quieres que el grupo vote ahora?", "Propongo un mínimo"),
        ("Mandarin", "投票", "我认为应当先保障最低收入"),
    ],
)
async def test_each_language_is_spoken_to_the_end(lab: Lab, language: str, heading: str, line: str) -> None:
    """In words and in the number style of the language, without structured output."""
    play = f"agree+plain_{language.lower()}"
    played = await lab.play(config(play, play, language=language, structured_output="off"))
    assert played.general["decided_principle"] == WITH_FLOOR
    assert played.general["consensus_amount"] == 15_000
    assert {one["content"].startswith(line) for one in played.of("statement")} == {True}
    assert played.result["run"]["usage"]["unreadable"] == 0
    initiation = (await lab.asked("initiation"))[0]
    assert heading in initiation.question
    # Everything that an agent reads is in its language.
    if language == "Mandarin":
        assert "principle" not in initiation.question
        assert "收入" in (await lab.asked("ranking"))[0].question
    assert played.agent("Alice")["language"] == language.lower()


async def test_agents_may_speak_different_languages(lab: Lab) -> None:
    run = config("agree+plain_english", "agree+plain_spanish", structured_output="off")
    run["agents"][1]["language"] = "Spanish"
    played = await lab.play(run)
    assert played.general["consensus_amount"] == 15_000
    assert played.ballot("Bob")["amount_raw_response"] == "15.000 dólares"


@pytest.mark.parametrize(
    ("play", "amount", "binds"),
    [("agree", 14_000, None), ("agree+binding", 1_000_000, True), ("agree+range", 18_000, None)],
    ids=["floor", "unmet", "range"],
)
async def test_a_decision_pays_by_the_table(lab: Lab, play: str, amount: int, binds: bool | None) -> None:
    played = await lab.play(config(play, play, distribution_range_phase2=[1, 1.001]))
    table = scaled(played.general["distribution_multiplier"])
    principle = WITH_RANGE if "range" in play else WITH_FLOOR
    number, binding = winner(table, principle, amount)
    assert played.general["decided_principle"] == principle
    assert played.general["constraint_binding"] == binding
    assert binds in (None, binding)
    for name in ("Alice", "Bob"):
        check(played.earning(name), table)
        assert played.earning(name)["distribution"] == number


async def test_the_printed_tables_are_what_is_chosen_from(lab: Lab) -> None:
    """Original values: weighted averages pick other distributions than plain ones would."""
    run = config("agree+applies_2", "agree+applies_3", original_values_mode={"enabled": True})
    played = await lab.play(run)
    assert played.general["original_values_mode_enabled"] is True
    for name, winners in (("Alice", (3, 3, 2, 2)), ("Bob", None)):
        balance = 0.0
        demonstrations = played.agent(name)["phase_1"]["demonstrations"]
        for index, (chosen, printed) in enumerate(zip(demonstrations, PRINTED, strict=True)):
            assert tuple(tuple(row) for row in chosen["distributions"][:2]) == printed
            place = ("high", "medium_high", "medium", "medium_low", "low").index(chosen["class_put_in"])
            assert chosen["income"] == chosen["distributions"][chosen["distribution"] - 1][place]
            assert chosen["payoff_received"] == paid(chosen["income"])
            if winners is not None:
                assert chosen["distribution"] == winners[index], f"table {'ABCD'[index]}"
            balance = round(balance + chosen["payoff_received"], 2)
            assert chosen["bank_balance_after_round"] == balance
    shown = (await lab.asked("application", "agree+applies_2"))[1].question
    assert "12,500" in shown


async def test_an_imposed_principle_needs_no_discussion(lab: Lab) -> None:
    played = await lab.play(
        config("agree", "agree", decision_rule=f"imposed:{WITH_RANGE}", imposed_amount=18_000)
    )
    assert played.general["decided_by"] == "imposed"
    assert played.general["decided_principle"] == WITH_RANGE
    assert played.general["consensus_reached"] is None
    assert played.of("statement") == []
    assert {one.kind for one in await lab.asked()} <= {
        "ranking",
        "explanation",
        "application",
        "final_ranking",
        "memory",
    }
    check(played.earning("Alice"), scaled(played.general["distribution_multiplier"]))


async def test_an_open_agenda_takes_up_what_is_proposed(lab: Lab) -> None:
    played = await lab.play(config("agree+further", "agree+further", open_agenda=True))
    assert played.general["agenda"][-1] == LEAST_RANGE
    assert played.general["decided_principle"] == LEAST_RANGE
    assert played.agent("Alice")["phase_2"]["rounds"][0]["proposed_principle"] == LEAST_RANGE
    table = scaled(played.general["distribution_multiplier"])
    assert played.earning("Bob")["distribution"] == winner(table, LEAST_RANGE)[0]
    check(played.earning("Bob"), table)
    # The proposal is no part of what was said.
    assert "PROPOSAL" not in played.of("statement")[0]["content"]


async def test_a_closed_agenda_takes_up_nothing(lab: Lab) -> None:
    played = await lab.play(config("agree+further", "agree+further"))
    assert len(played.general["agenda"]) == 4
    assert played.general["decided_principle"] == FLOOR


async def test_the_human_profile(lab: Lab) -> None:
    """A test before, at least two rounds, all asked, unknown chances, and a draw among what is consistent."""
    run = config("agree", "agree", "agree", profile="human", phase2_rounds=3)
    run["income_class_probabilities"] = {
        "high": 0.05,
        "medium_high": 0.1,
        "medium": 0.5,
        "medium_low": 0.25,
        "low": 0.1,
    }
    played = await lab.play(run)
    sittings = [agent["phase_1"]["comprehension"] for agent in played.result["agents"]]
    assert all(1 <= len(one) <= 2 and len(one[0]["correct"]) == 4 for one in sittings)
    assert all(one[-1]["passed"] or len(one) == 2 for one in sittings)
    requests = played.result["voting_history"]["vote_initiation_requests"]
    assert requests == {"1": {}, "2": dict.fromkeys(("Alice", "Bob", "Carol"), "Yes")}
    assert played.general["decided_by"] == "consensus"
    explanations = await lab.asked("explanation")
    assert all("You are not told how many slips" in one.question for one in explanations)
    assert not any("50%" in one.text for one in await lab.asked())
    # The same distribution for all, of those that meet the floor.
    table = scaled(played.general["distribution_multiplier"])
    [number] = {played.earning(name)["distribution"] for name in ("Alice", "Bob", "Carol")}
    assert table[number - 1][-1] >= 14_000 or all(row[-1] < 14_000 for row in table)


async def test_without_a_decision_one_distribution_is_drawn_for_all_or_one_each(lab: Lab) -> None:
    plays = ["talk"] * 5
    shared = await lab.play(config(*plays, no_consensus_draw="shared"))
    each = await lab.play(config(*plays))
    numbers = [
        {agent["phase_2"]["post_group_discussion"]["distribution"] for agent in one.result["agents"]}
        for one in (shared, each)
    ]
    assert len(numbers[0]) == 1
    assert len(numbers[1]) > 1
    for played in (shared, each):
        check(played.earning("Erin"), scaled(played.general["distribution_multiplier"]))


async def test_the_loss_frame_tells_losses_and_pays_the_same(lab: Lab) -> None:
    gain = await lab.play(config("agree", "agree"))
    lab.user.stack.model.reset()
    loss = await lab.play(config("agree", "agree", frame="loss"))
    assert loss.earning("Alice")["payoff_received"] == gain.earning("Alice")["payoff_received"]
    assert "of your credit of $40.00" in loss.earning("Alice")["results_shown"]
    assert "credit" not in gain.earning("Alice")["results_shown"]
    assert all("$40" in one.text for one in await lab.asked("application"))


@pytest.mark.parametrize("kind", ["hidden_target", "persuasive", "disruptive"])
async def test_a_manipulator_has_a_task_that_nobody_else_reads(lab: Lab, kind: str) -> None:
    honest, secret = "agree+ranks_3124+waits", "agree+ranks_3124+waits+floor"
    run = config(honest, secret, honest, manipulator={"name": "Bob", "type": kind}, phase2_rounds=2)
    played = await lab.play(run)
    told = played.general["manipulator_target_info"]
    target = {"hidden_target": WITH_RANGE, "persuasive": WITH_FLOOR, "disruptive": None}[kind]
    assert (told["manipulator_name"], told["manipulator_type"], told["target_principle"]) == (
        "Bob",
        kind,
        target,
    )
    assert told["delivered"] is True
    # Ranked last by both others: 3, 2, 1 and 0 points of each.
    if kind == "hidden_target":
        assert told["principle_scores"] == {WITH_FLOOR: 6, FLOOR: 4, AVERAGE: 2, WITH_RANGE: 0}
        assert told["tiebreak_applied"] is False
    readers = {
        one["body"]["model"]
        for one in await lab.requests()
        if "Your secret task" in one["body"]["messages"][0]["content"]
    }
    assert readers == {model(secret)}
    assert {one["agent"] for one in played.of("manipulation")} == {"Bob"}
    effects = played.result["analysis"]["manipulation_effects"]
    moved = effects["rankings"]["Alice"]
    assert moved["distance"] == 3
    if kind == "hidden_target":
        # From the last place to the first.
        assert (moved["before"], moved["after"], moved["shift"]) == (4, 1, 3)
    # It is no member of what is public.
    assert "secret task" not in played.general["public_conversation_phase_2"]


async def test_a_statement_that_says_too_little_is_asked_again_and_then_left_out(lab: Lab) -> None:
    played = await lab.play(config("agree", "agree+curt"))
    said = played.agent("Bob")["phase_2"]["rounds"][0]
    assert (said["quarantined"], said["warnings"]) == (True, ["too_short"] * 3)
    assert "Bob could not be heard" in played.general["public_conversation_phase_2"]
    hints = [one.last_answer for one in await lab.asked("statement", "agree+curt")]
    assert hints == [None, "No.", "No."]
    # It still has its vote.
    assert played.general["decided_principle"] == WITH_FLOOR


async def test_what_cannot_be_read_in_phase_1_pays_nothing_and_stops_nothing(lab: Lab) -> None:
    played = await lab.play(config("agree", "agree+garbled_ranking", max_participant_retries=1))
    alone = played.agent("Bob")["phase_1"]
    assert alone["initial_ranking"]["ranking_result"] is None
    assert alone["initial_ranking"]["raw_response"] == "I like all of them."
    assert [one["payoff_received"] for one in alone["demonstrations"]] in ([None] * 4, [0] * 4)
    assert alone["demonstrations"][-1]["bank_balance_after_round"] == 0
    rankings = played.of("ranking", agent="Bob", checkpoint="initial")
    assert [one["order"] for one in rankings] == [None]
    assert played.general["consensus_reached"] is True
