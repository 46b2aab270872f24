"""What agents remember of phase 2, and how much that is."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from shared.schemas.experiment.config import ExperimentConfig
from workers.experiment.agents.participant import ParticipantAgent
from workers.experiment.degrade import degrade
from workers.experiment.history import one_line
from workers.experiment.records import Statement
from workers.experiment.services.protocols import MemoryProtocol
from workers.experiment.steps.journal import Journal
from workers.experiment.steps.key import StepKey
from workers.experiment.together import together


class Memories:
    """The memories of a group.

    Args:
        agents: in the configuration's order.
        journal: of the run.
    """

    def __init__(self, agents: Sequence[ParticipantAgent], journal: Journal) -> None:
        self._agents = tuple(agents)
        self._journal = journal
        self._sizes: dict[str, list[int]] = {agent.name: [] for agent in self._agents}

    async def update(
        self, key: StepKey, update: Callable[[ParticipantAgent], Coroutine[Any, Any, None]]
    ) -> None:
        """Have everybody's memory updated, all at once; one whose update fails keeps what it was."""
        await together(
            degrade(self._journal, "memory", key.of(agent.name), update(agent), None, asks=True)
            for agent in self._agents
        )

    def measure(self) -> None:
        """Take down how long every memory is now."""
        for agent in self._agents:
            self._sizes[agent.name].append(len(agent.memory))

    @property
    def growth(self) -> dict[str, tuple[int, ...]]:
        """Characters of each agent's memory, each time that they were taken down."""
        return {name: tuple(sizes) for name, sizes in self._sizes.items()}

    @property
    def measured(self) -> bool:
        """Whether they were ever taken down."""
        return any(self._sizes.values())


def account(
    statements: Sequence[Statement],
    reader: ParticipantAgent,
    memory: MemoryProtocol,
    config: ExperimentConfig,
) -> str:
    """A round as an agent is told it for its memory: each statement in its first sentences, in turn.

    Where the configuration has it so, what the reader had thought for itself stands before its own statement.
    """
    own_reasoning = config.phase2_include_internal_reasoning_in_memory
    lines: list[str] = []
    text = reader.text
    for statement in statements:
        where = {"round": statement.round, "name": statement.agent}
        if own_reasoning and statement.reasoning and statement.agent == reader.name:
            thought = one_line(memory.truncate_content(statement.reasoning, config.memory_reasoning_length))
            lines.append(text.text("discussion.line.reasoning", reasoning=thought, **where))
        if statement.quarantined:
            lines.append(text.text("discussion.line.unavailable", **where))
        else:
            public = one_line(memory.truncate_content(statement.public, config.memory_statement_length))
            lines.append(text.text("discussion.line.statement", statement=public, **where))
    return "\n".join(lines)
