"""The five stages as a turn sees them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping
from contextlib import aclosing
from time import perf_counter
from typing import Any
from uuid import UUID

from shared.schemas.trace import ModuleTrace, StageTrace
from workers.chat.history import estimate_tokens
from workers.chat.modules.module import Module, TurnModules
from workers.chat.modules.resolver.dependency_graph import DependencyGraph
from workers.chat.modules.resolver.pipeline_executor import PipelineExecutor
from workers.chat.modules.resolver.post_response_handler import PostResponseHandler
from workers.chat.modules.resolver.result_models import (
    ModuleOutcome,
    ModuleWarning,
    ResolvedTemplate,
    StageUpdate,
    StateChange,
)
from workers.chat.modules.resolver.session_manager import ResolutionSession
from workers.chat.modules.resolver.state_tracker import StateTracker
from workers.chat.modules.resolver.streaming_handler import StreamingHandler
from workers.chat.modules.runner import ScriptRunner
from workers.chat.modules.stages import BaseStage, PreResponseAI, TemplatePreparation
from workers.chat.modules.template_parser import is_plain
from workers.chat.modules.trigger_matcher import TriggerMatcher
from workers.chat.system_prompt_state import SystemPromptState

#: How deep contents lie in one another, the template's own references being depth 1.
MAX_DEPTH = 10
#: How deep ``run_module`` nests.
MAX_NESTING = 3
#: Seconds that one trigger may search one text.
TRIGGER_TIMEOUT = 0.05


def _nobody(_: object) -> None:
    """Nobody listens."""


class StagedModuleResolver:
    """Builds a turn's system prompt, and runs what follows its answer.

    One resolver serves one turn, or one after another; it keeps nothing between two calls.

    Args:
        runner: runs scripts.
        max_depth: how deep contents nest.
        max_nesting: how deep ``run_module`` nests.
        trigger_timeout: seconds for one trigger in one text.
        warn: told of every warning when it arises.
        on_stage: told when a stage that has modules begins and ends.
    """

    def __init__(
        self,
        runner: ScriptRunner,
        *,
        max_depth: int = MAX_DEPTH,
        max_nesting: int = MAX_NESTING,
        trigger_timeout: float = TRIGGER_TIMEOUT,
        warn: Callable[[ModuleWarning], None] = _nobody,
        on_stage: Callable[[StageUpdate], None] = _nobody,
    ) -> None:
        self._runner = runner
        self._max_depth = max_depth
        self._max_nesting = max_nesting
        self._warn = warn
        self._on_stage = on_stage
        self._triggers = TriggerMatcher(trigger_timeout)
        self._after = PostResponseHandler(self._triggers, max_depth, max_nesting)

    async def resolve_template_stages_1_and_2(self, turn: TurnModules) -> ResolvedTemplate:
        """The system prompt of a turn.

        What is wrong with a module is a warning. Cancelling the task ends every script that runs.
        """
        if is_plain(turn.template) and not turn.requested:
            return _unresolved(turn.template)
        triggers = await self._triggers.match(
            (module for module in turn.modules.values() if not module.runs_after_answer),
            {"user_message": turn.user_message},
        )
        graph = DependencyGraph(turn, triggers, self._max_depth)
        told = StreamingHandler(self._warn, self._on_stage)
        graph.limit_nesting((name for name, node in graph.nodes.items() if node.live), self._max_nesting)
        told.warn(graph.warnings)
        prompt_state = SystemPromptState(turn.template)
        session = ResolutionSession(turn, graph, StateTracker(turn), told, prompt_state)
        pipeline = self._pipeline(session)
        traces: list[StageTrace] = []
        changes: list[StateChange] = []
        prompt = turn.template
        for stage in (TemplatePreparation(), PreResponseAI()):
            names = stage.select(graph)
            if names or stage.number == 1:
                trace = StageTrace(stage=stage.number, label=stage.label, prompt_before=prompt)
                prompt = await self._before_answer(stage, session, pipeline, names, trace, changes)
                trace.prompt_after = prompt
                traces.append(trace)
            prompt_state.set_stage_prompt(stage.number, prompt)
        return ResolvedTemplate(
            resolved_template=prompt,
            prompt_state=prompt_state,
            token_estimate=estimate_tokens(prompt),
            stages=traces,
            modules=[module for trace in traces for module in trace.modules],
            warnings=told.in_order(graph.order),
            state_changes=changes,
        )

    async def post_response_modules(
        self, turn: TurnModules, reply: str, done: Collection[UUID] = frozenset()
    ) -> dict[int, list[Module]]:
        """The modules still to run after the answer: by stage, 4 and 5, and in the stated order.

        Args:
            turn: as it was before the answer.
            reply: the answer, whose text triggers search too.
            done: ids of modules that an earlier attempt has committed.
        """
        if self._after.has_none(turn):
            return {4: [], 5: []}
        return (await self._after.plan(turn, reply, done))[1]

    async def execute_post_response_stages(
        self,
        turn: TurnModules,
        reply: str,
        metadata: Mapping[str, Any],
        prompt_state: SystemPromptState,
        changes: Iterable[StateChange] = (),
        done: Collection[UUID] = frozenset(),
    ) -> AsyncGenerator[ModuleOutcome]:
        """Run stages 4 and 5; gives one outcome a module, in the stated order, to be committed alone.

        Modules of a stage go on running while an outcome is committed. Close the generator when it is left
        early (:func:`contextlib.aclosing`): that ends every script that runs.

        Args:
            turn: as it was before the answer.
            reply: the answer.
            metadata: of the answer, for ``ctx.response_metadata``.
            prompt_state: with the prompt that was sent.
            changes: what this turn has left so far: by stages 1 and 2, and by what is ``done``.
            done: ids of modules that an earlier attempt has committed; they do not run again.
        """
        if self._after.has_none(turn):
            return
        told = StreamingHandler(self._warn, self._on_stage)
        outcomes = self._after.execute(
            turn, reply, metadata, prompt_state, changes, done, told, self._pipeline
        )
        async with aclosing(outcomes):
            async for outcome in outcomes:
                yield outcome

    def _pipeline(self, session: ResolutionSession) -> PipelineExecutor:
        return PipelineExecutor(session, self._runner, self._max_nesting)

    async def _before_answer(
        self,
        stage: BaseStage,
        session: ResolutionSession,
        pipeline: PipelineExecutor,
        names: list[str],
        trace: StageTrace,
        changes: list[StateChange],
    ) -> str:
        """Carry out stage 1 or 2; gives the prompt after it."""
        begun = perf_counter()
        ran: dict[str, ModuleTrace] = {}
        if names:
            async with aclosing(stage.execute(session, pipeline, names)) as outcomes:
                async for outcome in outcomes:
                    ran[outcome.module_name] = outcome.trace
                    if outcome.change is not None:
                        changes.append(outcome.change)
        taking_part = dict.fromkeys((*names, *ran))
        for name in session.graph.in_order(taking_part):
            trace.modules.append(_show(session, pipeline, name, stage, ran.get(name)))
        if stage.number == 1:
            trace.modules += _left_out(session)
        # From here on variables are those at the end of the stage.
        session.tracker.begin_stage(session.graph.order)
        prompt = pipeline.texts.prompt(stage.number)
        trace.duration_ms = round((perf_counter() - begun) * 1000, 3)
        return prompt


def _unresolved(template: str) -> ResolvedTemplate:
    """A template that is only text is its own prompt."""
    prompt_state = SystemPromptState(template)
    prompt_state.set_stage_prompt(1, template)
    prompt_state.set_stage_prompt(2, template)
    return ResolvedTemplate(
        resolved_template=template, prompt_state=prompt_state, token_estimate=estimate_tokens(template)
    )


def _show(
    session: ResolutionSession,
    pipeline: PipelineExecutor,
    name: str,
    stage: BaseStage,
    ran: ModuleTrace | None,
) -> ModuleTrace:
    """Make the text of a module, and its trace."""
    begun = perf_counter()
    text = pipeline.texts.text(name, stage.number)
    if ran is None:
        module = session.turn.modules[name]
        ran = ModuleTrace(name=name, id=str(module.id), stage=stage.number)
        ran.duration_ms = round((perf_counter() - begun) * 1000, 3)
        if module.runs_after_answer:
            ran.skipped = "stored" if module.id in session.turn.states else "no_state"
            ran.variables = dict(session.tracker.own(name))
    ran.output_text = text
    return ran


def _left_out(session: ResolutionSession) -> list[ModuleTrace]:
    """Traces of modules that are referred to and take no part."""
    modules = session.turn.modules
    return [
        ModuleTrace(
            name=name,
            id=str(modules[name].id),
            stage=1,
            skipped=reason,
            output_text=modules[name].fallback or "",
        )
        for name, reason in sorted(session.graph.skipped.items())
    ]
