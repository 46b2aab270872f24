"""What happened in a run: the values that phases hand on and that the result is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from shared.schemas.experiment.terms import Certainty, IncomeClass, Principle


@dataclass(frozen=True, slots=True)
class Choice:
    """A principle and, where it needs one, its amount in whole dollars a year."""

    principle: Principle
    amount: int | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """A strict order of the four principles, best first, and how sure the agent is of it."""

    order: tuple[Principle, ...]
    certainty: Certainty | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What every recorded answer of an agent carries.

    Attributes:
        agent: who.
        text: the raw answer that counted, or the last one that was given.
        memory: the agent's memory when it was asked.
        balance: what it had earned by then, in dollars.
        steps: the paths of the steps that led to it, in order.
        warnings: what was wrong with the answers before, by the readers' codes; ``timed_out``, ``refused``.
    """

    agent: str
    text: str = ""
    memory: str = ""
    balance: Decimal = Decimal(0)
    steps: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingRecord(Spoken):
    """A ranking at one of the checkpoints; ``ranking`` is ``None`` when no answer could be read."""

    #: ``initial``, ``post_explanation``, ``post_application`` or ``final``.
    checkpoint: str
    ranking: Ranking | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplanationRecord(Spoken):
    """What an agent said to the explanation of the principles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComprehensionRecord(Spoken):
    """One sitting of the comprehension test; ``correct`` has an entry for each question."""

    version: int
    correct: tuple[bool, ...]
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Earning:
    """What an agent was paid, and what the same class would have been paid otherwise.

    Attributes:
        distribution: number of the distribution that the principle picked, or that was drawn, from 1.
        satisfied: whether some distribution met the constraint; ``True`` without one.
        binding: whether the constraint changed what is picked: without it another distribution would win.
        income: of the class there, in dollars a year.
        payoff: in dollars, to the cent.
        counterfactuals: payoff of the same class under each of the four principles.
        amounts: of the constrained ones there: the choice's own, else the upper median of the set's.
        incomes: of all distributions that it was picked or drawn from, each from the high class to the low.
    """

    distribution: int
    satisfied: bool
    binding: bool
    income_class: IncomeClass
    income: int
    payoff: Decimal
    counterfactuals: Mapping[Principle, Decimal]
    amounts: Mapping[Principle, int] = field(default_factory=dict)
    incomes: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationRecord(Spoken):
    """A paid choice of phase 1; without a readable choice nothing is earned."""

    round: int
    choice: Choice | None
    certainty: Certainty | None
    earning: Earning | None
    balance_after: Decimal
    #: The printed consequences that the agent was shown afterwards.
    alternatives: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase1Record:
    """What an agent did alone."""

    agent: str
    initial_ranking: RankingRecord
    explanation: ExplanationRecord
    comprehension: tuple[ComprehensionRecord, ...]
    ranking_2: RankingRecord
    applications: tuple[ApplicationRecord, ...]
    ranking_3: RankingRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement(Spoken):
    """What an agent said to the group.

    Attributes:
        public: what the others read; a neutral line when the agent was quarantined.
        reasoning: what it thought before, for itself.
        quarantined: whether no valid statement was had of it.
        favoured: the principle that the statement speaks for, as the utility agent reads it.
        proposal: a further principle that it puts on the open agenda.
    """

    round: int
    public: str
    reasoning: str | None = None
    quarantined: bool = False
    favoured: Principle | None = None
    proposal: Principle | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InitiationAnswer(Spoken):
    """Whether an agent wants to vote now; an unreadable answer is a no."""

    wants: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmationAnswer(Spoken):
    """Whether an agent takes part in the vote; ``None``: no readable answer, which is no yes.

    The initiator is asked nothing: ``steps`` is empty.
    """

    agrees: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot(Spoken):
    """A secret ballot; ``choice`` is ``None`` for an abstention. ``text`` is the answer on the principle.

    Attributes:
        certainty: as the agent gave it, never assumed.
        amount_text: the raw answer on the amount.
        abstention: why there is no choice: ``unreadable``, ``timed_out``, ``refused``.
    """

    choice: Choice | None
    certainty: Certainty | None = None
    amount_text: str | None = None
    abstention: str | None = None


class Disagreement(StrEnum):
    """What kept a vote from consensus."""

    PRINCIPLE = "principle_disagreement"
    CONSTRAINT = "constraint_disagreement"
    MIXED = "mixed_disagreement"
    FAILED = "voting_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consensus:
    """What a vote came to.

    Attributes:
        reached: whether the decision rule is met.
        choice: what was decided; its amount is the median (of an even number the lower middle one).
        counts: ballots for each principle; abstentions are not in it.
        abstentions: how many.
        disagreement: why not, when it was not reached.
        detail: of a constraint disagreement: ``<principle>:<amounts>``.
    """

    reached: bool
    choice: Choice | None
    counts: Mapping[Principle, int]
    abstentions: int
    disagreement: Disagreement | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteRound:
    """A round's vote, as far as it went.

    Attributes:
        initiator: who called it; ``None`` when nobody did, or the ballot was forced.
        trigger: ``initiated``, ``forced`` or ``none``.
        confirmed: whether everybody agreed to vote; ``None`` when nobody was asked.
        ballots: in the agents' order; empty when no ballot was held.
        consensus: ``None`` when no ballot was held.
    """

    round: int
    trigger: str
    initiations: tuple[InitiationAnswer, ...] = ()
    initiator: str | None = None
    confirmations: tuple[ConfirmationAnswer, ...] = ()
    confirmed: bool | None = None
    ballots: tuple[Ballot, ...] = ()
    consensus: Consensus | None = None

    @property
    def reached(self) -> bool:
        """Whether the group has decided."""
        return self.consensus is not None and self.consensus.reached


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscussionRound:
    """One round of the group: who spoke, and the vote that followed."""

    number: int
    speaking_order: tuple[str, ...]
    statements: tuple[Statement, ...]
    vote: VoteRound


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupOutcome:
    """What the group came to.

    Attributes:
        decided_by: ``consensus``, ``majority``, ``imposed`` or ``none``.
        choice: what was decided, if anything.
        binding: whether its constraint changed what was picked; ``None`` without a decision.
        earnings: by agent, in the configuration's order.
        multiplier: that the base table was scaled by for the group's distributions.
    """

    decided_by: str
    choice: Choice | None
    binding: bool | None
    earnings: Mapping[str, Earning]
    multiplier: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ManipulationRecord:
    """What was done to one agent, and what it moved (see ``ManipulatorService``)."""

    agent: str
    kind: str
    target: Principle | None
    delivered: bool
    rounds: tuple[int, ...]
    scores: Mapping[Principle, int] = field(default_factory=dict)
    tied: tuple[Principle, ...] = ()
    tiebreak_applied: bool = False
    message_length: int = 0
    effects: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase2Record:
    """What the group did."""

    rounds: tuple[DiscussionRound, ...]
    agenda: tuple[Principle, ...]
    outcome: GroupOutcome
    #: What each agent was shown of the results.
    results_shown: Mapping[str, str]
    final_rankings: Mapping[str, RankingRecord]
    manipulation: ManipulationRecord | None
    #: The public history as the agents read it, untruncated.
    public_history: str
    #: Characters of each agent's memory, at the end of phase 1 and after every round.
    memory_growth: Mapping[str, tuple[int, ...]]
