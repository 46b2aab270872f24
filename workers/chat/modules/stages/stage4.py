"""Stage 4: scripts that run after the answer and call no model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.chat.modules.stages.base_stage import BaseStage

if TYPE_CHECKING:
    from workers.chat.modules.resolver.dependency_graph import DependencyGraph
    from workers.chat.modules.resolver.node import Node


class PostResponse(BaseStage):
    """POST_RESPONSE modules that call no model and need nothing of one that does."""

    number = 4
    label = "thinking_after"

    def takes(self, graph: DependencyGraph, node: Node) -> bool:
        """Whether it is reached, its trigger holds for what was said, and it belongs to this stage."""
        return (
            node.reached
            and node.module.runs_after_answer
            and graph.trigger(node.module.name).matched
            and (5 if self._needs_model(graph, node) else 4) == self.number
        )

    def _needs_model(self, graph: DependencyGraph, node: Node) -> bool:
        name = node.module.name
        return any(
            self._calls_model(graph, graph.nodes[other])
            for other in (name, *graph.below(name, through_unstored=True))
            if other == name or (graph.nodes[other].module.runs_after_answer and graph.trigger(other).matched)
        )

    @staticmethod
    def _calls_model(graph: DependencyGraph, node: Node) -> bool:
        called = (graph.nodes[name] for name in node.calls)
        return node.module.requires_ai_inference or any(
            other.stage == 2 or other.module.requires_ai_inference for other in called
        )
