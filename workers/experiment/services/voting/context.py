"""What an agent has before its eyes when it is asked about a vote: short, and no part of its memory."""

from __future__ import annotations

import re
from collections.abc import Sequence

from shared.schemas.experiment.terms import Principle
from workers.experiment.agents.participant import ParticipantAgent
from workers.experiment.languages.manager import LanguageManager
from workers.experiment.services.protocols import DiscussionState

#: Characters that a statement is given however many there are.
LEAST_STATEMENT = 200
#: Characters of an agent's own reasoning.
REASONING = 300

_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’»)]*(?=\s|$)|[。！？]+[”’」』）]*")


def discussed(
    agent: ParticipantAgent, agents: Sequence[ParticipantAgent], state: DiscussionState, length: int
) -> str:
    """What was said in the round, in the configuration's order, each statement in whole sentences.

    ``length`` characters are shared out among those who spoke (``voting_context_length``).
    """
    spoken = [state.statements[other.name] for other in agents if other.name in state.statements]
    if not spoken:
        return agent.text.text("voting.context.silence", round=state.round)
    room = max(length // len(spoken), LEAST_STATEMENT)
    lines = [agent.text.text("voting.context.heading", round=state.round)]
    lines += [
        agent.text.text("voting.context.statement", name=said.agent, statement=clipped(said.public, room))
        for said in spoken
    ]
    return "\n".join(lines)


def own_words(agent: ParticipantAgent, state: DiscussionState, length: int) -> str:
    """What the agent itself said and thought last, as far as the round has it, in ``length`` characters."""
    said = state.statements.get(agent.name)
    if said is None:
        return agent.text.text("voting.own.nothing")
    words = agent.text.text("voting.own.statement", statement=clipped(said.public, length))
    if said.reasoning:
        reasoning = agent.text.text("voting.own.reasoning", reasoning=clipped(said.reasoning, REASONING))
        words = f"{words}\n{reasoning}"
    return words


def numbered(text: LanguageManager, agenda: Sequence[Principle]) -> str:
    """The agenda in its order, one principle a line, with the number that a ballot takes."""
    return "\n".join(
        text.text("voting.ballot.option", number=principle.number, principle=text.principle(principle))
        for principle in agenda
    )


def clipped(words: str, limit: int) -> str:
    """``words`` in one line of at most ``limit`` characters.

    It ends after a sentence where that keeps at least half of what there is room for, else after a word.
    """
    line = " ".join(words.split())
    if len(line) <= limit:
        return line
    ends = [match.end() for match in _SENTENCE_END.finditer(line) if match.end() <= limit - 2]
    if ends and ends[-1] >= limit // 2:
        return f"{line[: ends[-1]]} …"
    space = line.rfind(" ", 0, limit - 1)
    return f"{line[: space if space > 0 else limit - 2]} …"
