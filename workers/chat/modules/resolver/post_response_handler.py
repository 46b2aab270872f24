"""Stages 4 and 5: what modules make of the answer, for the turns that follow."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping
from contextlib import aclosing
from typing import Any
from uuid import UUID

from workers.chat.modules.module import Module, TurnModules
from workers.chat.modules.resolver.dependency_graph import DependencyGraph
from workers.chat.modules.resolver.pipeline_executor import PipelineExecutor
from workers.chat.modules.resolver.result_models import ModuleOutcome, StateChange
from workers.chat.modules.resolver.session_manager import ResolutionSession
from workers.chat.modules.resolver.state_tracker import StateTracker
from workers.chat.modules.resolver.streaming_handler import StreamingHandler
from workers.chat.modules.stages import PostResponse, PostResponseAI
from workers.chat.modules.template_parser import is_plain
from workers.chat.modules.trigger_matcher import TriggerMatcher
from workers.chat.system_prompt_state import SystemPromptState

STAGES = (PostResponse(), PostResponseAI())


class PostResponseHandler:
    """Finds and runs the modules of the stages after the answer.

    Args:
        triggers: searches what was said.
        max_depth: how deep contents nest.
        max_nesting: how deep ``run_module`` nests.
    """

    def __init__(self, triggers: TriggerMatcher, max_depth: int, max_nesting: int) -> None:
        self._triggers = triggers
        self._max_depth = max_depth
        self._max_nesting = max_nesting

    async def plan(
        self, turn: TurnModules, reply: str, done: Collection[UUID]
    ) -> tuple[DependencyGraph, dict[int, list[Module]]]:
        """The modules that are still to run, by stage and in the stated order."""
        modules = turn.modules.values()
        texts = {"user_message": turn.user_message}
        triggers = await self._triggers.match((one for one in modules if not one.runs_after_answer), texts)
        texts["ai_response"] = reply
        triggers |= await self._triggers.match((one for one in modules if one.runs_after_answer), texts)
        graph = DependencyGraph(turn, triggers, self._max_depth)
        return graph, {
            stage.number: [
                graph.nodes[name].module
                for name in stage.select(graph)
                if graph.nodes[name].module.id not in done
            ]
            for stage in STAGES
        }

    def has_none(self, turn: TurnModules) -> bool:
        """Whether no module could run after the answer, without looking closer."""
        if is_plain(turn.template) and not turn.requested:
            return True
        return not any(module.runs_after_answer for module in turn.modules.values())

    async def execute(
        self,
        turn: TurnModules,
        reply: str,
        metadata: Mapping[str, Any],
        prompt_state: SystemPromptState,
        changes: Iterable[StateChange],
        done: Collection[UUID],
        told: StreamingHandler,
        executor: Callable[[ResolutionSession], PipelineExecutor],
    ) -> AsyncGenerator[ModuleOutcome]:
        """Run what is left, one outcome a module, in the stated order."""
        graph, left = await self.plan(turn, reply, done)
        prompt_state.reply = reply
        tracker = StateTracker(turn, changes)
        session = ResolutionSession(turn, graph, tracker, told, prompt_state, reply, metadata)
        pipeline = executor(session)
        started = (module.name for stage in STAGES for module in left[stage.number])
        graph.limit_nesting(started, self._max_nesting)
        for name, node in graph.nodes.items():
            if node.reached and node.module.runs_after_answer and node.module.id not in done:
                told.warn(graph.trigger_warnings(turn.modules[name], 4))
        for stage in STAGES:
            names = [module.name for module in left[stage.number]]
            if not names:
                continue
            async with aclosing(stage.execute(session, pipeline, names)) as outcomes:
                async for outcome in outcomes:
                    yield outcome
