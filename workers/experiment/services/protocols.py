"""What the phases ask of each service: who writes a service of their own keeps to these."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from shared.schemas.experiment.terms import Principle
from workers.experiment.agents.participant import ParticipantAgent
from workers.experiment.history import PublicHistory
from workers.experiment.languages.manager import LanguageManager
from workers.experiment.principles.distribution import DistributionSet
from workers.experiment.records import (
    Ballot,
    Choice,
    Consensus,
    DiscussionRound,
    Earning,
    GroupOutcome,
    ManipulationRecord,
    Phase1Record,
    Ranking,
    RankingRecord,
    Statement,
    VoteRound,
)

if TYPE_CHECKING:
    from workers.experiment.services.voting.confirmation import Confirmation
    from workers.experiment.services.voting.initiation import Initiation


class MemoryEvent(StrEnum):
    """What a memory is updated with: by its agent, or by appending it (``memory_update_threshold``)."""

    VOTE_INITIATION = "vote_initiation"
    VOTE_CONFIRMATION = "vote_confirmation"
    BALLOT = "ballot"
    RANKING = "ranking"
    EXPLANATION = "explanation"
    COMPREHENSION = "comprehension"
    APPLICATION = "application"
    DISCUSSION = "discussion"
    PHASE_TRANSITION = "phase_transition"
    RESULTS = "results"


@dataclass(frozen=True, slots=True)
class MemoryContext:
    """Where a memory update stands: the phase, its round, and what happened."""

    phase: int
    round: int | None
    event: MemoryEvent
    #: Tells two updates of one round and event apart.
    label: str = ""


@dataclass(frozen=True, slots=True)
class MemoryUpdate:
    """What came of an update.

    Attributes:
        route: ``simple`` (appended), ``complex`` (rewritten by the agent), ``kept`` (what the agent wrote was
            no memory: appended instead), ``compressed`` (shortened by the utility agent), ``skipped`` (there
            was nothing to remember).
    """

    agent: str
    memory: str
    route: str
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscussionState:
    """What a vote starts from.

    Attributes:
        round: the number of the round that was discussed.
        last_round: whether no round follows.
        history: the public history so far.
        agenda: what may be voted for, in the order of the ballot's numbers.
        statements: of this round, by agent.
    """

    round: int
    last_round: bool
    history: PublicHistory
    agenda: tuple[Principle, ...]
    statements: Mapping[str, Statement]


class SpeakingOrderProtocol(Protocol):
    """Who speaks when."""

    def determine_speaking_order(
        self,
        agents: Sequence[str],
        previous_speakers: Sequence[Sequence[str]],
        strategy: str | None = None,
        *,
        finished: frozenset[str] = frozenset(),
    ) -> tuple[str, ...]:
        """The order of the next round, after rounds with the orders ``previous_speakers``."""

    def apply_finisher_restrictions(
        self, agents: Sequence[str], finished_agents: frozenset[str]
    ) -> tuple[str, ...]:
        """``agents`` without those that have finished, where the configuration keeps them silent."""

    def get_next_speaker(
        self,
        available_agents: Sequence[str],
        strategy: str | None = None,
        *,
        spoken: Sequence[str] = (),
        previous_speakers: Sequence[Sequence[str]] = (),
    ) -> str:
        """The next of those who have not spoken in this round, after ``spoken``."""


@dataclass(frozen=True, slots=True)
class StatementValidation:
    """Whether a statement will do; ``code`` is ``reading.<code>`` of what is wrong."""

    valid: bool
    code: str | None = None


class DiscussionProtocol(Protocol):
    """How the group talks."""

    def build_discussion_prompt(
        self, round_num: int, speaking_agent: ParticipantAgent, history: PublicHistory
    ) -> str:
        """What the speaker is asked."""

    def validate_statement(self, statement: str, language_manager: LanguageManager) -> StatementValidation:
        """Whether it says enough."""

    def manage_discussion_history_length(
        self, history: PublicHistory, max_length: int, *, reader: str | None = None
    ) -> str:
        """The history as a prompt can hold it: whole entries, the newest and the votes' outcomes first.

        ``reader`` sees its own private reasoning in it, where the configuration says so.
        """

    def format_group_composition(self, agents: Sequence[str], language_manager: LanguageManager) -> str:
        """Who is in the group, in words."""

    async def conduct_round(
        self,
        number: int,
        order: Sequence[ParticipantAgent],
        history: PublicHistory,
        *,
        reminders: Mapping[str, str] | None = None,
        said: Callable[[Statement], None] | None = None,
    ) -> tuple[Statement, ...]:
        """Have every agent of ``order`` speak; their statements are appended to ``history``.

        Args:
            number: of the round.
            order: who speaks, in turn.
            history: of the group.
            reminders: by agent: what it is told before it thinks, and nobody else.
            said: is told each statement as soon as it was made.
        """


class VotingProtocol(Protocol):
    """How the group decides."""

    def should_initiate_voting(self, state: DiscussionState) -> bool:
        """Whether the agents are asked for a vote after this round."""

    async def initiate_voting(self, state: DiscussionState) -> Initiation:
        """Find out who calls a vote, if anybody does."""

    async def coordinate_voting_confirmation(
        self,
        agents: Sequence[ParticipantAgent],
        state: DiscussionState,
        *,
        initiator: str | None = None,
        timeout: float | None = None,
    ) -> Confirmation:
        """Whether everybody takes part; ``timeout`` is in seconds, ``None`` the configuration's."""

    async def coordinate_voting(self, state: DiscussionState) -> VoteRound:
        """Initiation, confirmation and ballot, as far as they go."""

    async def coordinate_secret_ballot(
        self, agents: Sequence[ParticipantAgent], state: DiscussionState
    ) -> tuple[Ballot, ...]:
        """Everybody's ballot, all at once.

        Raises:
            VotingTimeoutError: nobody answered in time.
        """

    def validate_consensus(self, votes: Sequence[Ballot], required_consensus: str | None = None) -> Consensus:
        """What the ballots come to under ``unanimity`` or ``majority`` of all; default: as configured."""

    def announce(self, vote: VoteRound) -> str | None:
        """What the public history says of a vote, in the group's language: never who voted for what.

        ``None`` when nobody called one: nothing happened that the group would know of.
        """

    def recollection(self, agent: ParticipantAgent, vote: VoteRound) -> str | None:
        """What ``agent`` may remember of a vote, in its language: its own answers and the public outcome.

        ``None`` when it was neither asked nor told anything.
        """


class MemoryProtocol(Protocol):
    """What agents remember. Each method also sets the agent's memory."""

    async def update_discussion_memory(
        self, agent: ParticipantAgent, prompt: str, context: MemoryContext
    ) -> MemoryUpdate:
        """``prompt`` tells what happened: of phase 1 as well."""

    async def update_voting_memory(
        self, agent: ParticipantAgent, voting_results: str, context: MemoryContext
    ) -> MemoryUpdate:
        """What the vote brought."""

    async def update_results_memory(
        self, agent: ParticipantAgent, final_results: str, context: MemoryContext
    ) -> MemoryUpdate:
        """What was paid."""

    def truncate_content(self, content: str, max_length: int) -> str:
        """``content`` in so many characters, without a cut sentence."""


class CounterfactualsProtocol(Protocol):
    """What was earned, and what would have been."""

    def format_detailed_results(
        self, agent: ParticipantAgent, outcome: GroupOutcome, agents: Sequence[ParticipantAgent]
    ) -> str:
        """What an agent is told of the results, as openly as the configuration says."""

    async def collect_final_rankings(
        self, agents: Sequence[ParticipantAgent], results: Mapping[str, str]
    ) -> Mapping[str, RankingRecord]:
        """Everybody's last ranking, all at once."""

    def generate_counterfactual_analysis(self, actual_results: GroupOutcome) -> Mapping[str, Any]:
        """Each agent's best and worst alternative, and every distinct floor and range tested."""


class PayoffsProtocol(Protocol):
    """The money of a run; it never degrades."""

    def explanation_set(self) -> DistributionSet:
        """What explains the principles."""

    def phase_1_set(self, agent: str, round_number: int) -> DistributionSet:
        """What the agent chooses from in a paid round."""

    def phase_1_earning(self, agent: str, round_number: int, choice: Choice) -> Earning:
        """What a choice of phase 1 earns: the class is drawn by the journal."""

    def group_earnings(self, agents: Sequence[str], choice: Choice | None, decided_by: str) -> GroupOutcome:
        """What the group's decision earns each agent; without one the distributions are drawn."""

    def group_set(self, earning: Earning) -> DistributionSet:
        """The distributions that an earning of the group was picked or drawn from."""


class ManipulatorProtocol(Protocol):
    """The hidden treatment of one agent."""

    def should_intervene(self, round_num: int, discussion_state: DiscussionState | None) -> bool:
        """Whether the agent is prompted in this round."""

    @property
    def agent(self) -> str | None:
        """Who is manipulated, if anybody."""

    def generate_manipulation_prompt(self, round_num: int) -> str:
        """What it is told."""

    def intervene(self, round_num: int, discussion_state: DiscussionState | None) -> str | None:
        """Put the prompt before the agent's role where one is due, and take it away where it is not.

        What the agent is reminded of before it thinks; ``None`` when there is nothing to be reminded of.
        """

    def withdraw(self) -> None:
        """Take the prompt away: from now on the agent is what it was."""

    def conclude(self) -> None:
        """The discussion is over: take away what was told for its rounds only."""

    def track_manipulation_effects(
        self, before_state: Mapping[str, Ranking], after_state: Mapping[str, Ranking]
    ) -> Mapping[str, object]:
        """How rankings moved."""

    def prepare(self, phase_1: Sequence[Phase1Record]) -> None:
        """Choose the target, before the group meets."""

    def record(
        self, rounds: Sequence[DiscussionRound], final_rankings: Mapping[str, RankingRecord]
    ) -> ManipulationRecord | None:
        """What was done and what it moved; ``None`` when nobody is manipulated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """What rankings add up to under one method; ``winner`` is ``None`` when a tie was to be reported."""

    method: str
    scores: Mapping[Principle, int]
    winner: Principle | None
    tied: tuple[Principle, ...]
    tiebreak_applied: bool


class PreferenceAggregationProtocol(Protocol):
    """What a group prefers."""

    def aggregate_preferences(self, votes: Mapping[str, Ranking], aggregation_method: str) -> Aggregate:
        """The group's order under ``borda``, ``plurality``, ``condorcet``, ``instant_runoff`` or others."""

    def break_ties(self, tied_options: Sequence[Principle], tie_breaker: str) -> Principle | None:
        """One of them, by ``order``, by ``seed``, or ``None`` for ``report``."""
