"""What the stages have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, ClassVar

from workers.chat.spans import stage_span

if TYPE_CHECKING:
    from workers.chat.modules.resolver.dependency_graph import DependencyGraph
    from workers.chat.modules.resolver.node import Node
    from workers.chat.modules.resolver.pipeline_executor import PipelineExecutor
    from workers.chat.modules.resolver.result_models import ModuleOutcome
    from workers.chat.modules.resolver.session_manager import ResolutionSession


class BaseStage(ABC):
    """One stage.

    Attributes:
        number: 1 to 5.
        label: what clients show meanwhile.
    """

    number: ClassVar[int]
    label: ClassVar[str]

    @abstractmethod
    def takes(self, graph: DependencyGraph, node: Node) -> bool:
        """Whether a module takes part in this stage."""

    def select(self, graph: DependencyGraph) -> list[str]:
        """The modules that take part, in the stated order."""
        return graph.in_order(name for name, node in graph.nodes.items() if self.takes(graph, node))

    async def execute(
        self, session: ResolutionSession, executor: PipelineExecutor, names: Sequence[str]
    ) -> AsyncGenerator[ModuleOutcome]:
        """Run the scripts among ``names``; gives what became of each, in order. To be closed when left."""
        session.tracker.begin_stage(session.graph.order)
        session.told.stage(self.number, "started", self.label, names)
        scripts = [name for name in names if self.runs(session.graph.nodes[name])]
        if scripts:
            with stage_span(self.number):
                async with aclosing(executor.run(self.number, scripts)) as outcomes:
                    async for outcome in outcomes:
                        yield outcome
        session.told.stage(self.number, "finished", self.label, names)

    def runs(self, node: Node) -> bool:
        """Whether a module that takes part has a script to run in this stage."""
        return node.module.is_scripted
