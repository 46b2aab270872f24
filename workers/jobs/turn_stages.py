"""The stages of one turn around its answer: modules loaded and run, and what they left committed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import aclosing
from time import perf_counter
from typing import Any
from uuid import UUID

from sqlalchemy import text

from shared.database import direct
from shared.database.repositories import memories, module_state, traces
from shared.database.repositories.memories import MemoryAct
from shared.database.repositories.module_state import ModuleRun
from shared.jobs.job import Job
from shared.jobs.messages import Reply
from shared.jobs.statements import as_json
from shared.jobs.states import Status
from shared.jobs.store import FencedTransaction
from shared.metrics.turns import STAGE_SECONDS
from shared.schemas.events import EventType
from shared.schemas.trace import StageTrace, TurnTrace
from workers.chat.modules.resolver.result_models import (
    ModuleOutcome,
    ModuleWarning,
    StageUpdate,
    StateChange,
)
from workers.chat.modules.stages import MainResponse
from workers.chat.modules.template_parser import is_plain
from workers.chat.system_prompt_state import SystemPromptState
from workers.jobs.commit import persist
from workers.jobs.running import RunningAttempt
from workers.jobs.trace_room import TraceRoom
from workers.jobs.turn_readers import SentMessages
from workers.jobs.turn_scripts import TurnScripts
from workers.jobs.turn_world import StageParts, TurnWorld, load_world
from workers.jobs.turns import Turn
from workers.providers.base.models import ChatRequest
from workers.sandbox.plugins.ports import Said

_TRACE = text("SELECT trace FROM turn_traces WHERE job_id = :job_id")
_LEFT = text("SELECT module_id, stage, variables FROM module_states WHERE job_id = :job_id ORDER BY id")
#: The trace tells of every module that was committed; state only of those that still have a place for it.
_RECORDED = text("SELECT 1 FROM turn_traces WHERE job_id = :job_id AND trace @> CAST(:told AS jsonb)")
#: Stages after the answer.
_AFTER = (4, 5)
#: What the outcome tells of an answer that was not finished.
_ENDS = {Status.CANCELLED: {"finish_reason": "cancelled"}, Status.FAILED: {"finish_reason": "error"}}
_LABELS = {4: "thinking_after", 5: "thinking_after"}


class TurnStages:
    """Stages 1, 2, 4 and 5 of one turn.

    Args:
        parts: what they are run with.
        attempt: which attempt at the turn this is.
        turn: as it was loaded.
        enter_stage: told which stage the turn is in; returns at once.

    Attributes:
        trace: the turn as ``GET /api/chat/trace`` shows it.
    """

    def __init__(
        self,
        parts: StageParts,
        attempt: RunningAttempt,
        turn: Turn,
        enter_stage: Callable[[Job, int], None],
    ) -> None:
        job = attempt.job
        self._enter_stage = enter_stage
        self._parts = parts
        self._attempt = attempt
        self._turn = turn
        self._requested = frozenset(job.payload.get("modules") or ())
        self._plain = is_plain(turn.template or "") and not self._requested
        self._loaded: TurnWorld | None = None
        self._changes: list[StateChange] = []
        self._prompts = SystemPromptState(turn.template or "")
        self._request: ChatRequest | None = None
        self._answering: StageTrace | None = None
        self._done: set[UUID] = set()
        self._follow = False
        self.trace = TurnTrace(session_id=str(job.id), attempt=job.attempt)
        self._room = TraceRoom()
        self._begun = perf_counter()  # the stage that runs

    # Before the answer ------------------------------------------------------------------------------------
    async def before_answer(self) -> str | None:
        """Stages 1 and 2: the system prompt of the turn; ``None`` without a persona."""
        if self._plain:
            return self._turn.template
        loaded = await self._load()
        resolved = await loaded.resolver.resolve_template_stages_1_and_2(loaded.modules)
        self._prompts = resolved.prompt_state
        self._changes = list(resolved.state_changes)
        self.trace.stages = list(resolved.stages)
        for module in resolved.modules:
            self._room.fit(module)
        self.trace.warnings = [warning.traced() for warning in resolved.warnings]
        self.trace.token_estimate = resolved.token_estimate
        return resolved.resolved_template

    def sent(self, request: ChatRequest) -> None:
        """``request`` goes to the provider: its system prompt is what modules after the answer see."""
        self._request = request
        resolved = self._prompts.get_prompt_for_stage(MainResponse.number)
        MainResponse.sent(self._prompts, request.messages)
        self._answering = StageTrace(
            stage=MainResponse.number,
            label=MainResponse.label,
            prompt_before=resolved,
            prompt_after=self._prompts.get_all_stages()[MainResponse.number],
        )
        self.trace.stages.append(self._answering)

    async def keep(
        self,
        transaction: FencedTransaction,
        status: Status,
        message_id: UUID | None,
        reply: Reply,
    ) -> dict[str, Any]:
        """Write state, memories and trace within the transaction of the answer."""
        job = self._attempt.job
        acts = [] if self._loaded is None else self._loaded.scripts.memories
        runs = [_run(change, self.trace.stages) for change in self._changes]
        kept = status is Status.SUCCEEDED or (message_id is not None and status is not Status.FAILED)
        if kept:
            await self._record(transaction, job, message_id, runs, acts)
        if self._request is not None:
            provider = self._turn.target.service(self._parts.client)
            self.trace.request = provider.build_request(self._request)
        if self._answering is not None:
            self._answering.duration_ms = round((reply.details.get("response_time") or 0.0) * 1000, 3)
        self.trace.response = {**reply.details, **_ENDS.get(status, {})}
        if status is Status.SUCCEEDED:
            self.trace.post_response = "pending" if self._follow else "done"
        await self._put_trace(transaction, job)
        # Without a conversation only what belongs to the persona has a place.
        lasting = job.conversation_id is not None or any(one.scope == "persona" for one in self._changes)
        return {"state_updated": True} if kept and lasting and (runs or acts) else {}

    # After the answer -------------------------------------------------------------------------------------
    async def left(self, reply: str) -> bool:
        """Whether modules are to run after the answer; :meth:`keep` writes what was found here.

        A search near its time limit may come out otherwise when it is repeated, and the transaction of the
        answer is no place to search.
        """
        if self._loaded is not None:
            modules, resolver = self._loaded.modules, self._loaded.resolver
            self._follow = any((await resolver.post_response_modules(modules, reply, self._done)).values())
        return self._follow

    async def after_answer(self, reply: str, details: Mapping[str, Any], message_id: UUID | None) -> None:
        """Stages 4 and 5: each module is committed on its own, so that a take-over runs what is missing."""
        if self._plain:
            return
        loaded = self._loaded or await self._restore()
        if isinstance(loaded.reader, SentMessages):
            said = Said(
                id=str(self._attempt.job.id),
                role="assistant",
                content=reply,
                created_at=self._attempt.job.created_at,
            )
            loaded.reader.sent.append(said)
        elif message_id is not None:
            loaded.reader.leaf = message_id
        outcomes = loaded.resolver.execute_post_response_stages(
            loaded.modules, reply, details, self._prompts, self._changes, self._done
        )
        async with aclosing(outcomes):
            async for outcome in outcomes:
                await self._commit(outcome, message_id, loaded.scripts)

    # ------------------------------------------------------------------------------------------------------
    async def _load(self) -> TurnWorld:
        self._loaded = await load_world(self._parts, self._attempt, self._turn, self._warn, self._on_stage)
        return self._loaded

    async def _restore(self) -> TurnWorld:
        """An earlier attempt stored the answer: what it knew and left is read back."""
        loaded = await self._load()
        loaded.reader.memory_leaf = self._attempt.job.message_id
        async with direct.begin(self._parts.engine) as connection:
            trace = connection.later(_TRACE, {"job_id": self._attempt.job.id})
            left = connection.later(_LEFT, {"job_id": self._attempt.job.id})
        by_id = {module.id: module for module in loaded.modules.modules.values()}
        for row in left.rows:
            module = by_id.get(row.module_id)
            if module is None:
                continue
            self._changes.append(
                StateChange(module.id, module.name, module.state_scope, row.stage, row.variables)
            )
            if row.stage in _AFTER:
                self._done.add(module.id)
        stored = trace.rows.scalar()
        if stored is None:
            return loaded
        self.trace = TurnTrace.model_validate({**stored, "attempt": self._attempt.job.attempt})
        for stage in self.trace.stages:
            if stage.stage in _AFTER:
                self._done.update(UUID(module.id) for module in stage.modules)
            elif stage.prompt_after is not None:
                self._prompts.set_stage_prompt(stage.stage, stage.prompt_after)
        return loaded

    async def _commit(self, outcome: ModuleOutcome, message_id: UUID | None, scripts: TurnScripts) -> None:
        """Commit what one module of stage 4 or 5 left, together with the trace of it."""
        job = self._attempt.job
        stage = self._stage_after(outcome.stage)
        stage.modules.append(self._room.fit(outcome.trace))
        stage.duration_ms = round((perf_counter() - self._begun) * 1000, 3)
        self.trace.warnings += [warning.traced() for warning in outcome.warnings]
        acts = scripts.take_memories(outcome.module_name)
        runs = [] if outcome.change is None else [_run(outcome.change, self.trace.stages)]
        told = {"stages": [{"stage": outcome.stage, "modules": [{"id": str(outcome.module_id)}]}]}
        place = {"job_id": job.id, "told": as_json(told)}

        async def write() -> None:
            async with self._parts.store.fenced(job) as transaction:
                if (await transaction.connection.execute(_RECORDED, place)).first() is not None:
                    # An earlier try of this very commit went through, and its reply was lost.
                    return
                await self._record(transaction, job, message_id, runs, acts)
                await self._put_trace(transaction, job)

        await persist(self._attempt, write)
        if outcome.change is not None:
            self._changes.append(outcome.change)
        self._done.add(outcome.module_id)

    async def _record(
        self,
        transaction: FencedTransaction,
        job: Job,
        message_id: UUID | None,
        runs: list[ModuleRun],
        acts: list[MemoryAct],
    ) -> None:
        persona_id = job.payload.get("persona_id")
        await module_state.record(
            transaction.connection,
            runs,
            owner_id=job.owner_id,
            job_id=job.id,
            persona_id=None if persona_id is None else UUID(persona_id),
            conversation_id=job.conversation_id,
            message_id=message_id,
        )
        if job.conversation_id is not None and message_id is not None:
            await memories.record(
                transaction.connection,
                acts,
                conversation_id=job.conversation_id,
                message_id=message_id,
                job_id=job.id,
            )

    async def _put_trace(self, transaction: FencedTransaction, job: Job) -> None:
        await traces.put(
            transaction.connection,
            self.trace.model_dump(mode="json"),
            job_id=job.id,
            owner_id=job.owner_id,
            attempt=job.attempt,
        )

    def _stages_after(self) -> list[StageTrace]:
        return [stage for stage in self.trace.stages if stage.stage in _AFTER]

    def _stage_after(self, number: int) -> StageTrace:
        for stage in self._stages_after():
            if stage.stage == number:
                return stage
        self.trace.stages.append(StageTrace(stage=number, label=_LABELS[number]))
        return self.trace.stages[-1]

    def _warn(self, warning: ModuleWarning) -> None:
        self._attempt.emit(EventType.WARNING, warning.traced().model_dump())

    def _on_stage(self, update: StageUpdate) -> None:
        data = {
            "stage": update.stage,
            "state": update.state,
            "label": update.label,
            "modules": list(update.modules),
        }
        self._attempt.emit(EventType.STAGE_UPDATE, data)
        if update.state == "started":
            self._begun = perf_counter()
            self._enter_stage(self._attempt.job, update.stage)
        else:
            STAGE_SECONDS.labels(str(update.stage)).observe(perf_counter() - self._begun)


def _run(change: StateChange, stages: list[StageTrace]) -> ModuleRun:
    """A run to be recorded, with what the trace tells of it."""
    for stage in stages:
        for module in stage.modules:
            if stage.stage == change.stage and module.name == change.module_name:
                details = {
                    "duration_ms": module.duration_ms,
                    "calls": module.calls,
                    "tokens": module.tokens.model_dump(),
                }
                return ModuleRun(change.module_id, change.stage, change.variables, details)
    return ModuleRun(change.module_id, change.stage, change.variables)
