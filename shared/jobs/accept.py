"""Accepting a job: when it is answered with an id, it is in Postgres."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import direct
from shared.database.direct import Connection
from shared.errors import (
    ConnectionNotFoundError,
    ConversationBusyError,
    ConversationNotFoundError,
    IdempotencyKeyReusedError,
    MessageNotFoundError,
    PersonaNotFoundError,
    ValidationError,
)
from shared.jobs.job import Job
from shared.jobs.messages import NewMessage
from shared.jobs.statements import as_json, statement
from shared.jobs.states import JobKind, Phase, Status
from shared.schemas.provider_settings import LOCAL_MODEL_URL

_BASIS = statement("turn_basis")
_BUSY = statement("busy")
_INSERT_JOB = statement("insert_job")
_MARK = statement("mark_cancelled")
_CONVERSATION = text(
    "SELECT id, persona_id, connection_id, model, active_message_id FROM conversations "
    "WHERE id = :conversation_id AND owner_id = :owner_id AND deleted_at IS NULL FOR UPDATE"
)
_NEW_CONVERSATION = text(
    "INSERT INTO conversations (id, owner_id, title, persona_id, connection_id, model) "
    "VALUES (:id, :owner_id, :title, :persona_id, :connection_id, :model)"
)
_MESSAGE = text(
    "SELECT id, role, parent_id FROM messages "
    "WHERE id = :message_id AND conversation_id = :conversation_id AND hidden_at IS NULL"
)
_SHOW = text(
    "UPDATE conversations SET active_message_id = :message_id, updated_at = clock_timestamp() "
    "WHERE id = :conversation_id"
)
_REMEMBER = text(
    "INSERT INTO idempotency_keys (owner_id, route, key, body_hash) "
    "VALUES (:owner_id, :route, :key, :body_hash) ON CONFLICT DO NOTHING RETURNING 1"
)
_REMEMBERED = text(
    "SELECT body_hash, job_id FROM idempotency_keys "
    "WHERE owner_id = :owner_id AND route = :route AND key = :key"
)
_NAME_JOB = text(
    "UPDATE idempotency_keys SET job_id = :job_id "
    "WHERE owner_id = :owner_id AND route = :route AND key = :key"
)
_JOB = text("SELECT * FROM jobs WHERE id = :job_id")

TITLE_LENGTH = 80


@dataclass(frozen=True, kw_only=True, slots=True)
class Once:
    """An ``Idempotency-Key``: the same key and body give the same job."""

    route: str
    key: str
    #: Keyed hash of the body.
    body_hash: bytes


@dataclass(frozen=True, slots=True)
class Basis:
    """What a turn stands on, for the check that the caller of :func:`accept_turn` makes."""

    persona_id: UUID | None
    connection_id: UUID | None
    provider: str | None
    settings: dict[str, Any]
    #: The persona's greeting, which begins a new conversation.
    first_message: str | None = None
    #: The model that the turn or its conversation names.
    model: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NewTurn:
    """A turn to accept.

    Either ``message`` (a new user message) or ``answer_to`` (a user message to answer again), or neither:
    then ``payload`` brings the messages, and no conversation is kept, unless ``history`` begins one with them.
    """

    owner_id: UUID
    id: UUID = field(default_factory=uuid4)
    message: str | None = None
    answer_to: UUID | None = None
    conversation_id: UUID | None = None
    #: Whether the turn lives in a conversation, made if none is named.
    keeps_conversation: bool = True
    persona_id: UUID | None = None
    connection_id: UUID | None = None
    model: str | None = None
    #: Whether the request brings provider settings of its own, so that no connection is looked up.
    own_provider: bool = False
    parent_message_id: UUID | None = None
    on_busy: str = "reject"
    on_disconnect: str = "continue"
    payload: Mapping[str, Any] = field(default_factory=dict)
    #: Encrypted key of ``own_provider``.
    secret: bytes | None = None
    once: Once | None = None
    #: Earlier messages of a new conversation, oldest first: ``{role, content, …}``. Without ``message`` the
    #: last of them is what is answered.
    history: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What was committed."""

    job: Job
    #: Whether an earlier request with the same key made the job.
    joined: bool = False
    #: Turns that were marked for cancelling to make way (``interrupt``), to be carried out now.
    interrupted: tuple[Job, ...] = ()


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
            earlier = await _remember(connection, turn)
            if earlier is not None:
                return Acceptance(earlier, joined=True)
        conversation = await _conversation(connection, turn)
        basis = await _basis(connection, turn, conversation)
        check(basis)
        phase = Phase.READY
        interrupted: tuple[Job, ...] = ()
        if turn.conversation_id is not None:
            phase, interrupted = await _make_way(connection, turn)
        conversation_id, user_message_id = await _write_messages(
            connection, turn, conversation, basis, waits=phase is Phase.WAITING
        )
        payload = {
            **turn.payload,
            "persona_id": None if basis.persona_id is None else str(basis.persona_id),
            "connection_id": None if basis.connection_id is None else str(basis.connection_id),
            "model": basis.model,
        }
        job = await insert_job(
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
            await connection.execute(_NAME_JOB, {**_once(turn), "job_id": job.id})
    return Acceptance(job, interrupted=interrupted)


async def insert_job(connection: Connection, **columns: Any) -> Job:
    """Insert a job; the columns not given are empty."""
    defaults = {
        "conversation_id": None,
        "on_disconnect": "continue",
        "secret": None,
        "user_message_id": None,
        "parent_given": False,
    }
    parameters = {**defaults, **columns, "payload": as_json(columns["payload"])}
    row = (await connection.execute(_INSERT_JOB, parameters)).mappings().one()
    return Job.from_row(row)


def _once(turn: NewTurn) -> dict[str, Any]:
    assert turn.once is not None
    return {"owner_id": turn.owner_id, "route": turn.once.route, "key": turn.once.key}


async def _remember(connection: Connection, turn: NewTurn) -> Job | None:
    """Insert the idempotency record, or find the job of the request that did so first.

    A request with the same key that is not committed yet is waited for: its insert holds the key.
    """
    assert turn.once is not None
    parameters = _once(turn)
    fresh = await connection.execute(_REMEMBER, {**parameters, "body_hash": turn.once.body_hash})
    if fresh.first() is not None:
        return None
    record = (await connection.execute(_REMEMBERED, parameters)).one()
    if bytes(record.body_hash) != turn.once.body_hash:
        raise IdempotencyKeyReusedError(
            "This Idempotency-Key was used with another body; use a new key for a new request."
        )
    row = (await connection.execute(_JOB, {"job_id": record.job_id})).mappings().one()
    return Job.from_row(row)


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
    if turn.own_provider:
        return Basis(row["persona_id"], None, None, {}, row["first_message"], model)
    if row["connection_id"] is None:
        if turn.connection_id is not None:
            raise ConnectionNotFoundError("There is no such connection.")
        raise ConnectionNotFoundError(
            "There is no connection to answer with: create one (POST /api/connections), or send provider and "
            "provider_settings."
        )
    return Basis(
        row["persona_id"], row["connection_id"], row["provider"], row["settings"], row["first_message"], model
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
            row = (await connection.execute(_MARK, {"job_id": other.id})).mappings().one()
            marked.append(Job.from_row(row))
        return Phase.WAITING, tuple(marked)
    only_stages_left = len(others) == 1 and others[0].status is Status.SUCCEEDED
    if only_stages_left:
        return Phase.WAITING, ()
    raise ConversationBusyError(
        "Another turn of this conversation is active; wait for its end, cancel it, or send on_busy "
        "'enqueue' or 'interrupt'."
    )


async def _write_messages(
    connection: Connection,
    turn: NewTurn,
    conversation: Mapping[str, Any] | None,
    basis: Basis,
    *,
    waits: bool,
) -> tuple[UUID | None, UUID | None]:
    """Write what the turn answers; returns the conversation's and the user message's id."""
    if not turn.keeps_conversation:
        return None, None
    leaf: UUID | None = conversation["active_message_id"] if conversation else None
    conversation_id = turn.conversation_id
    if conversation_id is None:
        conversation_id, leaf = await _new_conversation(connection, turn, basis)
        if turn.message is None and leaf is not None:
            await _show(connection, conversation_id, leaf)
            return conversation_id, leaf
    if turn.answer_to is not None:
        question = await _question(connection, conversation_id, turn.answer_to)
        if not waits:
            await _show(connection, conversation_id, question)
        return conversation_id, question
    parent: UUID | None = None if waits else leaf
    if turn.parent_message_id is not None:
        await _find_message(connection, conversation_id, turn.parent_message_id, "parent_message_id")
        parent = turn.parent_message_id
    message = NewMessage(
        conversation_id=conversation_id,
        parent_id=parent,
        role="user",
        content=turn.message or "",
        job_id=turn.id,
    )
    await message.insert(connection)
    if not waits:
        await _show(connection, conversation_id, message.id)
    return conversation_id, message.id


async def _new_conversation(connection: Connection, turn: NewTurn, basis: Basis) -> tuple[UUID, UUID | None]:
    conversation_id = uuid4()
    asked = (said["content"] for said in reversed(turn.history) if said["role"] == "user")
    title = " ".join((turn.message or next(asked, "")).split())
    await connection.execute(
        _NEW_CONVERSATION,
        {
            "id": conversation_id,
            "owner_id": turn.owner_id,
            "title": title[:TITLE_LENGTH] or "Conversation",
            "persona_id": basis.persona_id,
            "connection_id": turn.connection_id,
            "model": turn.model,
        },
    )
    leaf: UUID | None = None
    greeting = [{"role": "assistant", "content": basis.first_message}] if basis.first_message else []
    for earlier in turn.history or greeting:
        message = NewMessage(conversation_id=conversation_id, parent_id=leaf, **earlier)
        await message.insert(connection)
        leaf = message.id
    return conversation_id, leaf


async def _show(connection: Connection, conversation_id: UUID, message_id: UUID) -> None:
    await connection.execute(_SHOW, {"conversation_id": conversation_id, "message_id": message_id})


async def _find_message(
    connection: Connection, conversation_id: UUID, message_id: UUID, name: str
) -> Mapping[str, Any]:
    row = await connection.execute(_MESSAGE, {"conversation_id": conversation_id, "message_id": message_id})
    message: Mapping[str, Any] | None = row.mappings().first()
    if message is None:
        raise MessageNotFoundError(
            "There is no such message in the conversation.",
            errors=[{"field": name, "message": "is not a message of the conversation"}],
        )
    return message


async def _question(connection: Connection, conversation_id: UUID, message_id: UUID) -> UUID:
    """The message to answer again: ``message_id`` itself, or the one that it answers."""
    message = await _find_message(connection, conversation_id, message_id, "message_id")
    if message["role"] == "assistant" and message["parent_id"] is not None:
        message = await _find_message(connection, conversation_id, message["parent_id"], "message_id")
    if message["role"] not in {"user", "tool"}:
        raise ValidationError(
            "Only a user message, or the answer to one, can be generated again.",
            errors=[{"field": "message_id", "message": "is neither a user message nor the answer to one"}],
        )
    found: UUID = message["id"]
    return found
