"""Messages as jobs write them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from shared.database import direct
from shared.jobs.statements import as_json, statement

_INSERT = statement("insert_message")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What a model answered, or as much of it as there was."""

    content: str = ""
    thinking: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    #: Provider, model, finish_reason, times: ``metadata`` of the answer.
    details: dict[str, Any] = field(default_factory=dict)
    input_tokens: int | None = None
    output_tokens: int | None = None

    @property
    def empty(self) -> bool:
        """Whether there is nothing worth a message."""
        return not (self.content or self.thinking or self.tool_calls)

    def as_outcome(self) -> dict[str, Any]:
        """The answer as the outcome of a job that has no conversation to keep it in."""
        return {"content": self.content, "thinking": self.thinking, "tool_calls": self.tool_calls}


@dataclass(frozen=True, kw_only=True, slots=True)
class NewMessage:
    """A message to insert."""

    conversation_id: UUID
    parent_id: UUID | None
    role: str
    content: str
    id: UUID = field(default_factory=uuid4)
    thinking: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    input_tokens: int | None = None
    output_tokens: int | None = None
    job_id: UUID | None = None

    async def insert(self, connection: direct.Connection) -> None:
        """Write it within the transaction of ``connection``."""
        await direct.write(
            connection,
            _INSERT,
            {
                "id": self.id,
                "conversation_id": self.conversation_id,
                "parent_id": self.parent_id,
                "role": self.role,
                # Postgres stores no NUL; a model that emits one must not lose its answer over it.
                "content": self.content.replace("\x00", ""),
                "thinking": None if self.thinking is None else self.thinking.replace("\x00", ""),
                "tool_calls": as_json(self.tool_calls),
                "tool_call_id": self.tool_call_id,
                "details": as_json(self.details),
                "input_tokens": self.input_tokens,
                "output_tokens": self.output_tokens,
                "job_id": self.job_id,
            },
        )
