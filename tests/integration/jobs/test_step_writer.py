"""Steps and events of runs are written in batches, by the holder of the attempt only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.jobs.experiment_channel import channel
from shared.jobs.experiments import NewExperiment, accept_experiment
from shared.jobs.states import JobKind, Outcome
from shared.jobs.store import AttemptLostError
from shared.schemas.events import EventType
from tests.integration.jobs.house import House
from workers.experiment.steps.journal import RunEvent, Standing, StepKind, StepRecord
from workers.experiment.steps.key import StepKey
from workers.experiment.steps.model_call import ModelAnswer, StepOutcome
from workers.jobs.experiments.loading import read_steps
from workers.jobs.experiments.run_steps import RunIdentity, RunSteps
from workers.jobs.experiments.step_writer import StepWriter


class Desk:
    """A writer, and runs whose attempts it writes for."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.writer = StepWriter(house.engine, house.redis, house.settings.namespace)
        self.fenced: list[RunIdentity] = []

    async def run(self) -> RunSteps:
        """The steps of a new experiment that is held by its first attempt."""
        new = NewExperiment(
            owner_id=self.house.ada,
            name="x",
            profile="original",
            config={},
            config_hash="0" * 64,
            seed=1,
            models={"agents": {}, "utility": {}},
        )
        await accept_experiment(self.house.engine, new)
        job = await self.house.store.claim(JobKind.EXPERIMENT, "tester")
        assert job is not None
        assert job.id == new.job_id
        return self.open(RunIdentity(new.id, job.id, job.attempt))

    def open(self, identity: RunIdentity) -> RunSteps:
        """The steps of another attempt."""
        return self.writer.open(
            identity, told=set(), on_fenced=lambda: self.fenced.append(identity), cost=lambda: None
        )

    async def rows(self, query: str, steps: RunSteps) -> list[tuple[object, ...]]:
        """What a query finds of the run."""
        async with self.house.engine.connect() as connection:
            found = await connection.execute(text(query), {"id": steps.identity.experiment_id})
            return [tuple(row) for row in found]


@pytest.fixture
async def desk(house: House) -> AsyncIterator[Desk]:
    made = Desk(house)
    task = asyncio.create_task(made.writer.run())
    yield made
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def step(number: int, text_: str = "12") -> StepRecord:
    """A call that is about to be made, and what it will be answered."""
    key = StepKey(2, number, "Ana", "statement", 1)
    return StepRecord(
        key=key, kind=StepKind.CALL, role="Ana", system="s", user="u", prompt_hash="h", sends=1, value=text_
    )


ANSWER = ModelAnswer(
    outcome=StepOutcome.ANSWERED, text="twelve\N{PILE OF POO}", model="m", input_tokens=3, notes=("n",)
)


async def test_an_intent_is_stored_with_its_prompt_and_completed_by_its_answer(desk: Desk) -> None:
    steps = await desk.run()
    record = step(1)
    await steps.begin(record)
    query = (
        "SELECT path, system_prompt, user_prompt, outcome, answer, value, sends, input_tokens, "
        "started_at IS NOT NULL, answered_at IS NOT NULL FROM experiment_steps WHERE experiment_id = :id"
    )
    [begun] = await desk.rows(query, steps)
    assert begun == ("p2/r1/Ana/statement/try1", "s", "u", None, None, None, 1, None, True, False)
    record.answer, record.value = ANSWER, {"said": 1}
    steps.end(record)
    await steps.flush()
    [ended] = await desk.rows(query, steps)
    assert ended == (
        "p2/r1/Ana/statement/try1", "s", "u", "answered", ANSWER.text, {"said": 1}, 1, 3, True, True,
    )  # fmt: skip
    read = (await read_steps(desk.house.engine, steps.identity.experiment_id)).steps[record.key.path]
    assert read == replace(record, system=None, user=None)


async def test_a_call_that_is_sent_again_keeps_its_row(desk: Desk) -> None:
    steps = await desk.run()
    await steps.begin(step(1))
    again = step(1)
    again.sends = 2
    await steps.begin(again)
    query = "SELECT sends, user_prompt FROM experiment_steps WHERE experiment_id = :id"
    assert await desk.rows(query, steps) == [(2, "u")]


async def test_steps_of_many_runs_are_written_together(desk: Desk) -> None:
    runs = [await desk.run() for _ in range(8)]
    before = await commits(desk.house.engine)
    await asyncio.gather(*(run.begin(step(number)) for number in range(1, 26) for run in runs))
    after = await commits(desk.house.engine)
    assert after - before <= 4, "200 intents at once are a few commits"
    counts = [
        await desk.rows("SELECT count(*) FROM experiment_steps WHERE experiment_id = :id", run)
        for run in runs
    ]
    assert counts == [[(25,)]] * 8


async def commits(engine: AsyncEngine) -> int:
    """Transactions that wrote something, so far."""
    async with engine.connect() as connection:
        found = await connection.scalar(text("SELECT pg_current_xact_id()::text::bigint"))
    return int(found)


async def test_events_are_numbered_without_holes_in_the_order_of_telling_and_told_once(desk: Desk) -> None:
    steps = await desk.run()
    heard = desk.house.redis.pubsub()
    await heard.subscribe(channel(desk.house.settings.namespace, steps.identity.experiment_id))
    for number in range(5):
        steps.emit(RunEvent(f"k{number}", EventType.STATEMENT, {"n": number}))
    await steps.flush()
    taken_over = desk.open(steps.identity)
    for number in range(3, 8):
        taken_over.emit(RunEvent(f"k{number}", EventType.STATEMENT, {"n": number}))
    await taken_over.flush()
    query = "SELECT number, key FROM experiment_events WHERE experiment_id = :id ORDER BY number"
    assert await desk.rows(query, steps) == [(number + 1, f"k{number}") for number in range(8)]
    async with asyncio.timeout(10):
        async for message in heard.listen():
            if message["type"] == "message" and message["data"] == b"8":
                break
    await heard.aclose()


async def test_an_attempt_that_was_lost_writes_nothing(desk: Desk) -> None:
    lost, other = await desk.run(), await desk.run()
    identity = lost.identity
    await desk.house.store.make_claimable(identity.job_id, identity.attempt, Outcome.LOST)
    lost.emit(RunEvent("late", EventType.STATEMENT, {}))
    lost.stand(Standing(phase=2))
    results = await asyncio.gather(lost.begin(step(1)), other.begin(step(1)), return_exceptions=True)
    assert isinstance(results[0], AttemptLostError)
    assert results[1] is None, "others of the same batch are not touched"
    assert desk.fenced == [identity]
    for table in ("experiment_steps", "experiment_events"):
        assert await desk.rows(f"SELECT 1 FROM {table} WHERE experiment_id = :id", lost) == []
    assert await desk.rows("SELECT phase FROM experiments WHERE id = :id", lost) == [(0,)]
    with pytest.raises(AttemptLostError):
        await lost.flush()


async def test_an_attempt_that_recorded_steps_is_no_failure(desk: Desk) -> None:
    worked, idle = await desk.run(), await desk.run()
    record = step(1)
    await worked.begin(record)
    record.answer = ANSWER
    worked.end(record)
    await worked.flush()
    await idle.begin(step(1))
    failures = []
    for run in (worked, idle):
        job = await desk.house.store.make_claimable(run.identity.job_id, run.identity.attempt, Outcome.LOST)
        assert job is not None
        failures.append(job.failures)
    assert failures == [0, 1]


async def test_what_postgres_refuses_is_refused_to_its_own_run_only(desk: Desk) -> None:
    gone, other = await desk.run(), await desk.run()
    identity = replace(gone.identity, experiment_id=uuid4())
    orphan = desk.open(identity)
    results = await asyncio.gather(orphan.begin(step(1)), other.begin(step(1)), return_exceptions=True)
    assert isinstance(results[0], Exception)
    assert results[1] is None
    with pytest.raises(type(results[0])):
        await orphan.flush()


async def test_a_cut_connection_costs_nothing(desk: Desk) -> None:
    steps = await desk.run()
    await steps.begin(step(1))
    async with desk.house.engine.connect() as connection:
        await connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                 "AND datname = current_database()")
        )  # fmt: skip
    await asyncio.gather(*(steps.begin(step(number)) for number in range(2, 6)))
    assert await desk.rows("SELECT count(*) FROM experiment_steps WHERE experiment_id = :id", steps) == [(5,)]
