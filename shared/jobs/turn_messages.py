"""The messages of a turn that is being accepted: where in the tree they go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from shared.database import direct
from shared.database.direct import Connection
from shared.errors import MessageNotFoundError, ValidationError
from shared.jobs.messages import NewMessage
from shared.jobs.new_turn import Basis, NewTurn

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

#: Characters of the first message that become the title of a new conversation.
TITLE_LENGTH = 80


async def write_messages(
    connection: Connection,
    turn: NewTurn,
    conversation: Mapping[str, Any] | None,
    basis: Basis,
    *,
    waits: bool,
) -> tuple[UUID | None, UUID | None]:
    """Write what the turn answers; returns the conversation's and the user message's id.

    Args:
        connection: within the transaction that accepts the turn.
        turn: what to accept.
        conversation: its row, locked; ``None``: a new one is made if the turn keeps one.
        basis: persona and connection.
        waits: the turn is behind another: its message gets its place in the tree when it is activated.

    Raises:
        MessageNotFoundError, ValidationError: the message it is to follow, or to answer, is not there or of
            another role.
    """
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
    await direct.write(
        connection,
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
    await direct.write(connection, _SHOW, {"conversation_id": conversation_id, "message_id": message_id})


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
