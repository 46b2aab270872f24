"""Stage 1: the template is prepared from text, from scripts without a model, and from stored output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.chat.modules.stages.base_stage import BaseStage

if TYPE_CHECKING:
    from workers.chat.modules.resolver.dependency_graph import DependencyGraph
    from workers.chat.modules.resolver.node import Node


class TemplatePreparation(BaseStage):
    """Simple modules, scripts that call no model, and what modules of stages 4 and 5 left in earlier turns.

    A module that depends on one of stage 2 waits for it, and so belongs there.
    """

    number = 1
    label = "thinking_before"

    def takes(self, graph: DependencyGraph, node: Node) -> bool:
        """Whether its text can be made without a model."""
        return node.live and node.stage == self.number

    def runs(self, node: Node) -> bool:
        """Whether it has a script, and one that runs before the answer."""
        return node.module.is_scripted and not node.module.runs_after_answer
