"""What modules' variables became: recorded run by run, seen from a branch.

The newest state that a turn sees comes with its modules, from
:func:`shared.database.repositories.modules.of_turn`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database import direct
from shared.database.direct import Connection
from shared.database.models import Conversation, ModuleState
from shared.database.repositories.statements import statement
from shared.jobs.statements import as_json

_RECORD = statement("record_states")
_HISTORY = statement("state_history")


@dataclass(frozen=True, slots=True)
class ModuleRun:
    """One run of a module, to be recorded.

    Attributes:
        module_id: of the module.
        stage: 1 to 5.
        variables: all of its variables, as JSON.
        details: about the run: duration, tokens, calls.
    """

    module_id: uuid.UUID
    stage: int
    variables: Mapping[str, Any]
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """One run of a module, as it was recorded; ``id`` grows with time."""

    module_id: uuid.UUID
    module_name: str
    state_scope: str
    id: int
    stage: int
    variables: dict[str, Any]
    details: dict[str, Any]
    message_id: uuid.UUID | None
    job_id: uuid.UUID
    created_at: datetime


async def record(
    connection: Connection,
    runs: Sequence[ModuleRun],
    *,
    owner_id: uuid.UUID,
    job_id: uuid.UUID,
    persona_id: uuid.UUID | None,
    conversation_id: uuid.UUID | None,
    message_id: uuid.UUID | None,
) -> None:
    """Write what modules' variables became, in one statement; it may wait for the next round trip.

    Where each belongs is told by its module's ``state_scope``. What has no place is left out: state of a
    conversation where none is kept, or of a module or persona that was deleted meanwhile. Recording a job's
    stage again replaces what was recorded.

    Args:
        connection: within the transaction that decides about the turn.
        runs: in the order in which they count.
        owner_id: whose modules.
        job_id: the turn.
        persona_id: its persona.
        conversation_id: its conversation.
        message_id: the assistant's message, from which on a branch sees the state.
    """
    if not runs:
        return
    encoded = [
        {
            "module_id": str(run.module_id),
            "stage": run.stage,
            "variables": run.variables,
            "details": run.details,
        }
        for run in runs
    ]
    await direct.write(
        connection,
        _RECORD,
        {
            "owner_id": owner_id,
            "job_id": job_id,
            "persona_id": persona_id,
            "conversation_id": conversation_id,
            "message_id": message_id,
            "runs": as_json(encoded),
        },
    )


async def history(
    session: AsyncSession,
    conversation: Conversation,
    *,
    leaf: uuid.UUID | None,
    everywhere: bool = False,
    limit: int,
    before: int | None = None,
    module: str | None = None,
) -> list[RecordedRun]:
    """The newest ``limit`` runs of each module whose state the conversation sees; by name, newest first.

    Args:
        session: for reading.
        conversation: whose state.
        leaf: the message at the end of the branch.
        everywhere: all branches.
        limit: most runs of one module.
        before: only runs with a smaller ``id``.
        module: only the module of this name.
    """
    rows = await session.execute(
        _HISTORY,
        {
            "owner_id": conversation.owner_id,
            "conversation_id": conversation.id,
            "persona_id": conversation.persona_id,
            "leaf": leaf,
            "everywhere": everywhere,
            "wanted": limit,
            "before": before,
            "module": module,
        },
    )
    return [RecordedRun(**row) for row in rows.mappings()]


async def clear(session: AsyncSession, conversation_id: uuid.UUID) -> None:
    """Delete the state that belongs to a conversation, on all of its branches; that of personas stays."""
    await session.execute(delete(ModuleState).where(ModuleState.conversation_id == conversation_id))
