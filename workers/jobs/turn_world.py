"""What the modules of a turn live in: themselves with their state, and what runs their scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import direct
from shared.database.repositories import modules
from shared.jobs.permits import Permits
from shared.jobs.store import JobStore
from shared.security.secrets import SecretBox
from shared.settings import Settings
from workers.chat.modules.module import Module, ModuleState, TurnModules
from workers.chat.modules.resolver import StagedModuleResolver
from workers.chat.modules.resolver.result_models import ModuleWarning, StageUpdate
from workers.jobs.running import RunningAttempt
from workers.jobs.script_model import ScriptModels
from workers.jobs.turn_readers import SentMessages, TurnReader
from workers.jobs.turn_scripts import ScriptWorld, TurnScripts
from workers.jobs.turns import Turn
from workers.providers.base.http_client import ProviderHttpClient
from workers.sandbox.plugins.ports import Said
from workers.sandbox.process.processes import ScriptProcesses


@dataclass(frozen=True, slots=True, kw_only=True)
class StageParts:
    """What the modules of every turn are run with."""

    engine: AsyncEngine
    store: JobStore
    box: SecretBox
    settings: Settings
    client: ProviderHttpClient
    permits: Permits
    processes: ScriptProcesses


@dataclass(frozen=True, slots=True)
class TurnWorld:
    """The modules of a turn, and what runs them."""

    modules: TurnModules
    reader: TurnReader
    scripts: TurnScripts
    resolver: StagedModuleResolver


async def load_world(
    parts: StageParts,
    attempt: RunningAttempt,
    turn: Turn,
    warn: Callable[[ModuleWarning], None],
    on_stage: Callable[[StageUpdate], None],
) -> TurnWorld:
    """Everything that the stages around an answer need, read in one statement."""
    job = attempt.job
    requested = frozenset(job.payload.get("modules") or ())
    persona_id = job.payload.get("persona_id")
    rows = await direct.execute(
        parts.engine,
        modules.TURN_MODULES,
        modules.turn_parameters(
            job.owner_id,
            names=sorted(requested),
            persona_id=None if persona_id is None else UUID(persona_id),
            conversation_id=job.conversation_id,
            leaf=job.user_message_id,
        ),
    )
    made = turn_modules(
        (modules.TurnModule.from_row(row) for row in rows),
        template=turn.template or "",
        user_message=turn.user_message,
        requested=requested,
        implicit={
            "conversation_id": None if job.conversation_id is None else str(job.conversation_id),
            "persona_id": persona_id,
        },
    )
    reader = _reader(parts, attempt, turn, persona_id)
    models = ScriptModels(
        engine=parts.engine,
        box=parts.box,
        settings=parts.settings,
        client=parts.client,
        permits=parts.permits,
        owner_id=job.owner_id,
        lease=job.lease,
        confirm=attempt.confirm,
        target=turn.target,
        model=turn.model,
    )
    world = ScriptWorld(
        owner_id=job.owner_id,
        conversation_id=job.conversation_id,
        persona_id=persona_id,
        reader=reader,
        models=models.counting,
        controls=turn.controls,
    )
    scripts = TurnScripts(parts.processes, world)
    return TurnWorld(made, reader, scripts, make_resolver(scripts, parts.settings, warn, on_stage))


def make_resolver(
    scripts: TurnScripts,
    settings: Settings,
    warn: Callable[[ModuleWarning], None],
    on_stage: Callable[[StageUpdate], None],
) -> StagedModuleResolver:
    """A resolver as the settings want it."""
    return StagedModuleResolver(
        scripts,
        max_depth=settings.module_depth,
        max_nesting=settings.script_nesting,
        trigger_timeout=settings.trigger_timeout,
        warn=warn,
        on_stage=on_stage,
    )


def turn_modules(rows: Iterable[modules.TurnModule], **turn: Any) -> TurnModules:
    """The modules of a turn, out of what Postgres keeps of them."""
    kept = list(rows)
    return TurnModules(
        modules={row.name: _module(row) for row in kept},
        states={
            row.id: ModuleState(row.variables, row.executed_at) for row in kept if row.variables is not None
        },
        **turn,
    )


def _module(row: modules.TurnModule) -> Module:
    fields = {name: getattr(row, name) for name in Module.__dataclass_fields__}
    # Of the row's names those in the content are no calls: the resolver reads these itself.
    return Module(**{**fields, "module_names": row.called_names})


def _reader(parts: StageParts, attempt: RunningAttempt, turn: Turn, persona_id: str | None) -> TurnReader:
    job = attempt.job
    place: dict[str, Any] = {
        "owner_id": job.owner_id,
        "conversation_id": job.conversation_id,
        "persona_id": persona_id,
        "leaf": job.user_message_id,
        "target": turn.target,
        "model": turn.model,
    }
    if "messages" not in job.payload:
        return TurnReader(parts.engine, **place)
    sent = [
        Said(id=str(UUID(int=number)), role=said.role, content=said.content, created_at=job.created_at)
        for number, said in enumerate((*turn.history, *turn.newest))
        if said.role != "system"
    ]
    return SentMessages(parts.engine, sent, **place)
