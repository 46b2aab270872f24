"""A retry by hand: an ended job queues again."""

from __future__ import annotations

import logging

from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.errors import (
    ConversationBusyError,
    ConversationNotFoundError,
    JobNotEndedError,
    SecretErasedError,
)
from shared.jobs.event_log import EventLog
from shared.jobs.job import Job
from shared.jobs.statements import statement
from shared.jobs.store import JobStore
from shared.jobs.wakeups import Wakeups

log = logging.getLogger(__name__)

_RETRY = statement("retry")
#: The lock comes before that on the job; who deletes a conversation holds it.
_LOCK_CONVERSATION = text("SELECT deleted_at FROM conversations WHERE id = :conversation_id FOR UPDATE")
_PLACE_QUESTION = statement("place_question")
#: What the new attempt answers is on show again, or for the first time, so that its answer will be.
_SHOW_QUESTION = text(
    "UPDATE conversations c SET active_message_id = j.user_message_id FROM jobs j "
    "WHERE j.id = :job_id AND c.id = j.conversation_id "
    "AND (c.active_message_id = j.message_id OR j.ready_at IS NULL)"
)


async def retry(
    store: JobStore, log_: EventLog, wakeups: Wakeups, job: Job, secret: bytes | None = None
) -> Job:
    """Queue a failed or cancelled job again; its failures are counted anew, its events go on.

    Args:
        store: the jobs.
        log_: the event log.
        wakeups: to wake a worker.
        job: what to retry.
        secret: the encrypted key that came with the request, sent along again.

    Raises:
        JobNotEndedError: it has not failed or been cancelled.
        SecretErasedError: it needs the key that was erased when it ended.
        ConversationNotFoundError: its conversation was deleted.
        ConversationBusyError: another turn of its conversation is active.
    """
    if not job.ended or job.answered:
        raise _not_ended(job)
    if job.payload.get("own_provider_key") and secret is None:
        raise SecretErasedError(
            "The key that came with this job was erased when the job ended; send it again as api_key."
        )
    try:
        async with store.engine.begin() as connection:
            await _lock_conversation(connection, job)
            await connection.execute(_PLACE_QUESTION, {"job_id": job.id})
            await connection.execute(_SHOW_QUESTION, {"job_id": job.id})
            row = (await connection.execute(_RETRY, {"job_id": job.id, "secret": secret})).mappings().first()
            if row is None:
                raise _not_ended(job)
            retried = Job.from_row(row)
    except IntegrityError as error:
        raise ConversationBusyError(
            "Another turn of this conversation is active; retry when it has ended."
        ) from error
    try:
        await log_.keep(job.id)
    except (RedisError, OSError):
        log.warning("the events of a retried job may be gone", extra={"session_id": str(job.id)})
    await wakeups.send(retried.kind, retried.id)
    return retried


async def _lock_conversation(connection: AsyncConnection, job: Job) -> None:
    if job.conversation_id is None:
        return
    parameters = {"conversation_id": job.conversation_id}
    row = (await connection.execute(_LOCK_CONVERSATION, parameters)).first()
    if row is None or row.deleted_at is not None:
        raise ConversationNotFoundError("The conversation of this job was deleted.")


def _not_ended(job: Job) -> JobNotEndedError:
    return JobNotEndedError(f"The job is {job.shown_status}; only a failed or cancelled job can be retried.")
