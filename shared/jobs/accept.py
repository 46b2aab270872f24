"""Accepting a job: when it is answered with an id, it is in Postgres."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import direct
from shared.database.direct import Connection, DirectConnection, Pending
from shared.database.repositories import idempotency
from shared.errors import (
    ConnectionNotFoundError,
    ConversationBusyError,
    ConversationNotFoundError,
    PersonaNotFoundError,
    ValidationError,
)
from shared.jobs import spans
from shared.jobs.job import Job
from shared.jobs.new_turn import Acceptance, Basis, NewTurn, Once
from shared.jobs.statements import as_json, statement
from shared.jobs.states import JobKind, Phase, Status
from shared.jobs.turn_messages import write_messages
from shared.schemas.provider_settings import LOCAL_MODEL_URL

_BASIS = statement("turn_basis")
_BUSY = statement("busy")
_INSERT_JOB = statement("insert_job")
_POSITION = statement("queue_position")
_MARK = statement("mark_cancelled")
_CONVERSATION = text(
    "SELECT id, persona_id, connection_id, model, active_message_id FROM conversations "
    "WHERE id = :conversation_id AND owner_id = :owner_id AND deleted_at IS NULL FOR UPDATE"
)
_JOB = text("SELECT * FROM jobs WHERE id = :job_id")


@spans.accepting("chat")
@direct.survives_migration
async def accept_turn(engine: AsyncEngine, turn: NewTurn, check: Callable[[Basis], None]) -> Acceptance:
    """Commit a turn: idempotency record, messages and job, in one transaction.

    Args:
        engine: Postgres.
        turn: what to accept.
        check: raises what is wrong with the turn, given its persona and connection, before anything is
            written.

    Raises:
        ConversationNotFoundError, PersonaNotFoundError, ConnectionNotFoundError, MessageNotFoundError: what
            is named does not exist or belongs to somebody else.
        ConversationBusyError: ``on_busy`` is ``reject`` and another turn is active or waiting.
        IdempotencyKeyReusedError: the key was used with another body.
    """
    async with direct.begin(engine) as connection:
        if turn.once is not None:
            earlier = await remember(connection, turn.owner_id, turn.once)
            if earlier is not None:
                spans.accepted(earlier, joined=True)
                return Acceptance(earlier, joined=True)
        conversation = await _conversation(connection, turn)
        basis = await _basis(connection, turn, conversation)
        check(basis)
        phase = Phase.READY
        interrupted: tuple[Job, ...] = ()
        if turn.conversation_id is not None:
            phase, interrupted = await _make_way(connection, turn)
        conversation_id, user_message_id = await write_messages(
            connection, turn, conversation, basis, waits=phase is Phase.WAITING
        )
        payload = {
            **turn.payload,
            "persona_id": None if basis.persona_id is None else str(basis.persona_id),
            "connection_id": None if basis.connection_id is None else str(basis.connection_id),
            "model": basis.model,
        }
        # Messages and job go in one round trip with the commit.
        inserted = later_job(
            connection,
            id=turn.id,
            kind=JobKind.CHAT,
            owner_id=turn.owner_id,
            conversation_id=conversation_id,
            phase=phase,
            on_disconnect=turn.on_disconnect,
            payload=payload,
            secret=turn.secret,
            user_message_id=user_message_id,
            parent_given=turn.parent_message_id is not None or turn.answer_to is not None,
        )
        if turn.once is not None:
            await name_job(connection, turn.owner_id, turn.once, turn.id)
        position = later_position(connection, turn.id)
    job = Job.from_row(inserted.rows.mappings().one())
    spans.accepted(job)
    # Where turns are interrupted it will be another one in a moment.
    place = None if interrupted else position.rows.scalar()
    return Acceptance(job, interrupted=interrupted, position=place)


async def insert_job(connection: Connection, **columns: Any) -> Job:
    """Insert a job; the columns not given are empty."""
    row = (await connection.execute(_INSERT_JOB, _columns(**columns))).mappings().one()
    return Job.from_row(row)


def _columns(**columns: Any) -> dict[str, Any]:
    defaults = {
        "conversation_id": None,
        "on_disconnect": "continue",
        "secret": None,
        "user_message_id": None,
        "parent_given": False,
        "traceparent": spans.place_of_job(),
    }
    return {**defaults, **columns, "payload": as_json(columns["payload"])}


def later_job(connection: DirectConnection, **columns: Any) -> Pending:
    """Insert a job with the next round trip; the columns not given are empty."""
    return connection.later(_INSERT_JOB, _columns(**columns))


async def remember(connection: Connection, owner_id: UUID, once: Once) -> Job | None:
    """Insert the idempotency record, or find the job of the request that did so first.

    A request with the same key that is not committed yet is waited for: its insert holds the key.

    Raises:
        IdempotencyKeyReusedError: the key was used with another body.
    """
    used = owner_id, once.route, once.key, once.body_hash
    while (record := await idempotency.begin(connection, *used)) is not None:
        job = await _made(connection, record)
        if job is not None:  # else removed with its record between the two statements
            return job
    return None


@direct.survives_migration
async def find_remembered(engine: AsyncEngine, owner_id: UUID, once: Once) -> Job | None:
    """The job of the request that used the key, if one did and is committed.

    Raises:
        IdempotencyKeyReusedError: the key was used with another body.
    """
    async with direct.begin(engine) as connection:
        record = await idempotency.find(connection, owner_id, once.route, once.key, once.body_hash)
        return None if record is None else await _made(connection, record)


async def _made(connection: Connection, record: idempotency.Record) -> Job | None:
    assert record.job_id is not None, "the route makes jobs"
    row = (await connection.execute(_JOB, {"job_id": record.job_id})).mappings().first()
    return None if row is None else Job.from_row(row)


async def name_job(connection: Connection, owner_id: UUID, once: Once, job_id: UUID) -> None:
    """Tell the idempotency record what it made, with the next round trip."""
    await idempotency.finish(connection, owner_id, once.route, once.key, job_id=job_id)


def later_position(connection: DirectConnection, job_id: UUID) -> Pending:
    """Ask with the next round trip how many jobs are before it."""
    return connection.later(_POSITION, {"job_id": job_id})


async def _conversation(connection: Connection, turn: NewTurn) -> Mapping[str, Any] | None:
    if turn.conversation_id is None:
        return None
    row = await connection.execute(
        _CONVERSATION, {"conversation_id": turn.conversation_id, "owner_id": turn.owner_id}
    )
    conversation: Mapping[str, Any] | None = row.mappings().first()
    if conversation is None:
        raise ConversationNotFoundError(
            "There is no such conversation; leave conversation_id out to begin one."
        )
    return conversation


async def _basis(connection: Connection, turn: NewTurn, conversation: Mapping[str, Any] | None) -> Basis:
    found = await connection.execute(
        _BASIS,
        {
            "owner_id": turn.owner_id,
            "persona_id": turn.persona_id,
            "own_persona_id": conversation["persona_id"] if conversation else None,
            "connection_id": turn.connection_id,
            "own_connection_id": conversation["connection_id"] if conversation else None,
            "local_url": LOCAL_MODEL_URL,
            "modules": list(turn.payload.get("modules", ())),
        },
    )
    row = found.mappings().one()
    if turn.persona_id is not None and row["persona_id"] is None:
        raise PersonaNotFoundError("There is no such persona; GET /api/personas lists yours.")
    if row["persona_id"] is not None and not row["persona_active"]:
        raise ValidationError(
            "The persona is switched off; set its is_active to true, or choose another.",
            errors=[{"field": "persona_id", "message": "is not active"}],
        )
    model = turn.model or (conversation["model"] if conversation else None)
    unknown = tuple(row["unknown_modules"])
    if turn.own_provider:
        return Basis(row["persona_id"], None, None, {}, row["first_message"], model, unknown)
    if row["connection_id"] is None:
        if turn.connection_id is not None:
            raise ConnectionNotFoundError("There is no such connection.")
        raise ConnectionNotFoundError(
            "There is no connection to answer with: create one (POST /api/connections), or send provider and "
            "provider_settings."
        )
    return Basis(
        row["persona_id"],
        row["connection_id"],
        row["provider"],
        row["settings"],
        row["first_message"],
        model,
        unknown,
    )


async def _make_way(connection: Connection, turn: NewTurn) -> tuple[Phase, tuple[Job, ...]]:
    """Apply ``on_busy``: in which phase the new turn begins, and which turns it interrupts."""
    rows = await connection.execute(_BUSY, {"conversation_id": turn.conversation_id})
    others = [Job.from_row(row) for row in rows.mappings()]
    if not others:
        return Phase.READY, ()
    if turn.on_busy == "enqueue":
        return Phase.WAITING, ()
    if turn.on_busy == "interrupt":
        marked = []
        for other in others:
            parameters = {"job_id": other.id, "unless_answered": False}
            row = (await connection.execute(_MARK, parameters)).mappings().one()
            marked.append(Job.from_row(row))
        return Phase.WAITING, tuple(marked)
    only_stages_left = len(others) == 1 and others[0].status is Status.SUCCEEDED
    if only_stages_left:
        return Phase.WAITING, ()
    raise ConversationBusyError(
        "Another turn of this conversation is active; wait for its end, cancel it, or send on_busy "
        "'enqueue' or 'interrupt'."
    )
