"""What modules and scripts keep of a conversation."""

from __future__ import annotations

import itertools
import uuid
from typing import Annotated

from fastapi import Query

from gateway.dependencies import CallerOf, State
from gateway.routing import make_router
from shared.database.repositories import conversations, memories, module_state
from shared.database.repositories.memories import BranchMemory
from shared.database.repositories.module_state import RecordedRun
from shared.errors import ConversationBusyError, ValidationError
from shared.schemas.conversation import (
    ConversationState,
    MemoryOut,
    MemoryState,
    ModuleRunOut,
    ModuleStateOut,
)
from shared.schemas.module import ModuleName

router = make_router("/conversations", "conversations")


@router.get("/{conversation_id}/state")
async def get_state(
    conversation_id: uuid.UUID,
    caller: CallerOf,
    state: State,
    message_id: Annotated[
        uuid.UUID | None, Query(description="The end of the branch; default: the active one.")
    ] = None,
    everywhere: Annotated[
        bool, Query(alias="all", description="What was left on any branch, without the memory.")
    ] = False,
    module: Annotated[ModuleName | None, Query(description="Only the module of this name.")] = None,
    history: Annotated[int, Query(ge=0, le=200, description="Most runs to tell of each module.")] = 20,
    before: Annotated[
        int | None, Query(ge=1, le=2**63 - 1, description="State as it was before this run.")
    ] = None,
) -> ConversationState:
    """The variables of each module that has run, with their history, and what scripts remember.

    Variables of the scope ``persona`` are those of the conversation's persona, from all of its conversations.
    """
    if everywhere and message_id is not None:
        raise ValidationError(
            "message_id names a branch, and all is every branch: send one of the two",
            errors=[{"field": "message_id", "message": "does not go with all"}],
        )
    async with state.sessions() as session:
        conversation = await conversations.get(session, caller.user_id, conversation_id)
        leaf = None if everywhere else conversation.active_message_id
        if message_id is not None:
            leaf = (await conversations.get_message(session, conversation.id, message_id)).id
        runs = await module_state.history(
            session,
            conversation,
            leaf=leaf,
            everywhere=everywhere,
            limit=max(history, 1),
            before=before,
            module=module,
        )
        kept = None
        if not everywhere:
            kept = await memories.seen(await session.connection(), conversation.id, leaf)
    return ConversationState(
        message_id=leaf,
        modules=[
            _show(list(own), history) for _, own in itertools.groupby(runs, key=lambda run: run.module_id)
        ],
        memory=None if kept is None else _show_memory(kept),
    )


@router.delete("/{conversation_id}/memories", status_code=204)
async def delete_memories(conversation_id: uuid.UUID, caller: CallerOf, state: State) -> None:
    """Forget what scripts stored and remembered, and what modules' variables were, on every branch.

    What belongs to the persona stays. 409 while a turn is active: it would write again what it has read.
    """
    async with state.sessions.begin() as session:
        conversation = await conversations.get(session, caller.user_id, conversation_id, lock=True)
        if await conversations.is_busy(session, conversation.id):
            raise ConversationBusyError(
                "a turn of this conversation is active, and would write again what it has read; wait for it "
                "or cancel it"
            )
        await memories.clear(session, conversation.id)
        await module_state.clear(session, conversation.id)


def _show(runs: list[RecordedRun], limit: int) -> ModuleStateOut:
    newest = runs[0]
    return ModuleStateOut(
        module_id=newest.module_id,
        module_name=newest.module_name,
        state_scope=newest.state_scope,
        variables=newest.variables,
        history=[
            ModuleRunOut(
                id=run.id,
                stage=run.stage,
                variables=run.variables,
                metadata=run.details,
                message_id=run.message_id,
                session_id=run.job_id,
                created_at=run.created_at,
            )
            for run in runs[:limit]
        ],
    )


def _show_memory(memory: BranchMemory) -> MemoryState:
    return MemoryState(
        stored=[
            MemoryOut(**{name: getattr(one, name) for name in MemoryOut.model_fields})
            for one in memory.stored
        ],
        remembered=memory.remembered,
    )
