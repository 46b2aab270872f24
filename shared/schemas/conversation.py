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


class ModuleRunOut(Wire):
    """The variables of a module after one run; ``session_id`` is the turn, ``message_id`` its answer.

    State that belongs to a persona has no ``message_id``. ``metadata`` tells of the run itself.
    """

    id: int
    stage: int
    variables: dict[str, Any]
    metadata: dict[str, Any]
    message_id: uuid.UUID | None
    session_id: uuid.UUID
    created_at: datetime


class ModuleStateOut(Wire):
    """What a module's variables are, and what they were; ``history`` is newest first."""

    module_id: uuid.UUID
    module_name: str
    state_scope: str
    variables: dict[str, Any]
    history: list[ModuleRunOut]


class MemoryOut(Wire):
    """A text that a script stored to stand for earlier messages."""

    sequence: int
    content: str
    message_range: str | None
    message_count: int | None
    first_message_id: str | None
    created_at: datetime


class MemoryState(Wire):
    """What scripts remember: stored texts, oldest first, and values by key."""

    stored: list[MemoryOut]
    remembered: dict[str, Any]


class ConversationState(Wire):
    """``GET /api/conversations/{id}/state``, as the branch that ends at ``message_id`` sees it.

    For all branches at once there is neither ``message_id`` nor ``memory``.
    """

    message_id: uuid.UUID | None
    modules: list[ModuleStateOut]
    memory: MemoryState | None
