"""The stored answer of a job."""

from __future__ import annotations

from sqlalchemy import text

from shared.jobs.job import Job
from shared.jobs.messages import Reply
from shared.jobs.store import JobStore

_MESSAGE = text("SELECT * FROM messages WHERE id = :message_id")


async def stored_reply(store: JobStore, job: Job) -> Reply:
    """The answer as Postgres keeps it: in its message, or in the outcome of a job without a conversation."""
    outcome = job.outcome or {}
    details = outcome.get("metadata", {})
    if job.message_id is not None:
        async with store.engine.connect() as connection:
            row = (await connection.execute(_MESSAGE, {"message_id": job.message_id})).mappings().first()
        if row is not None:
            return Reply(
                content=row["content"],
                thinking=row["thinking"],
                tool_calls=row["tool_calls"],
                details=row["details"],
                input_tokens=row["input_tokens"],
                output_tokens=row["output_tokens"],
            )
    return Reply(
        content=outcome.get("content") or "",
        thinking=outcome.get("thinking"),
        tool_calls=outcome.get("tool_calls"),
        details=details,
        input_tokens=details.get("input_tokens"),
        output_tokens=details.get("output_tokens"),
    )
