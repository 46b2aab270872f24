"""Conversations and their messages on the wire."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from shared.schemas.base import Wire
from shared.schemas.text import ModelName, Name, Said

MAX_MESSAGE = 100_000

Title = Annotated[Name, Field(max_length=255)]


class ConversationCreate(Wire):
    """``POST /api/conversations``; without a title it is called after its persona."""

    title: Title | None = None
    persona_id: uuid.UUID | None = None
    connection_id: uuid.UUID | None = None
    model: ModelName | None = None


class ConversationUpdate(Wire):
    """``PATCH /api/conversations/{id}``: what is sent is changed; ``active_message_id`` picks the branch."""

    title: Title = Field(default="", validate_default=False)
    persona_id: uuid.UUID | None = None
    connection_id: uuid.UUID | None = None
    model: ModelName | None = None
    active_message_id: uuid.UUID | None = None


class ConversationOut(Wire):
    """A conversation; ``active_message_id`` is the leaf of the branch that is shown and answered."""

    id: uuid.UUID
    title: str
    persona_id: uuid.UUID | None
    connection_id: uuid.UUID | None
    model: str | None
    active_message_id: uuid.UUID | None
    created_at: datetime
    updated_at: datetime


class MessageUpdate(Wire):
    """``PATCH …/messages/{id}``: the text of the new branch."""

    content: Said = Field(max_length=MAX_MESSAGE)


class MessageOut(Wire):
    """A message; ``parent_id`` is its nearest visible parent, ``job_id`` the session it came from."""

    id: uuid.UUID
    parent_id: uuid.UUID | None
    role: str
    content: str
    thinking: str | None
    tool_calls: list[Any] | None
    tool_call_id: str | None
    metadata: dict[str, Any]
    input_tokens: int | None
    output_tokens: int | None
    job_id: uuid.UUID | None
    created_at: datetime
