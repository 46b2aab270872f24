"""How a job came out is told alike: live, by whoever ends it, and from Postgres when its stream is gone."""

from __future__ import annotations

from typing import Any

import pytest

from shared.jobs.answers import stored_reply
from shared.jobs.event_data import EXHAUSTED, outcome_events
from shared.jobs.job import Job
from shared.jobs.messages import Reply
from shared.jobs.resume import rebuild
from shared.jobs.states import JobKind, PostResponse, Status
from tests.integration.jobs.house import House
from tests.integration.jobs.simulation.handler import ScriptedHandler
from tests.integration.jobs.test_runner import Workshop, until

#: More than one key, and one that is longer than those behind it: Postgres puts them in an order of its own.
DETAILS: dict[str, Any] = {
    "provider": "openai",
    "model": "m\x00",
    "response_time": 0.1,
    "a": {"b": [1.0, None]},
}


async def require_alike(house: House, job: Job) -> list[str]:
    """The last events of the stream are those that would be rebuilt; their types."""
    now = await house.job(job.id)
    rebuilt = rebuild(None, now, await stored_reply(house.store, now))[2:]
    told = (await house.entries(job.id))[-len(rebuilt) :]
    assert [(one.type, one.data) for one in told] == [(one.type, one.data) for one in rebuilt]
    assert told[-1].id == now.final_event_id
    return [one.type for one in told]


@pytest.fixture
def detailed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers with metadata of several kinds."""
    partial = ScriptedHandler.partial
    monkeypatch.setattr(
        ScriptedHandler,
        "partial",
        lambda handler, attempt: Reply(content=partial(handler, attempt).content, details=dict(DETAILS)),
    )


@pytest.mark.usefixtures("detailed")
@pytest.mark.parametrize("keeps", [True, False], ids=["conversation", "no conversation"])
@pytest.mark.parametrize("how", ["finish", "with stages", "fail", "cancel", "exhausted"])
async def test_a_worker_tells_what_would_be_rebuilt(house: House, how: str, keeps: bool) -> None:
    async with Workshop(house).open() as workshop:
        workshop.handler.stages = how == "with stages"
        job = await house.accepted(keeps_conversation=keeps)
        if how == "exhausted":
            await house.do("UPDATE jobs SET failures = 99 WHERE id = :id", id=job.id)
            assert (await workshop.runner.run_next(JobKind.CHAT)).endswith("failed")
            assert (await house.job(job.id)).error == EXHAUSTED
        else:
            task, lease = await workshop.start()
            old = workshop.handler.orders[lease]
            workshop.order(lease, "say")
            if how == "cancel":
                await until(lambda: workshop.runner.running[lease].stream.next_seq == 2)
                await house.canceller.cancel(job.id)
                workshop.runner.cancel(lease)
            else:
                workshop.order(lease, "fail" if how == "fail" else "finish")
            if how == "with stages":
                await until(lambda: workshop.handler.orders.get(lease, old) is not old)
                workshop.order(lease, "finish")
            await task
        await workshop.runner.idle()
    ends = {"fail": ["error"], "exhausted": ["error"], "cancel": ["cancelled"]}
    types = await require_alike(house, job)
    assert types == ends.get(how, ["done", "post_response_complete"])


@pytest.mark.parametrize("how", ["waiting", "ready", "answered", "failed"])
async def test_who_ends_a_job_without_running_it_tells_the_same(house: House, how: str) -> None:
    if how == "waiting":
        first = await house.claimed()
        job = await house.accepted(conversation_id=first.conversation_id, on_busy="enqueue")
        await house.canceller.cancel(job.id)
    elif how == "ready":
        job = await house.accepted()
        await house.canceller.cancel(job.id)
    else:
        job = await house.claimed()
        if how == "answered":
            await house.end(job, reply=Reply(content="Because.", details=DETAILS), post_response=True)
            await house.lose(job)
            await house.canceller.cancel(job.id)
        else:
            await house.closer.end(job, Status.FAILED, {"code": "c", "message": "m", "more": 1})
    types = await require_alike(house, job)
    ends = {"answered": ["done", "post_response_complete"], "failed": ["error"]}
    assert types == ends.get(how, ["cancelled"])
    if how in ("waiting", "ready"):
        [(_, data)] = outcome_events(await house.job(job.id))
        assert data["metadata"]["finish_reason"] == "cancelled"
    if how == "answered":
        assert (await house.job(job.id)).post_response is PostResponse.CANCELLED
