"""How an attempt commits what came of a job: the commit decides, the event only tells."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from shared.jobs.job import Job
from shared.jobs.messages import NewMessage, Reply
from shared.jobs.states import JobKind, Phase, PostResponse, Status
from shared.jobs.store import Activated, FencedTransaction, JobStore

#: The branch moves on to the answer only if nobody switched it meanwhile.
_SHOW = text(
    "UPDATE conversations SET active_message_id = :message_id, updated_at = clock_timestamp() "
    "WHERE id = :conversation_id AND active_message_id IS NOT DISTINCT FROM :user_message_id"
)


#: Writes, within the transaction of an outcome, what belongs to it. It is given the status that is committed
#: and the message that keeps the answer, if there is one; what it returns, the job's outcome tells.
Keep = Callable[[FencedTransaction, Status, UUID | None], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Finished:
    """What the commit decided."""

    job: Job
    #: The next turn of the conversation, to be woken.
    activated: Activated | None = None
    #: Whether it ended while its owner had so many jobs running that others may have been held back.
    of_many: bool = False

    @property
    def message_id(self) -> UUID | None:
        """The message that keeps the answer; ``None`` when there was no text or no conversation."""
        return self.job.message_id


async def finish(
    store: JobStore,
    job: Job,
    *,
    status: Status,
    reply: Reply,
    message_id: UUID,
    next_seq: int,
    error: dict[str, Any] | None = None,
    post_response: bool = False,
    result: dict[str, Any] | None = None,
    keep: Keep | None = None,
) -> Finished:
    """Commit the outcome of ``job.attempt``.

    A success that was marked for cancelling is committed as cancelled, with all of its text.

    Args:
        store: the jobs.
        job: the job as it was claimed.
        status: what the attempt came to.
        reply: the answer, or what there was of it.
        message_id: the id that the answer's message gets; the same at every try, so that a commit whose
            reply was lost can be looked up.
        next_seq: the sequence number that the next event of this attempt will have.
        error: ``{code, message}`` when it failed.
        post_response: whether stages 4 and 5 follow.
        result: the outcome of a job that is not a chat turn.
        keep: writes what else belongs to the outcome, within its transaction; what it returns is part of the
            stored outcome.

    Raises:
        AttemptLostError: another attempt holds the job.
    """
    async with store.fenced(job) as transaction:
        now = transaction.job
        if now.answered and not job.answered:
            # An earlier try of this very commit went through, and its reply was lost.
            return Finished(now)
        if status is Status.SUCCEEDED and now.marked:
            status = Status.CANCELLED
        details = dict(reply.details)
        if status is Status.CANCELLED:
            details["finish_reason"] = "cancelled"
        elif status is Status.FAILED:
            details["finish_reason"] = "error"
        kept = await _keep(transaction, status, reply, details, message_id)
        more = {} if keep is None else await keep(transaction, status, kept)
        going_on = post_response and status is Status.SUCCEEDED
        stages = PostResponse.RUNNING if going_on else PostResponse.DONE
        ended = await transaction.end(
            status=status,
            phase=Phase.HELD if going_on else Phase.ENDED,
            post_response=stages if status is Status.SUCCEEDED else None,
            outcome={**_outcome(job, reply, details, result), **more},
            error=error,
            message_id=kept,
            # A chat's `done` is followed by `post_response_complete`; every other end is one event.
            final_seq=next_seq + int(status is Status.SUCCEEDED and job.kind is JobKind.CHAT),
        )
    return Finished(ended, transaction.activated, transaction.of_many)


async def finish_post_response(
    store: JobStore, job: Job, *, state: PostResponse, next_seq: int, keep: Keep | None = None
) -> Finished:
    """Commit that stages 4 and 5 have ended; the turn stays ``succeeded``.

    Raises:
        AttemptLostError: another attempt holds the job.
    """
    async with store.fenced(job) as transaction:
        message_id = transaction.job.message_id
        more = {} if keep is None else await keep(transaction, Status.SUCCEEDED, message_id)
        ended = await transaction.end(
            status=Status.SUCCEEDED,
            post_response=state,
            outcome={**(transaction.job.outcome or {}), **more} if more else None,
            final_seq=next_seq,
        )
    return Finished(ended, transaction.activated, transaction.of_many)


async def _keep(
    transaction: FencedTransaction,
    status: Status,
    reply: Reply,
    details: dict[str, Any],
    message_id: UUID,
) -> UUID | None:
    job = transaction.job
    if job.conversation_id is None or (reply.empty and status is not Status.SUCCEEDED):
        return None
    await NewMessage(
        id=message_id,
        conversation_id=job.conversation_id,
        parent_id=job.user_message_id,
        role="assistant",
        content=reply.content,
        thinking=reply.thinking,
        tool_calls=reply.tool_calls,
        details=details,
        input_tokens=reply.input_tokens,
        output_tokens=reply.output_tokens,
        job_id=job.id,
    ).insert(transaction.connection)
    transaction.connection.later(
        _SHOW,
        {
            "message_id": message_id,
            "conversation_id": job.conversation_id,
            "user_message_id": job.user_message_id,
        },
    )
    return message_id


def _outcome(
    job: Job, reply: Reply, details: dict[str, Any], result: dict[str, Any] | None
) -> dict[str, Any]:
    outcome: dict[str, Any] = {"metadata": details}
    if result is not None:
        outcome["result"] = result
    elif job.conversation_id is None:
        outcome |= reply.as_outcome()
    return outcome
