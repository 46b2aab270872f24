"""What is recorded is never done again; what is new is recorded before it is used."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from shared.errors import ProviderConnectionError
from shared.schemas.events import EventType
from workers.experiment.degrade import degrade
from workers.experiment.errors import BudgetExceededError, ReplayDivergedError
from workers.experiment.reading.reader import UnreadableError
from workers.experiment.seeds import SeedManager
from workers.experiment.steps.journal import Budget, Journal, StepKind, StepRecord
from workers.experiment.steps.key import StepKey
from workers.experiment.steps.model_call import ModelAnswer, ModelCall, StepOutcome
from workers.experiment.testing import InMemorySteps, ScriptedModels
from workers.experiment.together import together

KEY = StepKey(2, 3, "Ana María", "ballot/amount", 1)
CALL = ModelCall(role="Ana María", system="Who you are.", user="How much?", timeout=5)


class Digits:
    """Reads a number."""

    name = "number"
    schema = None

    def read(self, text: str) -> int:
        if not text.isdigit():
            raise UnreadableError("no_number", text=text)
        return int(text)


class Run:
    """A journal with its store and its models."""

    def __init__(self, answer: Any = "12", **options: Any) -> None:
        self.store = InMemorySteps()
        self.models = ScriptedModels(lambda call: answer(call) if callable(answer) else answer)
        self.journal = Journal(self.store, self.models, SeedManager(options.pop("seed", 7)), **options)

    @property
    def recorded(self) -> Mapping[str, StepRecord]:
        """The steps as a database would give them back: without their prompts."""
        return {path: replace(step, system=None, user=None) for path, step in self.store.steps.items()}


async def test_a_step_is_named_by_its_place() -> None:
    assert KEY.path == "p2/r3/Ana%20Mar%C3%ADa/ballot/amount/try1"
    assert StepKey(1, None, None, "order").path == "p1/-/order"
    assert StepKey(1, None, "a/b", "x").path != StepKey(1, None, "a", "b/x").path


async def test_the_intent_is_stored_before_the_model_is_asked() -> None:
    stored: list[bool] = []
    run = Run(lambda call: (stored.append(KEY.path in run.store.steps), "12")[1])
    step = await run.journal.call(KEY, CALL, Digits())
    assert (stored, step.value, step.failure) == ([True], 12, None)
    assert run.store.steps[KEY.path].value == 12


async def test_what_is_recorded_is_not_asked_again() -> None:
    first = Run()
    await first.journal.call(KEY, CALL, Digits())
    again = Run("99", recorded=first.recorded)
    assert (await again.journal.call(KEY, CALL, Digits())).value == 12
    assert again.models.calls == []
    assert again.journal.standing.calls == 1


async def test_a_call_in_flight_is_repeated_under_its_key_and_counted() -> None:
    flying = {KEY.path: StepRecord(key=KEY, kind=StepKind.CALL, sends=1)}
    run = Run(recorded=flying)
    assert (await run.journal.call(KEY, CALL, Digits())).value == 12
    assert run.store.steps[KEY.path].sends == 2


@pytest.mark.parametrize("outcome", [StepOutcome.TIMED_OUT, StepOutcome.REFUSED])
async def test_a_time_out_and_a_refusal_are_recorded_answers(outcome: StepOutcome) -> None:
    first = Run(ModelAnswer(outcome=outcome, text="why"))
    step = await first.journal.call(KEY, CALL, Digits())
    assert (step.value, step.failure) == (None, outcome.value)
    again = Run("12", recorded=first.recorded)
    assert (await again.journal.call(KEY, CALL, Digits())).failure == outcome.value
    assert again.models.calls == []


async def test_an_unreadable_answer_is_read_the_same_way_again() -> None:
    first = Run("twelve")
    step = await first.journal.call(KEY, CALL, Digits())
    assert (step.failure, first.store.steps[KEY.path].unreadable) == ("no_number", "no_number")
    again = await Run("12", recorded=first.recorded).journal.call(KEY, CALL, Digits())
    assert again.unreadable is not None
    assert again.unreadable.details == {"text": "twelve"}


async def test_a_provider_that_is_away_stops_the_run_and_records_nothing() -> None:
    def away(_: ModelCall) -> str:
        raise ProviderConnectionError("no way to it")

    run = Run(away)
    with pytest.raises(ProviderConnectionError):
        await run.journal.call(KEY, CALL, Digits())
    assert run.store.steps[KEY.path].answer is None


async def test_a_draw_is_a_function_of_seed_and_place_alone() -> None:
    def drawn(run: Run, key: StepKey) -> Any:
        return run.journal.draw(key, lambda generator: generator.sample(range(1000), 5))

    one, other = Run(seed=7), Run(seed=7)
    keys = [replace(KEY, round=number, tried=None) for number in range(1, 6)]
    forth = [drawn(one, key) for key in keys]
    back = [drawn(other, key) for key in reversed(keys)]
    assert forth == back[::-1]
    assert len({tuple(draw) for draw in forth}) == 5
    assert drawn(Run(seed=8), keys[0]) != forth[0]


async def test_a_recorded_draw_is_taken_as_it_is_and_looks_the_same() -> None:
    def make(generator: Random) -> Any:
        return (generator.random(), "x")

    first = Run()
    drawn = first.journal.draw(KEY, make)
    assert isinstance(drawn, list)
    assert Run(seed=99, recorded=first.recorded).journal.draw(KEY, make) == drawn


async def test_a_replay_asks_nobody_and_refuses_another_prompt() -> None:
    first = Run()
    await first.journal.call(KEY, CALL, Digits())
    replayed = Run(recorded=first.recorded, replay=True)
    with pytest.raises(ReplayDivergedError, match="try1"):
        await replayed.journal.call(KEY, replace(CALL, user="How much more?"), Digits())
    with pytest.raises(ReplayDivergedError):
        await replayed.journal.call(KEY.at_try(2), CALL, Digits())
    with pytest.raises(ReplayDivergedError):
        replayed.journal.draw(StepKey(1, None, None, "order"), lambda _: 1)
    assert replayed.models.calls == []


@pytest.mark.parametrize(
    ("budget", "asked"),
    [(Budget(calls=2), 2), (Budget(tokens=12), 2), (Budget(seconds=10**6), 4), (Budget(), 4)],
)
async def test_at_its_budget_a_run_stops_and_with_a_higher_one_it_goes_on(budget: Budget, asked: int) -> None:
    async def ask(run: Run) -> int:
        for number in range(1, 5):
            await run.journal.call(KEY.at_try(number), CALL, Digits())
        return len(run.models.calls)

    run = Run(budget=budget)
    if asked < 4:
        with pytest.raises(BudgetExceededError, match=r"budget\."):
            await ask(run)
    else:
        await ask(run)
    assert len(run.models.calls) == asked
    assert await ask(Run(recorded=run.recorded)) == 4 - asked


async def test_what_is_in_flight_when_the_budget_ends_is_answered_and_kept() -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def slow(call: ModelCall) -> str:
        asked.set()
        await answered.wait()
        return "12"

    run = Run(slow, budget=Budget(calls=1))

    async def over() -> None:
        await asked.wait()
        asyncio.get_running_loop().call_soon(answered.set)
        await run.journal.call(KEY.at_try(2), CALL, Digits())

    with pytest.raises(BudgetExceededError):
        await together([run.journal.call(KEY, CALL, Digits()), over()])
    assert [(step.key, step.value) for step in run.store.steps.values()] == [(KEY, 12)]


async def test_seconds_of_earlier_attempts_count() -> None:
    run = Run(budget=Budget(seconds=100), spent=100)
    with pytest.raises(BudgetExceededError, match="seconds"):
        await run.journal.call(KEY, CALL, Digits())


async def test_progress_never_goes_back_and_is_complete_only_at_the_end() -> None:
    run = Run(expected_calls=3)
    seen = [run.journal.standing.progress]
    for number in range(1, 8):
        await run.journal.call(KEY.at_try(number), CALL, Digits())
        seen.append(run.journal.standing.progress)
    assert seen == sorted(seen)
    assert seen[-1] < 1
    run.journal.complete()
    assert (run.store.standing.progress, run.store.standing.seconds_left) == (1.0, 0.0)
    assert run.store.standing.reasked == 6


async def test_an_event_is_told_once() -> None:
    run = Run()
    for _ in range(2):
        run.journal.emit("phase/1", EventType.PHASE, {"phase": 1})
    assert [event.key for event in run.store.events] == ["phase/1"]


async def test_a_service_that_fails_is_done_without_and_that_is_recorded() -> None:
    async def fail() -> str:
        raise ValueError("cannot")

    run = Run()
    assert await degrade(run.journal, "memory", KEY, fail(), "as before") == "as before"
    assert run.store.steps[KEY.part("degraded").path].value == "ValueError: cannot"
    assert [event.type for event in run.store.events] == [EventType.SERVICE_DEGRADED]
    assert [entry["service"] for entry in run.journal.degraded] == ["memory"]


async def test_what_stops_the_run_is_no_failure_of_a_service() -> None:
    async def away() -> str:
        raise ProviderConnectionError("no way to it")

    with pytest.raises(ProviderConnectionError):
        await degrade(Run().journal, "memory", KEY, away(), "")


async def test_a_journal_that_cannot_be_kept_stops_the_run_and_is_no_failure_of_a_service() -> None:
    run = Run()

    async def refuse(_: StepRecord) -> None:
        raise OSError("no room")

    run.store.begin = refuse  # type: ignore[method-assign]
    with pytest.raises(OSError, match="no room"):
        await degrade(run.journal, "memory", KEY, run.journal.call(KEY, CALL, Digits()), None)
    assert run.models.calls == []
    assert run.store.events == []


class TestTogether:
    """What the protocol does not order runs at once."""

    async def test_results_come_in_the_order_of_the_work(self) -> None:
        order: list[int] = []

        async def work(number: int) -> int:
            await asyncio.sleep(0.001 * (5 - number))
            order.append(number)
            return number

        assert await together(work(number) for number in range(5)) == [0, 1, 2, 3, 4]
        assert order == [4, 3, 2, 1, 0]
        assert await together([]) == []

    async def test_the_first_failure_ends_the_others_and_is_raised_as_it_is(self) -> None:
        ended = asyncio.Event()

        async def long() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                ended.set()

        async def fail() -> None:
            await asyncio.sleep(0)
            raise BudgetExceededError

        with pytest.raises(BudgetExceededError):
            await together([long(), fail(), long()])
        assert ended.is_set()

    async def test_a_cancelled_group_leaves_nothing_running(self) -> None:
        ended = asyncio.Event()

        async def long() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                ended.set()

        group = asyncio.ensure_future(together([long()]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        group.cancel()
        with pytest.raises(asyncio.CancelledError):
            await group
        assert ended.is_set()
