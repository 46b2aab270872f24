"""What agents remember: by appending what happened, or by having the agent rewrite its memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.experiment.agents.participant import ParticipantAgent
from workers.experiment.reading.reader import UnreadableError
from workers.experiment.services.memory_reader import MemoryReader, without_scaffold
from workers.experiment.services.memory_text import beginning, clean, ending, sentences
from workers.experiment.services.protocols import MemoryContext, MemoryEvent, MemoryUpdate
from workers.experiment.steps.journal import Journal
from workers.experiment.steps.key import StepKey

if TYPE_CHECKING:
    from shared.schemas.experiment.config import ExperimentConfig
    from workers.experiment.agents.utility import UtilityAgent

#: The events that an agent rewrites its memory for, at each ``memory_update_threshold``; what is not named is
#: appended as it is, without a model.
REWRITTEN: dict[str, frozenset[MemoryEvent]] = {
    # What a later decision cannot do without, and where most is said: the group's rounds, the way into the
    # group, the end.
    "minimal": frozenset({MemoryEvent.DISCUSSION, MemoryEvent.PHASE_TRANSITION, MemoryEvent.RESULTS}),
    # Everything that is more than an answer of a few words.
    "moderate": frozenset(
        {
            MemoryEvent.RANKING,
            MemoryEvent.EXPLANATION,
            MemoryEvent.COMPREHENSION,
            MemoryEvent.APPLICATION,
            MemoryEvent.DISCUSSION,
            MemoryEvent.PHASE_TRANSITION,
            MemoryEvent.RESULTS,
        }
    ),
    # Also votes and what else is short.
    "comprehensive": frozenset(MemoryEvent),
}


def rewritten(event: MemoryEvent, config: ExperimentConfig) -> bool:
    """Whether the agent rewrites its memory for an event; without selective updates it does for every one."""
    if not config.selective_memory_updates:
        return True
    return event in REWRITTEN[str(config.memory_update_threshold)]


def appended(memory: str, event: str, limit: int) -> str:
    """``memory`` and, on a line of its own, ``event``, in at most ``limit`` characters.

    When both do not fit, the memory's oldest sentences go, and of the event what is beyond half of the limit;
    no sentence is cut that is not by itself longer than the limit.
    """
    if not memory or not event:
        return beginning(event, limit) if event else ending(memory, limit)
    first = len(sentences(event)[0].strip())
    told = beginning(event, min(limit, max(limit - len(memory) - 1, limit // 2, first)))
    old = ending(memory, limit - len(told) - 1, whole=True)
    return f"{old}\n{told}" if old else told


class MemoryService:
    """Keeps the memories of a run's agents; what it knows is in the agents and in the journal.

    A memory is never longer than its agent's ``memory_character_limit``. What an agent writes is kept as
    text: nothing in it is looked for, and it stands between marks wherever it is shown.

    Args:
        config: of the run.
        journal: of the run.
        utility: shortens memories.
    """

    def __init__(self, config: ExperimentConfig, journal: Journal, utility: UtilityAgent) -> None:
        self._config = config
        self._journal = journal
        self._utility = utility

    async def update_discussion_memory(
        self, agent: ParticipantAgent, prompt: str, context: MemoryContext
    ) -> MemoryUpdate:
        """Remember ``prompt``: a round of the group, or a step of phase 1."""
        return await self._update(agent, prompt, context)

    async def update_voting_memory(
        self, agent: ParticipantAgent, voting_results: str, context: MemoryContext
    ) -> MemoryUpdate:
        """Remember what a vote brought."""
        return await self._update(agent, voting_results, context)

    async def update_results_memory(
        self, agent: ParticipantAgent, final_results: str, context: MemoryContext
    ) -> MemoryUpdate:
        """Remember what was paid."""
        return await self._update(agent, final_results, context)

    def truncate_content(self, content: str, max_length: int) -> str:
        """``content`` in so many characters: its first sentences, and a mark when more followed."""
        return beginning(clean(content), max_length)

    async def _update(self, agent: ParticipantAgent, happened: str, context: MemoryContext) -> MemoryUpdate:
        before = agent.memory
        event = without_scaffold(clean(happened), _marks(agent))
        if not event:
            return MemoryUpdate(agent.name, before, "skipped")
        purpose = f"memory/{context.event.value}" + (f"/{context.label}" if context.label else "")
        key = StepKey(context.phase, context.round, agent.name, purpose)
        steps: tuple[str, ...] = ()
        memory, route = None, "simple"
        if rewritten(context.event, self._config):
            memory, steps = await self._rewrite(agent, event, context, key)
            route = "complex" if memory is not None else "kept"
        memory, compressed = await self._fitted(agent, before, event, memory, key)
        if agent.memory != before:
            raise RuntimeError(f"The memory of {agent.name} was updated twice at once, at {key.path}.")
        agent.memory = memory
        return MemoryUpdate(agent.name, memory, "compressed" if compressed else route, steps)

    async def _rewrite(
        self, agent: ParticipantAgent, event: str, context: MemoryContext, key: StepKey
    ) -> tuple[str | None, tuple[str, ...]]:
        """What the agent makes of its memory; ``None`` when none of its answers was a memory."""
        settings, text, limit = self._config.phase2_settings, agent.text, agent.config.memory_character_limit
        style = text.text(f"memory.style.{self._config.memory_guidance_style}")
        focus = text.text(f"memory.focus.{_focus(context.event)}")
        instruction = text.text(
            "memory.instruction",
            style=style,
            focus=focus,
            limit=max(int(limit * settings.memory_compression_threshold), 1),
        )
        memory_mark, event_mark, end_mark = _marks(agent)
        question = "\n".join(
            (
                memory_mark,
                without_scaffold(agent.memory, _marks(agent)) or text.text("memory.empty"),
                event_mark,
                event,
                end_mark,
                "",
                instruction,
            )
        )
        copied = tuple(line.strip() for line in instruction.splitlines() if len(line.strip()) >= _COPIED)
        heard = await agent.ask(
            key,
            question,
            MemoryReader(limit, (*_marks(agent), *copied), settings.memory_validation_strict),
            tries=settings.max_memory_retries,
            timeout=float(settings.statement_timeout_seconds),
            memory=False,
        )
        return heard.value, heard.steps

    async def _fitted(
        self, agent: ParticipantAgent, before: str, event: str, rewritten: str | None, key: StepKey
    ) -> tuple[str, bool]:
        """The new memory within its limit, and whether it was compressed."""
        limit = agent.config.memory_character_limit
        whole = rewritten if rewritten is not None else "\n".join(part for part in (before, event) if part)
        if len(whole) > limit * self._config.phase2_settings.memory_compression_threshold:
            shorter = await self._compressed(agent, whole, limit, key)
            if shorter is not None:
                return shorter, True
        return (rewritten if rewritten is not None else appended(before, event, limit)), False

    async def _compressed(self, agent: ParticipantAgent, memory: str, limit: int, key: StepKey) -> str | None:
        # To half of the limit: else it would have to be done again at the next event.
        shorter = await self._utility.compress(key.part("compress"), memory, max(limit // 2, 1))
        if shorter is None:
            return None
        try:
            return MemoryReader(limit, (*_marks(agent), *_NOTES), strict=False).read(shorter)
        except UnreadableError:
            return None


#: Between which the utility agent is shown a memory.
_NOTES = ("<notes>", "</notes>")
#: Characters from which on a line of the instruction is told from words that an agent may use itself.
_COPIED = 25


def _marks(agent: ParticipantAgent) -> tuple[str, str, str]:
    """Between which a memory and an event stand in the question."""
    text = agent.text
    return text.text("memory.mark.memory"), text.text("memory.mark.event"), text.text("memory.mark.end")


def _focus(event: MemoryEvent) -> str:
    return event.value if event in REWRITTEN["moderate"] else "other"
