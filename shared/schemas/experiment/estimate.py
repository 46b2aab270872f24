"""How many model calls a run takes, counted from its configuration."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from shared.schemas.experiment.config import ExperimentConfig

#: Steps of phase 1 that every agent goes through: three rankings, the explanation, four paid choices.
PHASE_1_STEPS = 8
#: Sittings of the comprehension test at most.
SITTINGS = 2


@dataclass(frozen=True, slots=True)
class CallEstimate:
    """Model calls of a run, of all agents and the utility agent together.

    Every number supposes that each answer can be read at the first try. What comes on top is bounded by the
    configuration: tries after unreadable answers and time-outs (``max_…_retries``), their classification by
    the utility model, corrections of amounts, memories that outgrow their limit and are compressed.

    Attributes:
        phase_1: of phase 1, when every agent passes the comprehension test at once.
        per_round: of a round of phase 2 in which everybody speaks, everybody is asked whether to vote, and
            nobody wants to.
        minimum: of the shortest course: the vote in the first round that permits one succeeds, at the first
            agent that is asked, for a principle without an amount; or, where that takes fewer, no vote is
            called at all.
        expected: of a course in the middle: the group decides in the round halfway between the first that
            permits a vote and the last, for a principle with an amount; until then everybody is asked and
            nobody wants to vote.
        maximum: of the longest course: every agent sits the comprehension test twice; every round that
            permits it has a vote that the last agent asked calls, that all confirm, in which all name an
            amount, and that decides nothing before the last round.
    """

    phase_1: int
    per_round: int
    minimum: int
    expected: int
    maximum: int


class _Vote(Enum):
    """What happens after a round that permits a vote."""

    #: Everybody is asked, nobody wants to.
    UNWANTED = "unwanted"
    #: Called by the first who is asked; ballots without amounts.
    BRIEF = "brief"
    #: Called by the last who is asked; ballots with amounts.
    FULL = "full"


def expected_calls(config: ExperimentConfig) -> CallEstimate:
    """The calls of a run with ``config``; see :class:`CallEstimate` for what each number supposes."""
    count = _Count(config)
    phase_1 = count.phase_1(sittings=1)
    longest = count.phase_1(sittings=SITTINGS)
    if config.imposed is not None:
        return CallEstimate(phase_1, 0, phase_1 + count.end, phase_1 + count.end, longest + count.end)
    first, last = config.minimum_rounds, config.phase2_rounds
    halfway = (first + last + 1) // 2
    decided = count.phase_2(first, decided=_Vote.BRIEF)
    undecided = count.phase_2(last, decided=_Vote.UNWANTED)
    return CallEstimate(
        phase_1=phase_1,
        per_round=count.talk + count.vote(_Vote.UNWANTED, forced=False),
        minimum=phase_1 + min(decided, undecided),
        expected=phase_1 + count.phase_2(halfway, decided=_Vote.FULL),
        maximum=longest + count.phase_2(last, before=_Vote.FULL, decided=_Vote.FULL),
    )


class _Count:
    """The calls of each part of a run."""

    def __init__(self, config: ExperimentConfig) -> None:
        self._config = config
        self._settings = config.phase2_settings
        self._agents = len(config.agents)
        every = not config.selective_memory_updates
        threshold = config.memory_update_threshold
        #: Whether agents rewrite their memory (one call) after a step of phase 1, and after a vote. After a
        #: round, on the way into the group, and after the results they always do.
        self._rewrites_alone = every or threshold != "minimal"
        self._rewrites_votes = every or threshold == "comprehensive"

    def phase_1(self, *, sittings: int) -> int:
        """Everybody's steps alone, each followed by a memory update."""
        steps = PHASE_1_STEPS + (sittings if self._config.comprehension_test else 0)
        return self._agents * steps * (2 if self._rewrites_alone else 1)

    @property
    def talk(self) -> int:
        """One round of discussion: thoughts, statements, what they speak for, everybody's memory."""
        thinking = sum(agent.reasoning_enabled for agent in self._config.agents)
        return (thinking if self._settings.reasoning_enabled else 0) + 3 * self._agents

    @property
    def end(self) -> int:
        """Everybody's memory of the results, and the last ranking."""
        return 2 * self._agents

    def phase_2(self, rounds: int, *, decided: _Vote, before: _Vote = _Vote.UNWANTED) -> int:
        """A group that meets, talks for so many rounds, ends with the vote ``decided``, and is paid."""
        config, meeting = self._config, self._agents
        votes = max(rounds - config.minimum_rounds, 0) * self.vote(before, forced=False)
        forced = config.forced_ballot_last_round and rounds == config.phase2_rounds
        return meeting + rounds * self.talk + votes + self.vote(decided, forced=forced) + self.end

    def vote(self, vote: _Vote, *, forced: bool) -> int:
        """Asking for a vote, confirming and holding it, and what is remembered of that."""
        agents = self._agents
        asked = agents if self._settings.prompt_based_voting else 0
        remembered = agents if self._rewrites_votes else 0
        ballots = agents if vote is not _Vote.FULL else agents * self._stages
        if forced:
            return ballots + remembered
        if vote is _Vote.UNWANTED:
            return asked + remembered
        if vote is _Vote.BRIEF and self._config.initiation == "first_yes":
            asked = min(asked, 1)
        return asked + (agents - 1) + ballots + remembered

    @property
    def _stages(self) -> int:
        """Questions of a ballot with an amount."""
        return 2 if self._settings.two_stage_voting_enabled else 1
