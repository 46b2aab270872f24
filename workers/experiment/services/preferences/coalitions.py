"""Who votes with whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from shared.schemas.experiment.terms import Principle
from workers.experiment.records import Choice


@dataclass(frozen=True, slots=True)
class Coalition:
    """Agents that want the same principle.

    Attributes:
        members: in the order of the votes.
        choices: what they want of it: one choice, when they agree on the amount, too.
    """

    principle: Principle
    members: tuple[str, ...]
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusAnalysis:
    """How near votes are to a decision.

    Attributes:
        reached: whether one choice, amount included, has the share that is asked for.
        choice: the one that most vote for; ``None`` when several do, or nobody votes.
        share: of all agents, abstentions included, that vote for the most voted choice.
        abstentions: who did not vote.
        coalitions: by principle, the largest first, of equals in the principles' order.
    """

    reached: bool
    choice: Choice | None
    share: Fraction
    abstentions: tuple[str, ...]
    coalitions: tuple[Coalition, ...]


def coalitions(votes: Mapping[str, Choice | None]) -> tuple[Coalition, ...]:
    """Who votes for the same principle, the largest coalition first, of equals in the principles' order."""
    found = []
    for principle in Principle:
        same = {
            agent: choice
            for agent, choice in votes.items()
            if choice is not None and choice.principle is principle
        }
        if same:
            found.append(Coalition(principle, tuple(same), tuple(dict.fromkeys(same.values()))))
    return tuple(sorted(found, key=lambda coalition: -len(coalition.members)))


def detect_consensus(votes: Mapping[str, Choice | None], threshold: Fraction) -> ConsensusAnalysis:
    """Whether one choice has at least ``threshold`` of all agents.

    Raises:
        ValueError: nobody is asked, or the threshold is no share above 0.
    """
    if not votes:
        raise ValueError("votes: there are none to look at")
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold: a share above 0 and up to 1 is needed, not {threshold}")
    counts: dict[Choice, int] = {}
    for choice in votes.values():
        if choice is not None:
            counts[choice] = counts.get(choice, 0) + 1
    most = max(counts.values(), default=0)
    leading = [choice for choice, count in counts.items() if count == most]
    share = Fraction(most, len(votes))
    return ConsensusAnalysis(
        reached=len(leading) == 1 and share >= threshold,
        choice=leading[0] if len(leading) == 1 else None,
        share=share,
        abstentions=tuple(agent for agent, choice in votes.items() if choice is None),
        coalitions=coalitions(votes),
    )
