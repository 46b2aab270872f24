"""Conversations and the tree of their messages."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.dependencies import CallerOf, OnceOf, PagingOf, State
from gateway.pagination import by_time
from gateway.routing import make_router
from shared.database.models import Conversation
from shared.database.repositories import conversations
from shared.database.repositories.conversations import Shown
from shared.errors import ValidationError
from shared.schemas.conversation import (
    ConversationCreate,
    ConversationOut,
    ConversationUpdate,
    MessageOut,
    MessageUpdate,
)
from shared.schemas.page import Page, encode_cursor
from shared.schemas.text import not_blank

router = make_router("/conversations", "conversations")


def show(conversation: Conversation) -> ConversationOut:
    """A conversation on the wire."""
    return ConversationOut(**{name: getattr(conversation, name) for name in ConversationOut.model_fields})


def show_message(shown: Shown) -> MessageOut:
    """A message on the wire."""
    message = shown.message
    return MessageOut(
        id=message.id,
        parent_id=shown.parent_id,
        role=message.role,
        content=message.content,
        thinking=message.thinking,
        tool_calls=message.tool_calls,
        tool_call_id=message.tool_call_id,
        metadata=message.details,
        input_tokens=message.input_tokens,
        output_tokens=message.output_tokens,
        job_id=message.job_id,
        created_at=message.created_at,
    )


@router.get("")
async def list_conversations(
    state: State,
    caller: CallerOf,
    paging: PagingOf,
    q: Annotated[str | None, Query(max_length=200, description="Looked for in titles and texts.")] = None,
    persona_id: uuid.UUID | None = None,
) -> Page[ConversationOut]:
    """The caller's conversations, newest first."""
    if q is not None:
        try:
            not_blank(q)
        except ValueError as error:
            raise ValidationError(f"q: {error}", errors=[{"field": "q", "message": str(error)}]) from error
    async with state.sessions() as session:
        rows = await conversations.list_(
            session, caller.user_id, limit=paging.fetch, after=paging.position(), q=q, persona_id=persona_id
        )
    return paging.page(rows, show, by_time)


@router.post("", status_code=201, response_model=ConversationOut)
async def create_conversation(caller: CallerOf, once: OnceOf, body: ConversationCreate) -> Response:
    """Make a conversation; the persona's first message, if it has one, opens it."""

    async def make(session: AsyncSession) -> ConversationOut:
        return show(await conversations.create(session, caller.user_id, **body.model_dump()))

    return await once.create(make)


@router.get("/{conversation_id}")
async def get_conversation(conversation_id: uuid.UUID, caller: CallerOf, state: State) -> ConversationOut:
    """One conversation."""
    async with state.sessions() as session:
        return show(await conversations.get(session, caller.user_id, conversation_id))


@router.patch("/{conversation_id}")
async def update_conversation(
    conversation_id: uuid.UUID, caller: CallerOf, state: State, body: ConversationUpdate
) -> ConversationOut:
    """Change what is sent. ``active_message_id`` switches the branch; 409 while a turn is active."""
    async with state.sessions.begin() as session:
        conversation = await conversations.get(session, caller.user_id, conversation_id, lock=True)
        await conversations.update_(session, conversation, body.model_dump(exclude_unset=True))
    return show(conversation)


@router.delete("/{conversation_id}", status_code=204)
async def delete_conversation(conversation_id: uuid.UUID, caller: CallerOf, state: State) -> None:
    """Delete a conversation with its messages; turns that are active or waiting are cancelled."""
    async with state.sessions.begin() as session:
        conversation = await conversations.get(session, caller.user_id, conversation_id, lock=True)
        turns = await conversations.delete(session, conversation)
    for job_id in turns:
        state.jobs.spawn(state.jobs.canceller.cancel(job_id))


@router.get("/{conversation_id}/messages")
async def list_messages(
    conversation_id: uuid.UUID,
    caller: CallerOf,
    state: State,
    paging: PagingOf,
    everything: Annotated[
        bool, Query(alias="all", description="All branches, not only the active one; see parent_id.")
    ] = False,
) -> Page[MessageOut]:
    """The messages of the active branch from its leaf upwards, so newest first; with ``all`` the tree."""
    async with state.sessions() as session:
        conversation = await conversations.get(session, caller.user_id, conversation_id)
        if everything:
            rows = await conversations.tree_page(
                session, conversation, limit=paging.fetch, after=paging.position()
            )
            return paging.page(rows, show_message, lambda row: by_time(row.message))
        rows = await conversations.branch_page(
            session, conversation, limit=paging.fetch, after=paging.row_id()
        )
        return paging.page(rows, show_message, lambda row: encode_cursor(str(row.message.id)))


@router.patch("/{conversation_id}/messages/{message_id}")
async def edit_message(
    conversation_id: uuid.UUID, message_id: uuid.UUID, caller: CallerOf, state: State, body: MessageUpdate
) -> MessageOut:
    """Put a message with the new text beside the old one, and make it the leaf of the active branch.

    The old text, and what was said after it, stay on their branch. 409 while a turn is active.
    """
    async with state.sessions.begin() as session:
        conversation = await conversations.get(session, caller.user_id, conversation_id, lock=True)
        message = await conversations.edit_message(session, conversation, message_id, body.content)
        parents = await conversations.visible_parents(session, [message])
    return show_message(Shown(message, parents[message.id]))


@router.delete("/{conversation_id}/messages/{message_id}", status_code=204)
async def hide_message(
    conversation_id: uuid.UUID, message_id: uuid.UUID, caller: CallerOf, state: State
) -> None:
    """Hide a message from lists and from the model; what was said after it moves up.

    409 when it is the leaf of the active branch while a turn is active.
    """
    async with state.sessions.begin() as session:
        conversation = await conversations.get(session, caller.user_id, conversation_id, lock=True)
        await conversations.hide_message(session, conversation, message_id)
