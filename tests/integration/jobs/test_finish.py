"""The commit decides: fenced by its attempt, once, with the mark looked at; and what a retry begins from."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.errors import JobNotEndedError, SecretErasedError
from shared.jobs.answers import stored_reply
from shared.jobs.event_data import EXHAUSTED
from shared.jobs.finish import finish, finish_post_response
from shared.jobs.job import Job
from shared.jobs.messages import Reply
from shared.jobs.retry import retry
from shared.jobs.states import Outcome, Phase, PostResponse, Status
from shared.jobs.store import AttemptLostError
from shared.schemas.events import EventId
from tests.integration.jobs.house import House


async def again(house: House, job: Job, secret: bytes | None = None) -> Job:
    return await retry(house.store, house.log, house.wakeups, await house.job(job.id), secret)  # type: ignore[arg-type]


async def test_an_answer_is_stored_with_its_outcome(house: House) -> None:
    job = await house.claimed()
    reply = Reply(
        content="Be\x00cause.",
        thinking="Hm\x00m",
        tool_calls=[{"id": "1", "type": "function", "function": {"name": "f", "arguments": "\x00"}}],
        details={"model": "m\x00", "note": "\\u0000 stays"},
        input_tokens=3,
        output_tokens=2,
    )
    finished = await house.end(job, reply=reply, next_seq=7)
    assert (finished.job.phase, finished.job.status) == (Phase.ENDED, Status.SUCCEEDED)
    assert finished.job.post_response is PostResponse.DONE
    assert finished.job.final_event_id == EventId(1, 8)
    stored = await stored_reply(house.store, finished.job)
    assert (stored.content, stored.thinking, stored.input_tokens) == ("Because.", "Hmm", 3)
    assert stored.details == {"model": "m", "note": "\\u0000 stays"}
    message = await house.row("SELECT * FROM messages WHERE role = 'assistant'")
    assert (message["parent_id"], message["job_id"]) == (job.user_message_id, job.id)
    assert (await house.row("SELECT * FROM conversations"))["active_message_id"] == message["id"]
    assert await house.attempts(job.id) == {1: Outcome.SUCCEEDED}


async def test_a_branch_that_was_switched_meanwhile_stays(house: House) -> None:
    job = await house.claimed()
    await house.do("UPDATE conversations SET active_message_id = NULL")
    await house.end(job)
    assert (await house.row("SELECT * FROM conversations"))["active_message_id"] is None


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
async def test_an_older_attempt_commits_nothing(house: House, status: Status) -> None:
    job = await house.claimed()
    await house.lose(job)
    for _ in range(2):
        with pytest.raises(AttemptLostError):
            await house.end(job, status)
        # While nobody holds it, and while somebody else does.
        await house.store.claim(job.kind, "other")
    now = await house.job(job.id)
    assert (now.attempt, now.phase, now.status, now.message_id) == (2, Phase.HELD, Status.RUNNING, None)
    assert len(await house.rows("SELECT * FROM messages")) == 1


async def test_an_older_attempt_ends_no_stages(house: House) -> None:
    job = await house.claimed()
    await house.end(job, post_response=True)
    await house.lose(job)
    second = await house.claim()
    assert (second.post_response, second.status) == (PostResponse.RUNNING, Status.SUCCEEDED)
    with pytest.raises(AttemptLostError):
        await finish_post_response(house.store, job, state=PostResponse.DONE, next_seq=4)
    await finish_post_response(house.store, second, state=PostResponse.DONE, next_seq=4)
    assert (await house.job(job.id)).final_event_id == EventId(2, 4)


async def test_an_ended_job_is_not_committed_again(house: House) -> None:
    job = await house.claimed()
    await house.end(job)
    with pytest.raises(AttemptLostError):
        await house.end(job, Status.FAILED)
    assert len(await house.rows("SELECT * FROM messages")) == 2


async def test_a_commit_that_went_through_is_found_when_it_is_tried_again(house: House) -> None:
    """Its reply was lost, and stages 4 and 5 keep the job held."""
    job = await house.claimed()
    first = await house.end(job, post_response=True)
    again = await house.end(job, post_response=True, reply=Reply(content="Otherwise."))
    assert again.message_id == first.message_id
    assert again.job.outcome == first.job.outcome
    assert len(await house.rows("SELECT * FROM messages")) == 2


async def test_the_commit_looks_at_the_mark(house: House) -> None:
    job = await house.claimed()
    await house.do("UPDATE jobs SET cancel_requested_at = now()")
    finished = await house.end(job, post_response=True, next_seq=5)
    assert (finished.job.status, finished.job.phase) == (Status.CANCELLED, Phase.ENDED)
    assert finished.job.final_event_id == EventId(1, 5)
    assert (finished.job.outcome or {})["metadata"]["finish_reason"] == "cancelled"
    assert finished.message_id is not None, "what there was of the text is kept, and it was all of it"


async def test_a_cancelled_turn_without_text_leaves_no_message(house: House) -> None:
    finished = await house.end(await house.claimed(), Status.CANCELLED, reply=Reply())
    assert finished.message_id is None
    assert len(await house.rows("SELECT * FROM messages")) == 1


async def test_after_the_answer_a_cancel_ends_the_stages_only(house: House) -> None:
    job = await house.claimed()
    await house.end(job, post_response=True)
    await house.canceller.cancel(job.id)
    finished = await finish_post_response(house.store, job, state=PostResponse.CANCELLED, next_seq=3)
    assert (finished.job.status, finished.job.post_response) == (Status.SUCCEEDED, PostResponse.CANCELLED)
    assert finished.job.message_id is not None


SECRET = {"secret": b"encrypted", "payload": {"own_provider_key": True}}


@pytest.mark.parametrize("end", ["succeeded", "failed", "cancelled", "cancelled while ready", "waiting"])
async def test_the_secret_is_erased_when_the_job_ends(house: House, end: str) -> None:
    if end == "waiting":
        first = await house.claimed()
        job = await house.accepted(conversation_id=first.conversation_id, on_busy="enqueue", **SECRET)
        await house.canceller.cancel(job.id)
    elif end == "cancelled while ready":
        job = await house.accepted(**SECRET)
        await house.canceller.cancel(job.id)
    else:
        job = await house.claimed(**SECRET)
        assert job.secret == b"encrypted"
        await house.end(job, Status(end))
    now = await house.job(job.id)
    assert (now.phase, now.secret) == (Phase.ENDED, None)


async def test_the_secret_is_kept_while_stages_follow_and_when_an_attempt_is_lost(house: House) -> None:
    job = await house.claimed(**SECRET)
    await house.lose(job)
    job = await house.claim()
    assert job.secret == b"encrypted"
    assert (await house.end(job, post_response=True)).job.secret == b"encrypted"
    await finish_post_response(house.store, job, state=PostResponse.DONE, next_seq=4)
    assert (await house.job(job.id)).secret is None


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED])
async def test_a_retry_by_hand_begins_anew_and_attempts_go_on(house: House, status: Status) -> None:
    job = await house.claimed()
    for _ in range(2):
        await house.lose(job)
        job = await house.claim()
    failed = await house.end(job, status, reply=Reply(content="Bec"), error={"code": "x", "message": "y"})
    assert failed.job.failures == 2
    retried = await again(house, job)
    assert (retried.phase, retried.status, retried.attempt, retried.failures) == (
        Phase.READY,
        Status.QUEUED,
        3,
        0,
    )
    assert (retried.error, retried.ended_at, retried.final_event_id, retried.marked) == (
        None,
        None,
        None,
        False,
    )
    assert house.wakeups.woken == [job.id]
    # The question is on show again, and the answer to come will be; what there was stays in the tree.
    assert (await house.row("SELECT * FROM conversations"))["active_message_id"] == job.user_message_id
    finished = await house.end(await house.claim())
    assert (finished.job.attempt, finished.job.status) == (4, Status.SUCCEEDED)
    assert (await house.row("SELECT * FROM conversations"))["active_message_id"] == finished.message_id
    assert len(await house.rows("SELECT * FROM messages WHERE role = 'assistant'")) == 2


async def test_a_retry_lets_go_of_the_old_answer(house: House) -> None:
    """Clients were told to discard it; when nothing comes of the retry, nothing is the job's answer."""
    job = await house.claimed()
    await house.end(job, Status.FAILED, reply=Reply(content="Bec"))
    await again(house, job)
    finished = await house.end(await house.claim(), Status.CANCELLED, reply=Reply())
    assert finished.job.message_id is None
    assert (await stored_reply(house.store, finished.job)).content == ""


async def test_a_retry_needs_the_secret_again(house: House) -> None:
    job = await house.claimed(**SECRET)
    await house.end(job, Status.FAILED)
    with pytest.raises(SecretErasedError, match="send it again"):
        await again(house, job)
    assert (await again(house, job, b"encrypted anew")).secret == b"encrypted anew"


@pytest.mark.parametrize("state", ["queued", "running", "succeeded"])
async def test_only_what_failed_or_was_cancelled_is_retried(house: House, state: str) -> None:
    job = await house.accepted()
    if state != "queued":
        job = await house.claim()
    if state == "succeeded":
        await house.end(job)
    with pytest.raises(JobNotEndedError, match=state):
        await again(house, job)


@pytest.mark.parametrize("text", ["", "Bec"])
async def test_a_job_that_ran_out_of_attempts_ends_with_what_there_was(house: House, text: str) -> None:
    writer = house.writer()
    job = await house.claimed()
    await house.tell(writer, writer.open(job), job, *([text] if text else []))
    await house.lose(job)
    job = await house.claim()
    ended = await house.closer.end(job, Status.FAILED, EXHAUSTED)
    assert ended is not None
    assert (ended.status, (ended.error or {})["code"]) == (Status.FAILED, "attempts_exhausted")
    assert (await stored_reply(house.store, ended)).content == text
    assert (await house.types(job.id))[-2:] == ["fence", "error"]
    assert ended.final_event_id == (await house.entries(job.id))[-1].id


async def test_a_drained_attempt_is_no_failure(house: House) -> None:
    job = await house.claimed()
    for number in range(1, 6):
        released = await house.store.make_claimable(job.id, number, Outcome.DRAINED, counts=False)
        assert released is not None
        assert (released.failures, released.last_failure) == (0, None)
        job = await house.claim()
    assert job.attempt == 6
    assert (await house.attempts(job.id))[5] == Outcome.DRAINED


async def test_giving_up_an_attempt_that_is_not_the_newest_changes_nothing(house: House) -> None:
    job = await house.claimed()
    await house.lose(job)
    second = await house.claim()
    assert await house.store.make_claimable(job.id, 1, Outcome.LOST) is None
    assert await house.store.make_claimable(uuid4(), 1, Outcome.LOST) is None
    await house.end(second)
    assert await house.store.make_claimable(job.id, 2, Outcome.LOST) is None
    assert (await house.job(job.id)).failures == 1


async def test_a_job_is_taken_only_as_it_was_read(house: House) -> None:
    job = await house.accepted()
    claimed = await house.claim()
    assert await house.store.take(job, "closer") is None
    taken = await house.store.take(claimed, "closer")
    assert taken is not None
    assert taken.attempt == 2
    with pytest.raises(AttemptLostError):
        await house.end(claimed)


async def test_an_outcome_of_another_kind_of_job(house: House) -> None:
    job = await house.queue(house.ada)
    finished = await finish(
        house.store,
        await house.claim(),
        status=Status.SUCCEEDED,
        reply=Reply(),
        message_id=UUID(int=1),
        next_seq=1,
        result={"models": []},
    )
    outcome: dict[str, Any] = finished.job.outcome or {}
    assert (finished.job.id, outcome["result"]) == (job.id, {"models": []})
