"""Scripts and templates tried out, of which nothing is kept."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from shared.database import direct
from shared.schemas import template
from shared.schemas.module import ScriptTest
from shared.schemas.templates import TemplateResolve
from shared.schemas.trace import ModuleTrace
from workers.chat.modules.module import Module, ModuleState
from workers.chat.system_prompt_state import SystemPromptState
from workers.jobs.running import RunningAttempt
from workers.jobs.trace_room import TraceRoom
from workers.jobs.turn_world import Place, StageParts, TurnWorld, make_world, read_modules
from workers.jobs.turns import Target, select_connections, stored_target
from workers.sandbox.result import CompileResult, ScriptError

#: What a script is called while it is tried; it stands in the place of a module of that name.
TRIED = "tried_script"
#: So many messages up a trial looks for what was said last.
_LOOK_BACK = 20
#: Bytes that these may have: whatever messages may.
_LOOK_BACK_ROOM = 2**30
_PLACE = text(
    "SELECT persona_id, connection_id, model, active_message_id FROM conversations "
    "WHERE id = :conversation_id AND owner_id = :owner_id AND deleted_at IS NULL"
)
_NAMES = text("SELECT name FROM modules WHERE owner_id = :owner_id AND is_active")
#: The conversation's connection, or the owner's default one.
_TARGET = select_connections(
    "WHERE k.owner_id = :owner_id "
    "ORDER BY k.id = CAST(:connection_id AS uuid) DESC NULLS LAST, k.is_default DESC, k.created_at LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class _Trial:
    """Something that is tried as if in a turn, and the newest answer of the conversation."""

    world: TurnWorld
    reply: str


class ScriptQueries:
    """Carries out the operations on scripts and templates."""

    def __init__(self, parts: StageParts) -> None:
        self._parts = parts

    async def compile_script(self, attempt: RunningAttempt) -> dict[str, Any]:
        """Whether a script compiles, and what its syntax tree tells."""
        compiled = await self._parts.processes.compile(
            attempt.job.payload["script"], owner=str(attempt.job.owner_id)
        )
        return {
            "analysis": None if compiled.analysis is None else asdict(compiled.analysis),
            "error": None if compiled.error is None else _fault(compiled.error, kind=True),
        }

    async def test_script(self, attempt: RunningAttempt) -> dict[str, Any]:
        """Run a script as a turn would."""
        asked = ScriptTest.model_validate(_fields(ScriptTest, attempt.job.payload))
        module_id = uuid4()
        # Under the key that its run has: it is compiled once.
        key = (str(attempt.job.owner_id), str(module_id))
        compiled = await self._parts.processes.compile(asked.script, key)
        if compiled.error is not None:
            return _tested(None, None, compiled.error)
        module = _tried(module_id, asked, compiled)
        names = (*template.names(asked.content or ""), *module.module_names)
        if compiled.analysis is not None and "run_module" in compiled.analysis.functions:
            # It may make up their names: a turn has them all then.
            rows = await direct.execute(self._parts.engine, _NAMES, {"owner_id": attempt.job.owner_id})
            names = (*names, *(row.name for row in rows))
        trial = await self._trial(
            attempt,
            text_=f"@{TRIED}",
            names=names,
            persona_id=None,
            conversation_id=asked.conversation_id,
            message=asked.message,
            run_ai=asked.run_ai,
            tried=module,
            variables=asked.variables,
        )
        if not module.runs_after_answer:
            resolved = await trial.world.resolver.resolve_template_stages_1_and_2(trial.world.modules)
            return _tested(_trace_of(resolved.modules), resolved.resolved_template)
        return await self._test_after_answer(trial, module)

    async def resolve_template(self, attempt: RunningAttempt) -> dict[str, Any]:
        """Run stages 1 and 2 of a template."""
        asked = TemplateResolve.model_validate(_fields(TemplateResolve, attempt.job.payload))
        trial = await self._trial(
            attempt,
            text_=asked.template,
            names=template.names(asked.template),
            persona_id=asked.persona_id,
            conversation_id=asked.conversation_id,
            message=asked.message,
            run_ai=asked.run_ai,
        )
        resolved = await trial.world.resolver.resolve_template_stages_1_and_2(trial.world.modules)
        room = TraceRoom()
        for module in resolved.modules:
            room.fit(module)
        return {
            "resolved_template": resolved.resolved_template,
            "stages": [stage.model_dump(mode="json") for stage in resolved.stages],
            "modules": [module.model_dump(mode="json") for module in resolved.modules],
            "warnings": [warning.traced().model_dump(mode="json") for warning in resolved.warnings],
            "token_estimate": resolved.token_estimate,
        }

    async def _test_after_answer(self, trial: _Trial, module: Module) -> dict[str, Any]:
        found, resolver = trial.world.modules, trial.world.resolver
        prompts = SystemPromptState(found.template)
        outcomes = resolver.execute_post_response_stages(found, trial.reply, {}, prompts)
        trace: ModuleTrace | None = None
        variables: dict[str, Any] | None = None
        async with aclosing(outcomes):
            async for outcome in outcomes:
                if outcome.module_name == TRIED:
                    trace = outcome.trace
                    variables = None if outcome.change is None else outcome.change.variables
        if variables is None:
            return _tested(trace, None)
        # What the next turn would show of it.
        shown = replace(found, states={**found.states, module.id: ModuleState(variables)})
        resolved = await resolver.resolve_template_stages_1_and_2(shown)
        return _tested(trace, resolved.resolved_template)

    async def _trial(
        self,
        attempt: RunningAttempt,
        *,
        text_: str,
        names: Any,
        persona_id: UUID | None,
        conversation_id: UUID | None,
        message: str | None,
        run_ai: bool,
        tried: Module | None = None,
        variables: dict[str, Any] | None = None,
    ) -> _Trial:
        parts, owner_id = self._parts, attempt.job.owner_id
        asked = {"conversation_id": conversation_id, "owner_id": owner_id}
        row = (await direct.execute(parts.engine, _PLACE, asked)).first()
        target = await self._target(owner_id, None if row is None else row.connection_id)
        place = Place(
            owner_id=owner_id,
            conversation_id=conversation_id,
            # State is the persona's; its template is not what is tried.
            persona_id=persona_id or (None if row is None else row.persona_id),
            leaf=None if row is None else row.active_message_id,
            target=target,
            model=(None if row is None else row.model) or (None if target is None else target.settings.model),
        )
        reader = place.reader(parts.engine)
        said = [] if place.leaf is None else await reader.recent(_LOOK_BACK, room=_LOOK_BACK_ROOM)
        newest = {one.role: one.content for one in said}
        found = await read_modules(
            parts.engine,
            place,
            names,
            template=text_,
            user_message=newest.get("user", "") if message is None else message,
        )
        if tried is not None:
            states = {tried.id: ModuleState(variables)} if variables else {}
            found = replace(
                found, modules={**found.modules, tried.name: tried}, states={**found.states, **states}
            )
        world = make_world(
            parts, attempt, place, found, reader, run_ai=run_ai, warn=_nobody, on_stage=_nobody
        )
        return _Trial(world, newest.get("assistant", ""))

    async def _target(self, owner_id: UUID, connection_id: UUID | None) -> Target | None:
        parameters = {"owner_id": owner_id, "connection_id": connection_id}
        row = (await direct.execute(self._parts.engine, _TARGET, parameters)).mappings().first()
        return None if row is None else stored_target(row, self._parts.box, self._parts.settings)


def _nobody(_: object) -> None:
    """Nobody listens to a trial."""


def _tried(module_id: UUID, asked: ScriptTest, compiled: CompileResult) -> Module:
    assert compiled.analysis is not None
    after = asked.execution_context == "POST_RESPONSE"
    return Module(
        id=module_id,
        name=TRIED,
        type="advanced",
        content=asked.content,
        script=asked.script,
        # ON_DEMAND modules run in the place of whoever names them: here, at once.
        execution_context="POST_RESPONSE" if after else "IMMEDIATE",
        requires_ai_inference=compiled.analysis.requires_ai_inference,
        module_names=compiled.analysis.module_names,
    )


def _trace_of(traces: list[ModuleTrace]) -> ModuleTrace | None:
    return next((trace for trace in traces if trace.name == TRIED), None)


def _tested(
    trace: ModuleTrace | None, resolved: str | None, error: ScriptError | None = None
) -> dict[str, Any]:
    fault = None if error is None else _fault(error)
    if trace is not None and trace.error is not None:
        fault = trace.error.model_dump()
    return {
        "success": fault is None,
        "resolved_content": resolved if fault is None else None,
        "outputs": {} if trace is None else trace.outputs,
        "omitted": {} if trace is None else trace.omitted,
        "printed": "" if trace is None else trace.printed,
        "log": [] if trace is None else [line.model_dump() for line in trace.log],
        "error": fault,
        "duration_ms": 0.0 if trace is None else trace.duration_ms,
    }


def _fault(error: ScriptError, *, kind: bool = False) -> dict[str, Any]:
    fault: dict[str, Any] = {
        "type": error.type,
        "message": error.message,
        "line": error.line,
        "column": error.column,
    }
    return {"kind": error.kind.value, **fault} if kind else fault


def _fields(wire: Any, payload: dict[str, Any]) -> dict[str, Any]:
    return {name: payload[name] for name in wire.model_fields if name in payload}
