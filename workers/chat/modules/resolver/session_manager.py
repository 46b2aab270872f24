"""One turn while its modules are resolved: what all its runs share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.chat.modules.module import Module, TurnModules
from workers.chat.modules.resolver.dependency_graph import DependencyGraph
from workers.chat.modules.resolver.state_tracker import StateTracker
from workers.chat.modules.resolver.streaming_handler import StreamingHandler
from workers.chat.system_prompt_state import SystemPromptState

#: What ``ctx.stage_name`` and ``${stage_name}`` say.
STAGE_NAMES = {
    1: "template_preparation",
    2: "pre_response_ai",
    3: "answer",
    4: "post_response",
    5: "post_response_ai",
}


class ResolutionSession:
    """The parts of one turn's resolution.

    Attributes:
        reply: the answer; ``None`` before it.
    """

    def __init__(
        self,
        turn: TurnModules,
        graph: DependencyGraph,
        tracker: StateTracker,
        told: StreamingHandler,
        prompt_state: SystemPromptState,
        reply: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.turn = turn
        self.graph = graph
        self.tracker = tracker
        self.told = told
        self.prompt_state = prompt_state
        self.reply = reply
        self._implicit: dict[str, Any] = {**turn.implicit, "last_user_message": turn.user_message}
        if reply is not None:
            self._implicit |= {"ai_response": reply, "response_metadata": dict(metadata or {})}

    def stage_values(self, stage: int) -> dict[str, Any]:
        """The implicit values that belong to no module."""
        return {**self._implicit, "stage": stage, "stage_name": STAGE_NAMES[stage]}

    def attributes(self, module: Module, stage: int) -> dict[str, Any]:
        """The implicit values of a module: for ``${…}`` in its content, and for ``ctx``."""
        return {
            **self._implicit,
            "module_name": module.name,
            "module_id": str(module.id),
            "stage": stage,
            "stage_name": STAGE_NAMES[stage],
        }

    def dependencies(self, name: str) -> list[str]:
        """What a module depends on, in the stated order.

        Modules that run after the answer depend on one another, whether they have stored output or not. No
        other module depends on them: it shows what they had stored before the turn.
        """
        modules = self.turn.modules
        if self.reply is not None and modules[name].runs_after_answer:
            return self.graph.below(name, through_unstored=True)
        return [other for other in self.graph.below(name) if not modules[other].runs_after_answer]

    def trigger_data(self, module: Module) -> dict[str, Any]:
        """What made the module take part: pattern, matched text and its source; empty without a trigger."""
        trigger = self.graph.trigger(module.name)
        if not trigger.matched or not trigger.source:
            return {}
        return {"pattern": module.trigger_pattern, "match": trigger.text, "source": trigger.source}
