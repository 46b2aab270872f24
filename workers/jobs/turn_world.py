"""What the modules of a turn live in: themselves with their state, and what runs their scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import direct
from shared.database.repositories import modules
from shared.jobs.permits import Permits
from shared.jobs.store import JobStore
from shared.schemas.controls import ChatControls
from shared.security.secrets import SecretBox
from shared.settings import Settings
from workers.chat.modules.module import Module, ModuleState, TurnModules
from workers.chat.modules.resolver import StagedModuleResolver
from workers.chat.modules.resolver.result_models import ModuleWarning, StageUpdate
from workers.jobs.running import RunningAttempt
from workers.jobs.script_model import ScriptModels, rehearsing
from workers.jobs.turn_readers import SentMessages, TurnReader
from workers.jobs.turn_scripts import ScriptWorld, TurnScripts
from workers.jobs.turns import Target, Turn
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where modules are resolved: whose they are, on which branch, and what answers there.

    Attributes:
        leaf: the message that is answered; state and memories are seen from there upwards.
        target: what is called; ``None`` where nothing is.
        model: by its name there.
        controls: of the turn, below those that a script names.
    """

    owner_id: UUID
    conversation_id: UUID | None
    persona_id: UUID | None
    leaf: UUID | None
    target: Target | None
    model: str | None
    controls: ChatControls = field(default_factory=ChatControls)

    def reader(self, engine: AsyncEngine) -> TurnReader:
        """What scripts may read there."""
        return TurnReader(engine, **self._read())

    def reader_of(self, engine: AsyncEngine, sent: Sequence[Said]) -> SentMessages:
        """The same where the messages came with the request."""
        return SentMessages(engine, sent, **self._read())

    def _read(self) -> dict[str, Any]:
        return {
            "owner_id": self.owner_id,
            "conversation_id": self.conversation_id,
            "persona_id": None if self.persona_id is None else str(self.persona_id),
            "leaf": self.leaf,
            "target": self.target,
            "model": self.model,
        }


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
    place = Place(
        owner_id=job.owner_id,
        conversation_id=job.conversation_id,
        persona_id=None if persona_id is None else UUID(persona_id),
        leaf=job.user_message_id,
        target=turn.target,
        model=turn.model,
        controls=turn.controls,
    )
    found = await read_modules(
        parts.engine,
        place,
        requested,
        template=turn.template or "",
        user_message=turn.user_message,
        requested=requested,
    )
    reader = _reader(parts.engine, attempt, turn, place)
    return make_world(parts, attempt, place, found, reader, warn=warn, on_stage=on_stage)


async def read_modules(engine: AsyncEngine, place: Place, names: Iterable[str], **turn: Any) -> TurnModules:
    """The modules that a turn may need: those of the persona's template and of these ``names``, and what they
    name in turn; ``turn`` is the rest of :class:`TurnModules`.
    """
    parameters = modules.turn_parameters(
        place.owner_id,
        names=sorted(set(names)),
        persona_id=place.persona_id,
        conversation_id=place.conversation_id,
        leaf=place.leaf,
    )
    rows = [
        modules.TurnModule.from_row(row)
        for row in await direct.execute(engine, modules.TURN_MODULES, parameters)
    ]
    ids = {"conversation_id": place.conversation_id, "persona_id": place.persona_id}
    return TurnModules(
        modules={row.name: _module(row) for row in rows},
        states={
            row.id: ModuleState(row.variables, row.executed_at) for row in rows if row.variables is not None
        },
        implicit={name: None if one is None else str(one) for name, one in ids.items()},
        **turn,
    )


def make_world(
    parts: StageParts,
    attempt: RunningAttempt,
    place: Place,
    found: TurnModules,
    reader: TurnReader,
    *,
    run_ai: bool = True,
    warn: Callable[[ModuleWarning], None],
    on_stage: Callable[[StageUpdate], None],
) -> TurnWorld:
    """What runs the modules that were found; without ``run_ai`` no model is called."""
    models = ScriptModels(
        engine=parts.engine,
        box=parts.box,
        settings=parts.settings,
        client=parts.client,
        permits=parts.permits,
        owner_id=place.owner_id,
        lease=attempt.job.lease,
        confirm=attempt.confirm,
        target=place.target,
        model=place.model,
    )
    world = ScriptWorld(
        owner_id=place.owner_id,
        conversation_id=place.conversation_id,
        persona_id=None if place.persona_id is None else str(place.persona_id),
        reader=reader,
        models=models.counting if run_ai else rehearsing,
        controls=place.controls,
    )
    scripts = TurnScripts(parts.processes, world)

    def told(update: StageUpdate) -> None:
        on_stage(update)
        if update.state == "finished":
            scripts.settle(update.modules)

    resolver = StagedModuleResolver(
        scripts,
        max_depth=parts.settings.module_depth,
        max_nesting=parts.settings.script_nesting,
        trigger_timeout=parts.settings.trigger_timeout,
        warn=warn,
        on_stage=told,
    )
    return TurnWorld(found, reader, scripts, resolver)


def _module(row: modules.TurnModule) -> Module:
    fields = {name: getattr(row, name) for name in Module.__dataclass_fields__}
    # Of the row's names those in the content are no calls: the resolver reads these itself.
    return Module(**{**fields, "module_names": row.called_names})


def _reader(engine: AsyncEngine, attempt: RunningAttempt, turn: Turn, place: Place) -> TurnReader:
    if "messages" not in attempt.job.payload:
        return place.reader(engine)
    at = attempt.job.created_at
    sent = [
        Said(id=str(UUID(int=number)), role=said.role, content=said.content, created_at=at)
        for number, said in enumerate((*turn.history, *turn.newest))
        if said.role != "system"
    ]
    return place.reader_of(engine, sent)
