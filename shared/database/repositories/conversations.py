"""Conversations, and the tree of their messages.

Nothing overwrites a message: an edit is a sibling. A hidden message stays in the tree as data; what is shown
and sent to a model skips it, as if its children hung from its nearest visible parent.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import exists, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.models import Conversation, Job, Message
from shared.database.repositories import connections, owned, personas
from shared.errors import (
    ConversationBusyError,
    ConversationNotFoundError,
    MessageNotFoundError,
    ValidationError,
)
from shared.schemas.page import Position

UNTITLED = "New conversation"


@dataclass(frozen=True)
class Shown:
    """A message as it is shown: with the parent that is visible, not the one in the data."""

    message: Message
    parent_id: uuid.UUID | None


async def create(
    session: AsyncSession,
    owner_id: uuid.UUID,
    *,
    title: str | None = None,
    persona_id: uuid.UUID | None = None,
    connection_id: uuid.UUID | None = None,
    model: str | None = None,
) -> Conversation:
    """Make a conversation; the persona's first message opens it.

    Raises:
        PersonaNotFoundError, ConnectionNotFoundError: not the owner's.
        ValidationError: the persona is not active.
    """
    first: str | None = None
    if persona_id is not None:
        persona = await personas.get(session, owner_id, persona_id)
        if not persona.is_active:
            raise ValidationError(
                "this persona is not active; set is_active to use it",
                errors=[{"field": "persona_id", "message": "names a persona that is not active"}],
            )
        title = title or persona.name
        first = persona.first_message
    if connection_id is not None:
        await connections.get(session, owner_id, connection_id)
    conversation = Conversation(
        owner_id=owner_id,
        title=title or UNTITLED,
        persona_id=persona_id,
        connection_id=connection_id,
        model=model,
    )
    session.add(conversation)
    await session.flush()
    if first is not None:
        message = Message(conversation_id=conversation.id, role="assistant", content=first)
        session.add(message)
        await session.flush()
        conversation.active_message_id = message.id
        await session.flush()
        await session.refresh(conversation)
    return conversation


async def get(
    session: AsyncSession, owner_id: uuid.UUID, conversation_id: uuid.UUID, *, lock: bool = False
) -> Conversation:
    """A conversation of the owner that is not deleted.

    With ``lock`` the row is held until the transaction ends; this lock comes before any on a job.

    Raises:
        ConversationNotFoundError: there is none.
    """
    query = select(Conversation).where(
        Conversation.id == conversation_id,
        Conversation.owner_id == owner_id,
        Conversation.deleted_at.is_(None),
    )
    if lock:
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    conversation = await session.scalar(query)
    if conversation is None:
        raise ConversationNotFoundError
    return conversation


async def list_(
    session: AsyncSession,
    owner_id: uuid.UUID,
    *,
    limit: int,
    after: Position | None = None,
    q: str | None = None,
    persona_id: uuid.UUID | None = None,
) -> Sequence[Conversation]:
    """The owner's conversations, newest first; ``q`` is looked for in titles and visible texts."""
    query = select(Conversation).where(Conversation.owner_id == owner_id, Conversation.deleted_at.is_(None))
    if persona_id is not None:
        query = query.where(Conversation.persona_id == persona_id)
    if q is not None:
        said = exists().where(
            Message.conversation_id == Conversation.id,
            Message.hidden_at.is_(None),
            Message.content.icontains(q, autoescape=True),
        )
        query = query.where(or_(Conversation.title.icontains(q, autoescape=True), said))
    return await owned.page(session, query, Conversation, limit=limit, after=after)


async def update_(session: AsyncSession, conversation: Conversation, changes: Mapping[str, Any]) -> None:
    """Change fields of a locked conversation; ``active_message_id`` switches the branch.

    Raises:
        PersonaNotFoundError, ConnectionNotFoundError, MessageNotFoundError: not the owner's, or hidden.
        ConversationBusyError: the branch cannot be switched while a turn is active or waiting.
    """
    if changes.get("persona_id") is not None:
        await personas.get(session, conversation.owner_id, changes["persona_id"])
    if changes.get("connection_id") is not None:
        await connections.get(session, conversation.owner_id, changes["connection_id"])
    if "active_message_id" in changes and changes["active_message_id"] != conversation.active_message_id:
        if changes["active_message_id"] is not None:
            await get_message(session, conversation.id, changes["active_message_id"])
        await refuse_when_busy(session, conversation.id)
    for name, value in changes.items():
        setattr(conversation, name, value)
    await session.flush()
    await session.refresh(conversation)


async def delete(session: AsyncSession, conversation: Conversation) -> list[uuid.UUID]:
    """Hide a locked conversation at once; the sweep removes it when its turns have ended.

    Returns:
        its turns that have not ended, marked for cancelling; to be carried out after the commit.
    """
    conversation.deleted_at = await session.scalar(select(func.now()))
    await session.flush()
    marked = await session.scalars(
        update(Job)
        .where(
            Job.conversation_id == conversation.id, Job.phase != "ended", Job.cancel_requested_at.is_(None)
        )
        .values(cancel_requested_at=func.now())
        .returning(Job.id)
        .execution_options(synchronize_session=False)
    )
    return list(marked)


async def is_busy(session: AsyncSession, conversation_id: uuid.UUID) -> bool:
    """Whether a turn of the conversation is active or waiting; only for sure while its row is locked."""
    active = exists().where(Job.conversation_id == conversation_id, Job.phase != "ended")
    return bool(await session.scalar(select(active)))


async def refuse_when_busy(session: AsyncSession, conversation_id: uuid.UUID) -> None:
    """Raise while a turn of the conversation is active or waiting.

    Raises:
        ConversationBusyError: it is.
    """
    if await is_busy(session, conversation_id):
        raise ConversationBusyError(
            "a turn of this conversation is active, and it will choose the branch; wait for it or cancel it"
        )


async def get_message(session: AsyncSession, conversation_id: uuid.UUID, message_id: uuid.UUID) -> Message:
    """A visible message of the conversation.

    Raises:
        MessageNotFoundError: there is none.
    """
    message = await session.scalar(
        select(Message).where(
            Message.id == message_id,
            Message.conversation_id == conversation_id,
            Message.hidden_at.is_(None),
        )
    )
    if message is None:
        raise MessageNotFoundError
    return message


async def edit_message(
    session: AsyncSession, conversation: Conversation, message_id: uuid.UUID, content: str
) -> Message:
    """Put a sibling with another text beside a message and make it the active leaf; the old text stays.

    Raises:
        MessageNotFoundError: no such visible message.
        ConversationBusyError: a turn is active or waiting.
    """
    old = await get_message(session, conversation.id, message_id)
    await refuse_when_busy(session, conversation.id)
    new = Message(
        conversation_id=conversation.id,
        parent_id=old.parent_id,
        role=old.role,
        content=content,
        tool_call_id=old.tool_call_id,
        details={"edited_from": str(old.id)},
    )
    session.add(new)
    await session.flush()
    conversation.active_message_id = new.id
    await session.flush()
    return new


async def hide_message(session: AsyncSession, conversation: Conversation, message_id: uuid.UUID) -> None:
    """Hide a message: its children move up in view. As the active leaf it hands over to its visible parent.

    Raises:
        MessageNotFoundError: no such visible message.
        ConversationBusyError: it is the active leaf, and a turn is active or waiting.
    """
    message = await get_message(session, conversation.id, message_id)
    if conversation.active_message_id == message.id:
        await refuse_when_busy(session, conversation.id)
        conversation.active_message_id = (await visible_parents(session, [message]))[message.id]
    message.hidden_at = await session.scalar(select(func.now()))
    await session.flush()


_VISIBLE_PARENTS = text(
    """
    WITH RECURSIVE up (child, id, parent_id, hidden_at) AS (
        SELECT child.id, parent.id, parent.parent_id, parent.hidden_at
        FROM messages AS child JOIN messages AS parent ON parent.id = child.parent_id
        WHERE child.id = ANY(:children)
        UNION -- without ALL, so that even a circle ends
        SELECT up.child, parent.id, parent.parent_id, parent.hidden_at
        FROM up JOIN messages AS parent ON parent.id = up.parent_id
        WHERE up.hidden_at IS NOT NULL
    )
    SELECT child, id FROM up WHERE hidden_at IS NULL
    """
)


async def visible_parents(
    session: AsyncSession, messages: Sequence[Message]
) -> dict[uuid.UUID, uuid.UUID | None]:
    """For each message its nearest visible parent."""
    parents: dict[uuid.UUID, uuid.UUID | None] = {message.id: None for message in messages}
    children = [message.id for message in messages if message.parent_id is not None]
    if children:
        found = await session.execute(_VISIBLE_PARENTS, {"children": children})
        parents.update({row.child: row.id for row in found})
    return parents


_BRANCH = text(
    """
    WITH RECURSIVE branch (id, parent_id, hidden_at, depth, seen) AS (
        SELECT id, parent_id, hidden_at, 0, (hidden_at IS NULL)::int
        FROM messages WHERE id = :leaf AND conversation_id = :conversation
        UNION ALL
        SELECT parent.id, parent.parent_id, parent.hidden_at, branch.depth + 1,
               branch.seen + (parent.hidden_at IS NULL)::int
        FROM branch JOIN messages AS parent ON parent.id = branch.parent_id
        WHERE branch.seen < :wanted
          -- A circle of hidden messages ends, too; they are counted when the first one is met.
          AND (branch.hidden_at IS NULL OR branch.depth < (
              SELECT count(*) FROM messages WHERE conversation_id = :conversation))
    )
    SELECT id FROM branch WHERE hidden_at IS NULL ORDER BY depth
    """
)


async def branch(
    session: AsyncSession, conversation_id: uuid.UUID, leaf: uuid.UUID | None, *, limit: int
) -> list[Message]:
    """The newest ``limit`` visible messages of the branch that ends in ``leaf``, newest first.

    Only as much of the branch is read as is asked for.
    """
    if leaf is None:
        return []
    ids = (
        await session.scalars(_BRANCH, {"leaf": leaf, "conversation": conversation_id, "wanted": limit})
    ).all()
    if not ids:
        return []
    found = {row.id: row for row in await session.scalars(select(Message).where(Message.id.in_(ids)))}
    return [found[message_id] for message_id in ids]


async def branch_page(
    session: AsyncSession,
    conversation: Conversation,
    *,
    limit: int,
    after: uuid.UUID | None = None,
) -> list[Shown]:
    """The active branch, newest first, from the message above ``after``."""
    leaf = conversation.active_message_id
    if after is not None:
        leaf = await session.scalar(
            select(Message.parent_id).where(Message.id == after, Message.conversation_id == conversation.id)
        )
    messages = await branch(session, conversation.id, leaf, limit=limit)
    parents = await visible_parents(session, messages[-1:])
    above = [message.id for message in messages[1:]] + [parents[message.id] for message in messages[-1:]]
    return [Shown(message, parent) for message, parent in zip(messages, above, strict=True)]


async def tree_page(
    session: AsyncSession, conversation: Conversation, *, limit: int, after: Position | None = None
) -> list[Shown]:
    """Every visible message of the conversation, newest first."""
    query = select(Message).where(Message.conversation_id == conversation.id, Message.hidden_at.is_(None))
    messages = await owned.page(session, query, Message, limit=limit, after=after)
    parents = await visible_parents(session, messages)
    return [Shown(message, parents[message.id]) for message in messages]
