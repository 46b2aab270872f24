"""A turn to accept, and what was accepted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from shared.jobs.job import Job
from shared.security.secrets import KeyedHash


@dataclass(frozen=True, kw_only=True, slots=True)
class Once:
    """An ``Idempotency-Key``: the same key and body give the same job."""

    route: str
    key: str
    body_hash: KeyedHash


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
    #: Names in ``payload["modules"]`` of which the owner has no active ON_DEMAND module.
    unknown_modules: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class NewTurn:
    """A turn to accept.

    Either ``message`` (a new user message) or ``answer_to`` (a user message to answer again), or neither:
    then ``payload`` brings the messages, and no conversation is kept, unless ``history`` begins one.
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
    #: How many jobs were before it, where that was asked with the commit.
    position: int | None = None
