"""Phase 1: what every agent is asked, in which order, what it earns, and what it remembers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from shared.errors import ProviderUnavailableError
from shared.schemas.events import EventType
from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Averages, Certainty, Language, Principle
from workers.experiment.languages.manager import check_catalogues
from workers.experiment.phase1.comprehension import SITTINGS
from workers.experiment.principles.rules import payoff, select
from workers.experiment.principles.tables import table
from workers.experiment.records import Choice
from workers.experiment.services.protocols import MemoryContext, MemoryUpdate
from workers.experiment.steps.model_call import ModelAnswer, ModelCall, StepOutcome

MakeRun = Callable[..., Any]
ORIGINAL: dict[str, Any] = {"original_values_mode": {"enabled": True}}


async def test_every_agent_goes_through_all_steps_in_order(make_run: MakeRun) -> None:
    run = make_run()
    records = await run.play()
    assert [record.agent for record in records] == ["Ann", "Bob"]
    assert [path for path in run.steps.steps if path.startswith("p1/Ann") or "/Ann/" in path] == [
        "p1/Ann/ranking/initial/try1",
        "p1/Ann/memory/ranking/initial/try1",
        "p1/Ann/explanation/try1",
        "p1/Ann/memory/explanation/try1",
        "p1/Ann/ranking/post_explanation/try1",
        "p1/Ann/memory/ranking/post_explanation/try1",
        *(
            f"p1/r{number}/Ann/{step}"
            for number in range(1, 5)
            for step in ("multiplier", "application/try1", "class", "memory/application/try1")
        ),
        "p1/Ann/ranking/post_application/try1",
        "p1/Ann/memory/ranking/post_application/try1",
    ]
    ann = records[0]
    assert ann.initial_ranking.ranking is not None
    assert ann.initial_ranking.ranking.order[0] is Principle.MAXIMIZING_AVERAGE_FLOOR_CONSTRAINT
    assert ann.initial_ranking.ranking.certainty is Certainty.SURE
    assert ann.explanation.text == "I see what each principle leads to."
    assert ann.comprehension == ()
    assert ann.applications[0].memory == "Ann remembers memory/ranking/post_explanation ."
    assert run.agents[0].memory == "Ann remembers memory/ranking/post_application ."


async def test_choices_are_paid_by_the_rule_and_counterfactuals_are_of_the_same_class(
    make_run: MakeRun,
) -> None:
    run = make_run(**ORIGINAL)
    for record, agent in zip(await run.play(), run.agents, strict=True):
        balance = Decimal(0)
        for name, application in zip("ABCD", record.applications, strict=True):
            choice = Choice(Principle.MAXIMIZING_AVERAGE_FLOOR_CONSTRAINT, 12_000)
            picked = select(table(name), choice, Averages.WEIGHTED)
            earning = application.earning
            assert application.choice == choice
            assert application.certainty is Certainty.VERY_SURE
            assert earning is not None
            assert earning.distribution == picked.distribution
            assert earning.income == table(name).numbered(picked.distribution).income(earning.income_class)
            assert earning.payoff == payoff(earning.income)
            for principle in (Principle.MAXIMIZING_FLOOR, Principle.MAXIMIZING_AVERAGE):
                other = select(table(name), Choice(principle), Averages.WEIGHTED).distribution
                assert earning.counterfactuals[principle] == payoff(
                    table(name).numbered(other).income(earning.income_class)
                )
            assert application.balance == balance
            balance += earning.payoff
            assert application.balance_after == balance
            assert all(
                agent.text.principle(principle) in application.alternatives for principle in FOUR_PRINCIPLES
            )
        assert agent.balance == balance


async def test_the_explanation_shows_computed_consequences(make_run: MakeRun) -> None:
    run = make_run(**ORIGINAL)
    await run.play()
    (shown,) = run.prompts("Ann/explanation")
    for part in (
        "$32,000",
        "$21,600" if run.config.averages is Averages.PLAIN else "$20,750",
        "$14,000",
        "distribution 3",
    ):
        assert part in shown


async def test_agents_run_at_the_same_time_and_learn_nothing_of_each_other(make_run: MakeRun) -> None:
    names = ("Ann", "Bob", "Cem")
    together = asyncio.Barrier(len(names))
    run = make_run(names=names)
    answer = run.models._script

    async def all_at_once(call: ModelCall) -> str | ModelAnswer:
        await together.wait()  # Never lets anybody through who is asked alone.
        return answer(call)  # type: ignore[no-any-return]

    run.models._script = all_at_once
    records = await run.play()
    assert [record.agent for record in records] == list(names)
    for call in run.models.calls:
        assert not any(name in call.system + call.user for name in names if name != call.role)


async def test_a_missing_amount_is_asked_for_again(make_run: MakeRun) -> None:
    without = json.dumps({"reasons": "Fair.", "principle": 3, "amount": None, "certainty": "sure"})
    with_it = json.dumps({"reasons": "Fair.", "principle": 3, "amount": 15000, "certainty": "sure"})
    run = make_run({"Ann:application": [without, with_it]}, memory_update_threshold="minimal")
    ann, bob = await run.play()
    assert [application.choice.amount for application in ann.applications] == [15_000] * 4
    assert ann.applications[0].warnings == ("amount_missing",)
    assert ann.applications[0].steps == ("p1/r1/Ann/application/try1", "p1/r1/Ann/application/try2")
    assert run.text.text("phase1.remembered.asked_again", times=2) in run.agents[0].memory
    assert bob.applications[0].warnings == ()
    assert run.text.text("phase1.remembered.asked_again", times=2) not in run.agents[1].memory


@pytest.mark.parametrize("told", [True, False])
async def test_whether_a_memory_keeps_that_an_answer_was_asked_for_again(
    make_run: MakeRun, told: bool
) -> None:
    run = make_run(
        {"ranking/initial": ["What?", '{"ranking": [3, 2, 1, 4], "certainty": "sure"}']},
        memory_update_on_retry=told,
    )
    await run.play()
    (prompt,) = run.prompts("Ann/memory/ranking/initial")
    assert (run.text.text("phase1.remembered.asked_again", times=2) in prompt) is told


async def test_an_unreadable_application_earns_nothing_draws_nothing_and_is_recorded_as_such(
    make_run: MakeRun,
) -> None:
    run = make_run({"application": "I like them all."}, max_participant_retries=1)
    ann, _ = await run.play()
    for application in ann.applications:
        assert application.choice is None
        assert application.earning is None
        assert application.balance_after == 0
        assert application.text == "I like them all."
        assert len(application.steps) == len(application.warnings) == 2
    assert not [path for path in run.steps.steps if path.endswith("/class")]
    assert (
        run.text.text("phase1.application.nothing.gain", balance="$0.00") in run.prompts("r1/Ann/memory")[0]
    )
    paid = [event.data for event in run.steps.events if event.type is EventType.PAYOFF]
    assert [entry["payoff"] for entry in paid] == ["0.00"] * 8
    assert [entry["income_class"] for entry in paid] == [None] * 8


@pytest.mark.parametrize("retries", [0, 2, 5])
async def test_a_ranking_that_cannot_be_read_is_none_after_the_configured_retries(
    make_run: MakeRun, retries: int
) -> None:
    run = make_run({"ranking/initial": "I love justice."}, max_participant_retries=retries)
    ann, _ = await run.play()
    assert ann.initial_ranking.ranking is None
    assert len(ann.initial_ranking.steps) == retries + 1
    assert ann.ranking_2.ranking is not None


async def test_a_time_out_is_asked_again_and_a_refusal_is_not(make_run: MakeRun) -> None:
    run = make_run(
        {
            "Ann:explanation": [ModelAnswer(outcome=StepOutcome.TIMED_OUT), "I see."],
            "Bob:explanation": ModelAnswer(outcome=StepOutcome.REFUSED, text="filtered"),
        }
    )
    ann, bob = await run.play()
    assert (ann.explanation.text, ann.explanation.warnings) == ("I see.", ("timed_out",))
    assert (len(bob.explanation.steps), bob.explanation.warnings) == (1, ("refused",))
    assert run.text.text("phase1.remembered.silent") in run.prompts("Bob/memory/explanation")[0]


def right_answers(version: int) -> str:
    return json.dumps({"answers": list(SITTINGS[version - 1].answers(Averages.WEIGHTED))})


@pytest.mark.parametrize(
    ("answers", "passed", "correct"),
    [
        ({"comprehension/1": right_answers(1)}, [True], [[True] * 4]),
        (
            {"comprehension/1": '{"answers": [4, 3, 1, 1]}', "comprehension/2": right_answers(2)},
            [False, True],
            [[True, True, True, False], [True] * 4],
        ),
        (
            {"comprehension/1": "No idea.", "comprehension/2": '{"answers": [1, 1, 1, 1]}'},
            [False, False],
            [[False] * 4, [True, False, False, False]],
        ),
    ],
)
async def test_the_comprehension_test_has_a_second_version_after_a_clarification(
    make_run: MakeRun, answers: dict[str, str], passed: list[bool], correct: list[list[bool]]
) -> None:
    run = make_run(answers, comprehension_test=True)
    ann, _ = await run.play()
    assert [sitting.passed for sitting in ann.comprehension] == passed
    assert [list(sitting.correct) for sitting in ann.comprehension] == correct
    assert [sitting.version for sitting in ann.comprehension] == [1, 2][: len(passed)]
    told = run.prompts("Ann/memory/comprehension/1")[0]
    right = run.text.text("phase1.comprehension.right")
    assert (right in told) is passed[0]
    if not passed[0]:
        why = run.text.text(f"principles.description.{FOUR_PRINCIPLES[3].value}")
        assert why in told
        assert run.text.money(14_000) in told


@pytest.mark.parametrize("version", [1, 2])
def test_the_questions_of_a_version_have_four_different_answers_under_both_averages(version: int) -> None:
    sitting = SITTINGS[version - 1]
    assert sorted(sitting.answers(Averages.PLAIN)) == [1, 2, 3, 4]
    assert sitting.answers(Averages.PLAIN) == sitting.answers(Averages.WEIGHTED)


async def test_the_loss_frame_tells_the_same_money_as_losses(make_run: MakeRun) -> None:
    gain, loss = make_run(**ORIGINAL), make_run(**ORIGINAL, frame="loss", loss_frame_credit=40)
    gains, losses = await gain.play(), await loss.play()
    assert [[a.earning for a in record.applications] for record in gains] == [
        [a.earning for a in record.applications] for record in losses
    ]
    first = losses[0].applications[0]
    told = loss.prompts("r1/Ann/memory/application")[0]
    kept = loss.text.text(
        "phase1.application.paid.loss",
        payoff=loss.text.money(first.earning.payoff),
        credit="$40.00",
        balance=loss.text.money(first.balance_after),
        rest=loss.text.money(Decimal(40) - first.balance_after),
    )
    assert kept in told
    assert all("$40.00" in prompt for prompt in loss.prompts("r1/Ann/application"))
    assert not any("credit" in prompt for prompt in gain.prompts("Ann/"))


@pytest.mark.parametrize("disclosed", [True, False])
async def test_whether_agents_are_told_the_chances(make_run: MakeRun, disclosed: bool) -> None:
    run = make_run(**ORIGINAL, class_probabilities_disclosed=disclosed)
    await run.play()
    for prompt in (*run.prompts("Ann/explanation"), *run.prompts("r2/Ann/application")):
        assert (run.text.text("phase1.chances.undisclosed") in prompt) is not disclosed
        assert ("%" in prompt) is disclosed


@pytest.mark.parametrize(
    ("keys", "explained"),
    [
        ({}, 1),
        ({"include_experiment_explanation": False}, 0),
        ({"include_experiment_explanation_each_turn": True}, 8),
    ],
)
async def test_how_often_the_experiment_is_explained(
    make_run: MakeRun, keys: dict[str, bool], explained: int
) -> None:
    run = make_run(names=("Ann", "Bob"), **keys)
    await run.play()
    explanation = run.text.text("agent.explanation")
    asked = [
        step
        for path, step in run.steps.steps.items()
        if "Ann" in path and "/memory/" not in path and step.system
    ]
    assert sum(explanation in step.system for step in asked) == explained


@pytest.mark.parametrize("language", list(Language))
async def test_every_language_has_all_of_it(make_run: MakeRun, language: Language) -> None:
    check_catalogues()
    run = make_run(
        {"comprehension/1": "?", "comprehension/2": "?"},
        language=language.value,
        comprehension_test=True,
        frame="loss",
        memory_guidance_style="narrative",
    )
    records = await run.play()
    assert all(application.earning for record in records for application in record.applications)
    for prompt in run.prompts("Ann/"):
        assert "{" not in prompt.replace('{"', "") or "<" in prompt, "no placeholder is left"


async def test_what_is_told_live_says_what_was_ranked_chosen_and_paid(make_run: MakeRun) -> None:
    run = make_run()
    (ann, _) = await run.play()
    told = [event for event in run.steps.events if event.data.get("agent") == "Ann"]
    assert [(event.type, event.key) for event in told] == [
        (EventType.RANKING, "p1/Ann/ranking/initial"),
        (EventType.RANKING, "p1/Ann/ranking/post_explanation"),
        *(
            pair
            for number in range(1, 5)
            for pair in (
                (EventType.APPLICATION, f"p1/r{number}/Ann/application"),
                (EventType.PAYOFF, f"p1/r{number}/Ann/application/payoff"),
            )
        ),
        (EventType.RANKING, "p1/Ann/ranking/post_application"),
    ]
    assert told[0].data == {
        "agent": "Ann",
        "checkpoint": "initial",
        "order": [ann.initial_ranking.ranking.order[n].value for n in range(4)],
        "certainty": "sure",
    }
    assert told[3].data["balance"] == str(ann.applications[0].balance_after)
    json.dumps([event.data for event in told])


async def test_a_replay_gives_the_same_records_without_a_call(make_run: MakeRun) -> None:
    first = make_run(comprehension_test=True)
    records = await first.play()
    again = make_run(comprehension_test=True, recorded=dict(first.steps.steps), replay=True)
    assert await again.play() == records
    assert again.models.calls == []


async def test_a_run_that_was_killed_goes_on_from_its_last_step(make_run: MakeRun) -> None:
    whole = make_run()
    records = await whole.play()
    steps = list(whole.steps.steps.items())
    for kept in (1, 7, len(steps) // 2, len(steps) - 1):
        rest = make_run(recorded=dict(steps[:kept]))
        assert await rest.play() == records
        assert len(rest.models.calls) == sum(step.system is not None for _, step in steps[kept:])


async def test_the_same_seed_pays_the_same_and_another_does_not(make_run: MakeRun) -> None:
    one, same, other = [await make_run(seed=seed).play() for seed in (1, 1, 2)]
    assert one == same
    assert one != other


async def test_a_memory_that_fails_degrades_the_run_and_a_provider_that_is_away_stops_it(
    make_run: MakeRun,
) -> None:
    class Forgetful:
        async def update_discussion_memory(
            self, agent: Any, prompt: str, context: MemoryContext
        ) -> MemoryUpdate:
            raise ValueError("lost")

        def truncate_content(self, content: str, max_length: int) -> str:
            return content[:max_length]

    run = make_run(memory=Forgetful())
    records = await run.play()
    assert all(application.earning for record in records for application in record.applications)
    failed = [event.data for event in run.steps.events if event.type is EventType.SERVICE_DEGRADED]
    assert len(failed) == 16
    assert failed[0]["service"] == "memory"
    assert failed[0]["step"] == "p1/Ann/memory/ranking/initial"

    def away(call: ModelCall) -> str:
        raise ProviderUnavailableError("The provider is away.")

    stopped = make_run()
    stopped.models._script = away
    with pytest.raises(ProviderUnavailableError):
        await stopped.play()


async def test_what_an_agent_said_is_shortened_for_its_memory_by_whole_sentences(make_run: MakeRun) -> None:
    reasons = "A floor is fair to all of us. " * 20
    said = "I see what it leads to. " * 40
    run = make_run(
        {
            "explanation": said,
            "application": json.dumps(
                {"reasons": reasons, "principle": 1, "amount": None, "certainty": "sure"}
            ),
        }
    )
    await run.play()
    (explained,) = run.prompts("Ann/memory/explanation")
    assert explained.count("I see what it leads to.") == 12  # of 300 characters
    applied = run.prompts("r1/Ann/memory/application")[0]
    assert applied.count("A floor is fair to all of us.") == 6  # of 200


async def test_agents_that_finished_before_the_run_stopped_are_not_lost(make_run: MakeRun) -> None:
    run = make_run()
    answer, remember = run.models._script, run.memory.update_discussion_memory
    ann_is_done = asyncio.Event()

    async def remembered(agent: Any, prompt: str, context: MemoryContext) -> MemoryUpdate:
        update: MemoryUpdate = await remember(agent, prompt, context)
        if (agent.name, context.label) == ("Ann", "post_application"):
            ann_is_done.set()
        return update

    async def bob_is_cut_off(call: ModelCall) -> str | ModelAnswer:
        given = answer(call)
        if call.role == "Bob" and "p1/Bob/ranking/post_application/try1" in run.steps.steps:
            await ann_is_done.wait()
            raise ProviderUnavailableError("The provider is away.")
        return given  # type: ignore[no-any-return]

    run.models._script = bob_is_cut_off
    run.memory.update_discussion_memory = remembered
    manager = run.manager()
    with pytest.raises(ProviderUnavailableError):
        await manager.run()
    assert [record.agent for record in manager.finished] == ["Ann"]
