"""The life of an attempt in a worker: commits that outlast Postgres, cancels, drains, take-overs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

from shared.jobs.answers import stored_reply
from shared.jobs.closing import Closer
from shared.jobs.job import Job
from shared.jobs.leases import Leases
from shared.jobs.permits import Permits
from shared.jobs.states import JobKind, Outcome, Phase, PostResponse, Status
from shared.jobs.store import JobStore
from shared.jobs.transcript import Transcript
from shared.jobs.writer import EventWriter
from shared.schemas.events import EventType
from tests.integration.jobs.faults import Faults, faulty_engine
from tests.integration.jobs.house import House
from tests.integration.jobs.simulation.handler import Generated, ScriptedHandler
from workers.jobs.keeper import Keeper
from workers.jobs.runner import JobRunner
from workers.jobs.running import RunningAttempt


class Stages(ScriptedHandler):
    """Turns with or without stages after their answer, as the test wants them."""

    stages = False

    async def has_stages_left(self, attempt: RunningAttempt) -> bool:
        return self.stages


class Workshop:
    """A worker on the house's servers, in real time; Postgres may refuse it."""

    def __init__(self, house: House, name: str = "worker") -> None:
        self.house = house
        self.faults = Faults()
        self.engine = faulty_engine(house.settings.database_url, self.faults)
        self.store = JobStore(self.engine)
        self.generated = Generated()
        self.handler = Stages(self.generated)
        wakeups: Any = house.wakeups
        self.writer = EventWriter(
            house.log,
            self.store.holds,
            trip_bytes=65536,
            pending_bytes=65536,
            lease_ttl=house.settings.lease_ttl,
        )
        leases = Leases(house.redis, house.settings.namespace, house.settings.lease_ttl)
        self.runner = JobRunner(
            settings=house.settings,
            store=self.store,
            log_=house.log,
            writer=self.writer,
            leases=leases,
            wakeups=wakeups,
            closer=Closer(self.store, house.log, wakeups, name, house.settings.event_retention),
            handlers={JobKind.CHAT: self.handler},
            worker=name,
        )
        permits = Permits(house.redis, house.settings.namespace, house.settings.lease_ttl)
        self.keeper = Keeper(self.runner, self.store, leases, permits, house.redis, house.settings.namespace)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Workshop]:
        writing = asyncio.create_task(self.writer.run())
        try:
            yield self
        finally:
            async with asyncio.timeout(30):
                await self.runner.idle()
            while not writing.done():
                # Before 3.12 a library may let a cancellation slip that comes as its wait has just ended.
                writing.cancel()
                await asyncio.wait([writing], timeout=1)
            await self.engine.dispose()

    async def start(self) -> tuple[asyncio.Task[str], str]:
        """Wake it, and wait until its work takes orders; the task and the lease."""
        task = asyncio.create_task(self.runner.run_next(JobKind.CHAT))
        await until(lambda: bool(self.handler.orders) or task.done())
        return task, next(iter(self.handler.orders), "")

    def order(self, lease: str, *orders: str) -> None:
        for order in orders:
            self.handler.orders[lease].put_nowait(order)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.002)


@pytest.fixture
async def workshop(house: House) -> AsyncIterator[Workshop]:
    async with Workshop(house).open() as made:
        yield made


async def text(house: House, job: Job) -> str:
    """What clients have."""
    return Transcript.of(await house.entries(job.id)).reply({}).content


async def answer(house: House, job: Job) -> str:
    """What is stored."""
    return (await stored_reply(house.store, await house.job(job.id))).content


async def test_a_turn_from_claim_to_end(house: House, workshop: Workshop) -> None:
    job = await house.accepted()
    task, lease = await workshop.start()
    assert set(await house.leases.look()) == {lease} or not await house.leases.look()
    workshop.order(lease, "say", "say", "finish")
    assert await task == f"{lease} succeeded"
    await workshop.runner.idle()
    now = await house.job(job.id)
    assert (now.status, now.phase) == (Status.SUCCEEDED, Phase.ENDED)
    assert await answer(house, job) == await text(house, job) == "1.1 1.2 "
    types = await house.types(job.id)
    assert types == ["session_start", "chunk", "chunk", "done", "post_response_complete"]
    assert (await house.entries(job.id))[-1].id == now.final_event_id
    assert await house.leases.look() == {}
    assert 0 < await house.redis.ttl(house.log.stream(job.id)) <= house.settings.event_retention
    assert await workshop.runner.run_next(JobKind.CHAT) == "nothing to do"


@pytest.mark.parametrize("stages", [False, True])
async def test_a_commit_waits_for_a_postgres_that_refuses(
    house: House, workshop: Workshop, stages: bool
) -> None:
    """The answer is not generated again because Postgres was away when it was complete."""
    job = await house.accepted()
    workshop.handler.stages = stages
    task, lease = await workshop.start()
    workshop.order(lease, "say")
    workshop.faults.refusing = True
    workshop.order(lease, "finish")
    await workshop.faults.refused.wait()
    assert not task.done()
    old = workshop.handler.orders[lease]
    workshop.faults.refusing = False
    if stages:
        await until(lambda: workshop.handler.orders.get(lease, old) is not old)
        workshop.order(lease, "finish")
    assert await asyncio.wait_for(task, 10) == f"{lease} succeeded"
    await workshop.runner.idle()
    assert await answer(house, job) == "1.1 "
    assert workshop.generated.calls[job.id] == 1
    assert len(await house.messages(job.conversation_id)) == 2  # type: ignore[arg-type]
    assert (await house.types(job.id))[-2:] == ["done", "post_response_complete"]


@pytest.mark.parametrize("stages", [False, True])
@pytest.mark.parametrize("end", ["finish", "fail"])
async def test_a_commit_whose_reply_was_lost_is_looked_up(
    house: House, workshop: Workshop, end: str, stages: bool
) -> None:
    job = await house.accepted()
    workshop.handler.stages = stages
    task, lease = await workshop.start()
    workshop.order(lease, "say")
    await until(lambda: workshop.runner.running[lease].stream.drained)
    workshop.faults.lose = 1
    workshop.order(lease, end)
    if stages and end == "finish":
        old = workshop.handler.orders[lease]
        await until(lambda: workshop.handler.orders.get(lease, old) is not old)
        workshop.faults.lose = 1
        workshop.order(lease, "finish")
    outcome = "succeeded" if end == "finish" else "failed"
    assert await asyncio.wait_for(task, 10) == f"{lease} {outcome}"
    await workshop.runner.idle()
    assert workshop.faults.lose == 0
    assert len(await house.messages(job.conversation_id)) == 2  # type: ignore[arg-type]
    now = await house.job(job.id)
    assert (now.attempt, now.status) == (1, outcome)
    assert (await house.entries(job.id))[-1].id == now.final_event_id
    assert await answer(house, job) == await text(house, job)


async def test_a_commit_that_another_attempt_overtook_is_given_up(house: House, workshop: Workshop) -> None:
    job = await house.accepted()
    task, lease = await workshop.start()
    workshop.order(lease, "say")
    workshop.faults.refusing = True
    workshop.order(lease, "finish")
    await workshop.faults.refused.wait()
    await house.lose(await house.job(job.id))
    second = await house.claim()
    workshop.faults.refusing = False
    assert await asyncio.wait_for(task, 10) == "fenced" or (await task).endswith("fenced")
    assert await house.attempts(job.id) == {1: Outcome.LOST, 2: None}
    assert len(await house.messages(job.conversation_id)) == 1  # type: ignore[arg-type]
    await house.end(second)


@pytest.mark.parametrize("when", ["before the first token", "while it streams", "as it ends"])
async def test_a_cancel_reaches_the_work(house: House, workshop: Workshop, when: str) -> None:
    job = await house.accepted()
    task, lease = await workshop.start()
    if when != "before the first token":
        workshop.order(lease, "say", "say")
        await until(lambda: workshop.runner.running[lease].stream.next_seq == 3)
    await house.canceller.cancel(job.id)
    if when == "as it ends":
        # The message is lost; the commit looks at the mark.
        workshop.order(lease, "finish")
    else:
        await workshop.keeper.renew()
    assert await asyncio.wait_for(task, 10) == f"{lease} cancelled"
    await workshop.runner.idle()
    now = await house.job(job.id)
    kept = "" if when == "before the first token" else "1.1 1.2 "
    assert now.status is Status.CANCELLED
    assert await answer(house, job) == await text(house, job) == kept
    assert (now.message_id is None) == (kept == "")
    assert (await house.types(job.id))[-1] == "cancelled"
    assert (await house.entries(job.id))[-1].id == now.final_event_id


async def test_a_cancel_in_the_stages_after_the_answer(house: House, workshop: Workshop) -> None:
    job = await house.accepted()
    workshop.handler.stages = True
    task, lease = await workshop.start()
    old = workshop.handler.orders[lease]
    workshop.order(lease, "say", "finish")
    await until(lambda: workshop.handler.orders.get(lease, old) is not old)
    await house.canceller.cancel(job.id)
    await workshop.keeper.renew()
    assert await asyncio.wait_for(task, 10) == f"{lease} succeeded"
    await workshop.runner.idle()
    now = await house.job(job.id)
    assert (now.status, now.post_response, now.phase) == (
        Status.SUCCEEDED,
        PostResponse.CANCELLED,
        Phase.ENDED,
    )
    assert await answer(house, job) == "1.1 "


@pytest.mark.parametrize("order", ["fail", "break"])
async def test_a_failure_ends_the_job_a_fault_of_ours_does_not(
    house: House, workshop: Workshop, order: str
) -> None:
    job = await house.accepted()
    task, lease = await workshop.start()
    workshop.order(lease, "say", order)
    outcome = await task
    now = await house.job(job.id)
    if order == "fail":
        assert outcome.endswith("failed")
        assert (now.status, (now.error or {})["code"]) == (Status.FAILED, "provider_timeout")
        assert await answer(house, job) == "1.1 "
    else:
        assert outcome.endswith("broken")
        assert (now.phase, now.failures) == (Phase.READY, 1)
        assert now.last_failure == {
            "code": "internal_error",
            "message": "Attempt 1 broke: RuntimeError.",
        }
        assert house.wakeups.woken == [job.id]


async def test_a_fault_of_ours_that_repeats_exhausts_the_job(house: House, workshop: Workshop) -> None:
    job = await house.accepted()
    for _ in range(house.settings.max_attempts):
        task, lease = await workshop.start()
        workshop.order(lease, "say", "break")
        await task
        await workshop.runner.idle()
    assert (await workshop.runner.run_next(JobKind.CHAT)).endswith("failed")
    now = await house.job(job.id)
    assert (now.status, (now.error or {})["code"]) == (Status.FAILED, "attempts_exhausted")
    assert now.attempt == house.settings.max_attempts + 1
    assert workshop.generated.calls[job.id] == house.settings.max_attempts
    # What the last attempt said since its restart is what clients have, and what is kept.
    assert await answer(house, job) == await text(house, job) == "3.3 "


async def test_a_task_that_is_cancelled_by_nobody_is_a_fault_of_ours(
    house: House, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that lets a cancellation slip is no client who cancels."""

    async def slip(attempt: RunningAttempt) -> Any:
        raise asyncio.CancelledError

    monkeypatch.setattr(workshop.handler, "work", slip)
    job = await house.accepted()
    await workshop.runner.run_next(JobKind.CHAT)
    now = await house.job(job.id)
    assert (now.phase, now.status, now.failures) == (Phase.READY, Status.QUEUED, 1)


async def test_a_later_attempt_tells_clients_to_discard(house: House, workshop: Workshop) -> None:
    job = await house.accepted()
    task, lease = await workshop.start()
    workshop.order(lease, "say", "break")
    await task
    task, lease = await workshop.start()
    workshop.order(lease, "say", "finish")
    await task
    await workshop.runner.idle()
    assert (await house.types(job.id))[:5] == ["session_start", "chunk", "fence", "restart", "chunk"]
    assert await answer(house, job) == await text(house, job) == "2.2 "


@pytest.mark.parametrize("done", [True, False])
async def test_a_stored_answer_is_told_and_never_generated_again(
    house: House, workshop: Workshop, done: bool
) -> None:
    """Its first worker died after the commit: with ``done`` in the stream before the fence, or without."""
    writer = house.writer()
    job = await house.claimed()
    stream = writer.open(job)
    await house.tell(writer, stream, job, "Because.")
    await house.end(job, post_response=True)
    if done:
        stream.emit(EventType.DONE, {})
        await house.tell(writer, stream, job)
    await house.lose(job)
    task, lease = await workshop.start()
    workshop.order(lease, "finish")
    assert await task == f"{lease} succeeded"
    await workshop.runner.idle()
    assert workshop.generated.calls == {}
    types = await house.types(job.id)
    told = ["fence", *([] if done else ["restart", "chunk", "done"]), "post_response_complete"]
    assert types[-len(told) :] == told
    assert await text(house, job) == await answer(house, job) == "Because."
    now = await house.job(job.id)
    assert (now.attempt, now.post_response, now.phase) == (2, PostResponse.DONE, Phase.ENDED)


async def test_a_worker_that_drains_hands_over_and_claims_no_more(house: House) -> None:
    house.settings = house.settings.model_copy(update={"drain_grace": 0.05})
    async with Workshop(house, "leaving").open() as leaving:
        job = await house.accepted()
        task, lease = await leaving.start()
        leaving.order(lease, "say")
        await until(lambda: leaving.runner.running[lease].stream.next_seq == 2)
        leaving.runner.drain()
        assert await asyncio.wait_for(task, 5) == f"{lease} handed over"
        assert await leaving.runner.run_next(JobKind.CHAT) == "draining: nothing was claimed"
        await leaving.runner.idle()
    now = await house.job(job.id)
    assert (now.phase, now.status, now.failures) == (Phase.READY, Status.QUEUED, 0)
    assert await house.attempts(job.id) == {1: Outcome.DRAINED}
    assert job.id in house.wakeups.woken
    async with Workshop(house, "staying").open() as staying:
        task, lease = await staying.start()
        staying.order(lease, "say", "finish")
        assert (await task).endswith(":2 succeeded")
        await staying.runner.idle()
    assert await text(house, job) == await answer(house, job) == "2.1 "


@pytest.mark.parametrize("how", ["succeeded", "with stages", "broken", "handed over"])
async def test_no_slot_waits_until_others_are_woken(
    house: House, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The broker says nothing: stages begin, and attempts end, all the same."""
    house.settings = house.settings.model_copy(update={"drain_grace": 0.0})
    asked: list[UUID | None] = []
    answers = asyncio.Event()

    async def send(kind: JobKind, job_id: UUID | None, count: int = 1) -> bool:
        asked.append(job_id)
        await answers.wait()
        return True

    async with Workshop(house).open() as workshop:
        job = await house.accepted()
        behind = await house.accepted(conversation_id=job.conversation_id, on_busy="enqueue")
        workshop.handler.stages = how == "with stages"
        monkeypatch.setattr(house.wakeups, "send", send)
        task, lease = await workshop.start()
        old = workshop.handler.orders[lease]
        if how == "handed over":
            workshop.runner.drain()
        else:
            workshop.order(lease, "say", "break" if how == "broken" else "finish")
        if how == "with stages":
            await until(lambda: workshop.handler.orders.get(lease, old) is not old)
            workshop.order(lease, "finish")
        ended = await asyncio.wait_for(task, 10)
        await until(lambda: bool(asked))
        assert ended == f"{lease} {'succeeded' if how == 'with stages' else how}"
        assert asked == [job.id if how in ("broken", "handed over") else behind.id]
        answers.set()


async def test_a_turn_that_ends_within_the_grace_is_not_handed_over(house: House) -> None:
    house.settings = house.settings.model_copy(update={"drain_grace": 30.0})
    async with Workshop(house).open() as leaving:
        await house.accepted()
        task, lease = await leaving.start()
        leaving.runner.drain()
        leaving.order(lease, "say", "finish")
        assert await asyncio.wait_for(task, 5) == f"{lease} succeeded"


@pytest.mark.parametrize("still_mine", [True, False])
async def test_a_lease_that_is_missing_is_put_back_or_the_work_stopped(
    house: House, workshop: Workshop, still_mine: bool
) -> None:
    job = await house.accepted()
    task, lease = await workshop.start()
    await until(lambda: workshop.runner.running[lease].stream.drained)
    await house.redis.flushall()
    if not still_mine:
        await house.lose(await house.job(job.id))
    await workshop.keeper.renew()
    if still_mine:
        assert set(await house.leases.look()) == {lease}
        workshop.order(lease, "say", "finish")
        assert await task == f"{lease} succeeded"
    else:
        assert await asyncio.wait_for(task, 5) == f"{lease} fenced"
        assert (await house.job(job.id)).phase is Phase.READY


async def test_an_error_of_postgres_changes_nothing_about_a_missing_lease(
    house: House, workshop: Workshop
) -> None:
    await house.accepted()
    task, lease = await workshop.start()
    await house.redis.flushall()
    workshop.faults.refusing = True
    await workshop.keeper.renew()
    assert not task.done()
    workshop.faults.refusing = False
    workshop.order(lease, "say", "finish")
    assert await asyncio.wait_for(task, 10) == f"{lease} succeeded"
