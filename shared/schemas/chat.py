"""Requests and answers of the chat routes."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from shared.schemas.base import Wire
from shared.schemas.controls import ChatControls, ProviderType
from shared.schemas.module import ModuleName
from shared.schemas.text import ModelName

MAX_MESSAGE = 100_000


def _said(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be blank")
    if "\x00" in value:
        raise ValueError("must not contain the NUL character")
    return value


#: What a person says: not blank, storable.
Said = Annotated[str, Field(max_length=MAX_MESSAGE), AfterValidator(_said)]

OnBusy = Literal["reject", "enqueue", "interrupt"]
OnDisconnect = Literal["continue", "cancel"]


class TurnOptions(Wire):
    """How a turn is to be answered, whatever it answers."""

    connection_id: uuid.UUID | None = None
    model: ModelName | None = None
    provider: ProviderType | None = None
    provider_settings: dict[str, Any] | None = None
    chat_controls: ChatControls = Field(default_factory=ChatControls)
    modules: list[ModuleName] = Field(
        default_factory=list, max_length=100, description="Names of ON_DEMAND modules to run in this turn."
    )
    on_busy: OnBusy = "reject"
    on_disconnect: OnDisconnect = "continue"

    @model_validator(mode="after")
    def _one_provider(self) -> TurnOptions:
        if (self.provider is None) != (self.provider_settings is None):
            raise ValueError("provider and provider_settings go together")
        if self.provider is not None and self.connection_id is not None:
            raise ValueError("give either connection_id or provider with provider_settings, not both")
        return self


class TurnRequest(TurnOptions):
    """``POST /api/chat/send`` and ``/api/chat/stream``: one turn."""

    message: Said
    persona_id: uuid.UUID | None = None
    conversation_id: uuid.UUID | None = None
    parent_message_id: uuid.UUID | None = None

    @model_validator(mode="after")
    def _parent_lies_in_a_conversation(self) -> TurnRequest:
        if self.parent_message_id is not None and self.conversation_id is None:
            raise ValueError("parent_message_id needs conversation_id")
        return self


class Answer(Wire):
    """The reply to ``send``."""

    session_id: uuid.UUID
    conversation_id: uuid.UUID | None
    user_message_id: uuid.UUID | None
    message_id: uuid.UUID | None
    content: str
    thinking: str | None
    tool_calls: list[Any] | None
    metadata: dict[str, Any]
    warnings: list[dict[str, Any]]


class Accepted(Wire):
    """The reply to ``send`` with ``Prefer: respond-async``."""

    session_id: uuid.UUID
    conversation_id: uuid.UUID | None
    status_url: str
    events_url: str


class Cancelled(Wire):
    """The reply to ``cancel``."""

    session_id: uuid.UUID
    cancelled: bool
    status: str
    message: str


class SessionStatus(Wire):
    """Where a job stands."""

    session_id: uuid.UUID
    status: Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]
    active: bool
    attempt: int
    stage: int | None
    post_response: Literal["pending", "running", "done", "cancelled", "failed"] | None
    queue_position: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: dict[str, Any] | None


class ActiveSession(Wire):
    """One of the caller's jobs that has not ended."""

    session_id: uuid.UUID
    kind: str
    status: str
    conversation_id: uuid.UUID | None
    attempt: int
    created_at: datetime


class ActiveSessions(Wire):
    """The caller's jobs that have not ended."""

    active_session_count: int
    sessions: list[ActiveSession]
