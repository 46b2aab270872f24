"""What ballots come to, under each decision rule."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from shared.schemas.experiment.terms import Principle
from workers.experiment.errors import ConsensusFailureError
from workers.experiment.records import Ballot, Choice, Consensus, Disagreement


class Rule(StrEnum):
    """How ballots make a decision."""

    #: Everybody votes, for the same principle, and the amounts lie within the tolerance.
    UNANIMITY = "unanimity"
    #: More than half of all agents, those who abstained included, vote for the same principle.
    MAJORITY = "majority"


def count(ballots: Sequence[Ballot], *, agents: int, rule: Rule, tolerance: float = 0) -> Consensus:
    """What ``ballots`` come to.

    An agent without a ballot, and a ballot without a choice, is an abstention: it never agrees, counts among
    all agents, and takes nothing away from what the others voted for.

    Under unanimity the amounts of a constrained principle must lie within ``tolerance`` of each other, and
    the agreed amount is their median (of an even number the lower middle one). Under majority the amounts
    decide nothing but themselves: the amount is the median of those who voted for the winner, whatever the
    tolerance. Never more than half of them would have it higher than the median, nor more than half lower:
    no majority would replace it, so it is what a second vote on the number would come to.

    Args:
        ballots: at most one of each agent.
        agents: how many there are in the group.
        rule: when it is decided.
        tolerance: dollars that the highest and the lowest amount may differ by under unanimity.

    Raises:
        ValueError: more ballots than agents; a constrained principle without an amount, or an amount where
            there is no constraint.
    """
    if len(ballots) > agents:
        raise ValueError(f"There are {len(ballots)} ballots of {agents} agents.")
    votes: dict[Principle, list[Choice]] = {}
    for ballot in ballots:
        if ballot.choice is not None:
            votes.setdefault(ballot.choice.principle, []).append(_sound(ballot.agent, ballot.choice))
    counts = {principle: len(votes[principle]) for principle in Principle if principle in votes}
    abstentions = agents - sum(counts.values())
    winner = next((principle for principle, votes_for in counts.items() if votes_for * 2 > agents), None)
    apart = [p for p in counts if rule is Rule.UNANIMITY and _spread(votes[p]) > tolerance]
    if rule is Rule.UNANIMITY and (apart or (winner is not None and counts[winner] < agents)):
        winner = None
    if winner is not None:
        choice = Choice(winner, _median(votes[winner]) if winner.constrained else None)
        return Consensus(reached=True, choice=choice, counts=counts, abstentions=abstentions)
    disagreement, detail = _disagreement(votes, apart)
    return Consensus(
        reached=False,
        choice=None,
        counts=counts,
        abstentions=abstentions,
        disagreement=disagreement,
        detail=detail,
    )


def decided(consensus: Consensus) -> Choice:
    """What was decided.

    Raises:
        ConsensusFailureError: nothing was.
    """
    if consensus.choice is not None:
        return consensus.choice
    disagreement = consensus.disagreement or Disagreement.FAILED
    raise ConsensusFailureError(
        disagreement.value if consensus.detail is None else f"{disagreement.value}:{consensus.detail}"
    )


def _sound(agent: str, choice: Choice) -> Choice:
    if choice.principle.constrained and choice.amount is None:
        raise ValueError(f"The ballot of {agent} is for {choice.principle.value} and has no amount.")
    if not choice.principle.constrained and choice.amount is not None:
        raise ValueError(f"The ballot of {agent} has an amount, and {choice.principle.value} takes none.")
    return choice


def _disagreement(
    votes: dict[Principle, list[Choice]], apart: list[Principle]
) -> tuple[Disagreement, str | None]:
    """Of those who voted; when they all agree, it was the abstentions that were in the way."""
    if len(votes) > 1:
        return (Disagreement.MIXED if apart else Disagreement.PRINCIPLE), None
    if apart:
        amounts = ",".join(str(amount) for amount in _amounts(votes[apart[0]]))
        return Disagreement.CONSTRAINT, f"{apart[0].value}:{amounts}"
    return Disagreement.FAILED, None


def _amounts(choices: Sequence[Choice]) -> list[int]:
    return sorted(choice.amount for choice in choices if choice.amount is not None)


def _spread(choices: Sequence[Choice]) -> int:
    amounts = _amounts(choices)
    return amounts[-1] - amounts[0] if amounts else 0


def _median(choices: Sequence[Choice]) -> int:
    amounts = _amounts(choices)
    return amounts[(len(amounts) - 1) // 2]
