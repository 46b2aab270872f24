"""What Postgres, Redis and the provider say when a run is over."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from redis.asyncio import Redis

from shared.jobs.event_log import EventLog
from tests.chaos.history import (
    AttemptRow,
    History,
    JobRow,
    MessageRow,
    ProviderCall,
    StreamEntry,
)
from tests.fakes.process import ModelServer

#: How a turn is named in the message that asks for it.
TURN = re.compile(r"turn ([0-9a-f]{8})\b")

_JOBS = """
    SELECT j.*, m.content AS question FROM jobs j
    LEFT JOIN messages m ON m.id = j.user_message_id
    WHERE j.kind = 'chat' ORDER BY j.created_at, j.id
"""


def connect(database_url: str) -> psycopg.Connection[dict[str, Any]]:
    """A connection for SQLAlchemy's ``database_url``."""
    url = database_url.replace("+psycopg", "", 1)
    return psycopg.connect(url, autocommit=True, row_factory=dict_row)


async def wait_until_ended(database_url: str, timeout: float) -> int:
    """Wait until every job has ended; how many have not after ``timeout`` seconds."""

    def unfinished() -> int:
        with connect(database_url) as connection:
            row = connection.execute("SELECT count(*) AS jobs FROM jobs WHERE phase <> 'ended'").fetchone()
            return 0 if row is None else int(row["jobs"])

    deadline = time.monotonic() + timeout
    while (left := await asyncio.to_thread(unfinished)) and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    return left


async def collect(
    history: History, *, database_url: str, redis_url: str, namespace: str, model: ModelServer
) -> None:
    """Add the final state to ``history``."""
    await asyncio.to_thread(_collect_rows, history, database_url)
    _collect_calls(history, await model.alog())
    async with Redis.from_url(redis_url, protocol=2) as redis:
        log = EventLog(redis, namespace)
        for job in list(history.of(JobRow)):
            for entry in await log.after(UUID(job.id), None):
                history.add(
                    StreamEntry(
                        session_id=job.id, id=str(entry.id), event=str(entry.type), data=entry.payload()
                    )
                )


def _collect_rows(history: History, database_url: str) -> None:
    with connect(database_url) as connection:
        for row in connection.execute(_JOBS).fetchall():
            metadata = (row["outcome"] or {}).get("metadata") or {}
            history.add(
                JobRow(
                    id=str(row["id"]),
                    turn=_turn(row["question"] or ""),
                    conversation_id=_text(row["conversation_id"]),
                    phase=row["phase"],
                    status=row["status"],
                    attempt=row["attempt"],
                    failures=row["failures"],
                    post_response=row["post_response"],
                    cancel_requested=row["cancel_requested_at"] is not None,
                    user_message_id=_text(row["user_message_id"]),
                    message_id=_text(row["message_id"]),
                    error=row["error"],
                    finish_reason=metadata.get("finish_reason"),
                    finished_at=_seconds(row["finished_at"]),
                    ended_at=_seconds(row["ended_at"]),
                )
            )
        for row in connection.execute("SELECT * FROM attempts ORDER BY job_id, attempt").fetchall():
            history.add(
                AttemptRow(
                    job_id=str(row["job_id"]),
                    attempt=row["attempt"],
                    worker=row["worker"],
                    started_at=row["started_at"].timestamp(),
                    finished_at=_seconds(row["finished_at"]),
                    outcome=row["outcome"],
                )
            )
        for row in connection.execute("SELECT * FROM messages ORDER BY created_at, id").fetchall():
            history.add(
                MessageRow(
                    id=str(row["id"]),
                    conversation_id=str(row["conversation_id"]),
                    role=row["role"],
                    content=row["content"],
                    thinking=row["thinking"],
                    job_id=_text(row["job_id"]),
                    finish_reason=(row["details"] or {}).get("finish_reason"),
                )
            )


def _collect_calls(history: History, log: list[dict[str, Any]]) -> None:
    # The provider tells monotonic nanoseconds, everybody else the time of day.
    offset = time.time() - time.monotonic_ns() / 1e9
    for request in log:
        messages = (request.get("body") or {}).get("messages") or []
        said = [message["content"] for message in messages if message["role"] == "user"]
        if said:
            history.add(
                ProviderCall(
                    turn=_turn(said[-1]),
                    at=request["at"] / 1e9 + offset,
                    tokens=request["tokens"],
                    aborted=bool(request["aborted"]),
                )
            )


def _turn(message: str) -> str:
    found = TURN.search(message)
    return found[1] if found else ""


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _seconds(value: datetime | None) -> float | None:
    return None if value is None else value.timestamp()
