"""The voting service: when a vote is called, who takes part, the secret ballot, what it decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.schemas.events import EventType
from workers.experiment.agents.participant import ParticipantAgent
from workers.experiment.errors import VotingTimeoutError
from workers.experiment.languages.manager import LanguageManager
from workers.experiment.records import Ballot, Choice, Consensus, VoteRound
from workers.experiment.services.protocols import DiscussionState
from workers.experiment.services.voting.announcement import own_account, public_account
from workers.experiment.services.voting.ballot import Box
from workers.experiment.services.voting.confirmation import Confirmation, RollCall
from workers.experiment.services.voting.consensus import Rule, count, decided
from workers.experiment.services.voting.initiation import Initiation, Poll
from workers.experiment.steps.journal import Journal
from workers.experiment.steps.key import StepKey

if TYPE_CHECKING:
    from shared.schemas.experiment.config import ExperimentConfig


class VotingService:
    """How a group decides; made once for a run, and without a state of its own.

    A vote takes three steps. Somebody calls it; everybody confirms that they vote now; everybody votes, all
    at once and in secret. What agents answer is read strictly, and asked for again with a quote of what was
    wrong; what cannot be read in the end is a no to calling a vote, keeps a vote from being confirmed without
    being a no, and is an abstention in a ballot.

    Args:
        config: of the run.
        agents: all of them, in the configuration's order.
        journal: of the run.
        text: in the group's language, for what the public history says.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        agents: Sequence[ParticipantAgent],
        journal: Journal,
        text: LanguageManager,
    ) -> None:
        self._config = config
        self._agents = tuple(agents)
        self._journal = journal
        self._text = text
        self._poll = Poll(config, self._agents, journal)
        self._roll_call = RollCall(config, self._agents)
        self._box = Box(config, self._agents)

    def should_initiate_voting(self, state: DiscussionState) -> bool:
        """Whether a vote may follow this round: agents are asked whether to vote, or the ballot is forced.

        Never where the principle is imposed, and not before ``minimum_rounds`` have ended.
        """
        if self._config.imposed is not None:
            return False
        return self._forced(state) or state.round >= self._config.minimum_rounds

    async def initiate_voting(self, state: DiscussionState) -> Initiation:
        """Find out whether an agent calls a vote, and tell it."""
        initiation = await self._poll.hold(state)
        self._journal.emit(
            _path(state, "vote/initiation"),
            EventType.VOTE_INITIATION,
            {
                "round": state.round,
                "initiator": initiation.initiator,
                "asked": [answer.agent for answer in initiation.answers],
            },
        )
        return initiation

    async def coordinate_voting_confirmation(
        self,
        agents: Sequence[ParticipantAgent],
        state: DiscussionState,
        *,
        initiator: str | None = None,
        timeout: float | None = None,
    ) -> Confirmation:
        """Ask all ``agents`` but the initiator whether they vote now, and tell what they said.

        Args:
            agents: in the order in which the answers are told.
            state: what was discussed.
            initiator: who called the vote, and is taken at its word.
            timeout: seconds of each answer; ``None``: ``confirmation_timeout_seconds``.
        """
        confirmation = await self._roll_call.hold(agents, state, initiator, timeout)
        for answer in confirmation.answers:
            self._journal.emit(
                StepKey(2, state.round, answer.agent, "vote/confirmation").path,
                EventType.VOTE_CONFIRMATION,
                {"round": state.round, "agent": answer.agent, "agrees": answer.agrees},
            )
        return confirmation

    async def coordinate_secret_ballot(
        self, agents: Sequence[ParticipantAgent], state: DiscussionState
    ) -> tuple[Ballot, ...]:
        """The ballots of ``agents``, in their order, all asked for at once.

        Raises:
            VotingTimeoutError: nobody answered in time.
        """
        ballots = await self._box.collect(agents, state)
        if ballots and all(ballot.abstention == "timed_out" for ballot in ballots):
            raise VotingTimeoutError(ballots)
        return ballots

    def validate_consensus(self, votes: Sequence[Ballot], required_consensus: str | None = None) -> Consensus:
        """What the ballots come to; see :func:`~workers.experiment.services.voting.consensus.count`.

        An agent of the run without a ballot among ``votes`` is an abstention.

        Args:
            votes: at most one of each agent.
            required_consensus: ``unanimity`` or ``majority``; ``None``: the configuration's.

        Raises:
            ValueError: another rule, a ballot of nobody, two of one agent, or one that no ballot can be.
        """
        names = {agent.name for agent in self._agents}
        voters = [ballot.agent for ballot in votes]
        for name in voters:
            if name not in names:
                raise ValueError(f"There is a ballot of {name!r}, who is no agent of this run.")
            if voters.count(name) > 1:
                raise ValueError(f"There are {voters.count(name)} ballots of {name!r}.")
        return count(
            votes,
            agents=len(names),
            rule=Rule(required_consensus or self._config.decision_rule),
            tolerance=self._config.phase2_settings.constraint_tolerance,
        )

    def require_consensus(self, votes: Sequence[Ballot], required_consensus: str | None = None) -> Choice:
        """What the ballots decide.

        Raises:
            ConsensusFailureError: nothing.
            ValueError: as :meth:`validate_consensus`.
        """
        return decided(self.validate_consensus(votes, required_consensus))

    async def coordinate_voting(self, state: DiscussionState) -> VoteRound:
        """Initiation, confirmation and ballot, as far as they go; a forced ballot needs the last alone.

        When nobody answers the ballot in time, everybody has abstained: the vote has failed, and is kept.
        """
        if not self.should_initiate_voting(state):
            return VoteRound(round=state.round, trigger="none")
        if self._forced(state):
            forced, outcome = await self._vote(state)
            return VoteRound(round=state.round, trigger="forced", ballots=forced, consensus=outcome)
        initiation = await self.initiate_voting(state)
        if initiation.initiator is None:
            return VoteRound(round=state.round, trigger="none", initiations=initiation.answers)
        confirmation = await self.coordinate_voting_confirmation(
            self._agents, state, initiator=initiation.initiator
        )
        ballots: tuple[Ballot, ...] = ()
        consensus: Consensus | None = None
        if confirmation.confirmed:
            ballots, consensus = await self._vote(state)
        return VoteRound(
            round=state.round,
            trigger="initiated",
            initiations=initiation.answers,
            initiator=initiation.initiator,
            confirmations=confirmation.answers,
            confirmed=confirmation.confirmed,
            ballots=ballots,
            consensus=consensus,
        )

    def announce(self, vote: VoteRound) -> str | None:
        """What the public history says of a vote; ``None`` when nobody called one."""
        return public_account(vote, self._text, majority=self._majority)

    def recollection(self, agent: ParticipantAgent, vote: VoteRound) -> str | None:
        """What ``agent`` may remember of a vote; ``None`` when it was neither asked nor told anything."""
        return own_account(agent, vote, majority=self._majority)

    @property
    def _majority(self) -> bool:
        return self._config.decision_rule == Rule.MAJORITY.value

    def _forced(self, state: DiscussionState) -> bool:
        return state.last_round and self._config.forced_ballot_last_round

    async def _vote(self, state: DiscussionState) -> tuple[tuple[Ballot, ...], Consensus]:
        try:
            ballots = await self.coordinate_secret_ballot(self._agents, state)
        except VotingTimeoutError as error:
            ballots = error.ballots
        consensus = self.validate_consensus(ballots)
        choice = consensus.choice
        self._journal.emit(
            _path(state, "ballot/result"),
            EventType.BALLOT_RESULT,
            {
                "round": state.round,
                "reached": consensus.reached,
                "principle": None if choice is None else choice.principle.value,
                "amount": None if choice is None else choice.amount,
                "disagreement": None if consensus.disagreement is None else consensus.disagreement.value,
                "counts": {principle.value: votes for principle, votes in consensus.counts.items()},
                "abstentions": consensus.abstentions,
            },
        )
        return ballots, consensus


def _path(state: DiscussionState, purpose: str) -> str:
    return StepKey(2, state.round, None, purpose).path
