"""The secret ballot: what each agent is asked, and what counts as its vote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from shared.schemas.experiment.terms import Certainty, Principle
from workers.experiment.agents.participant import Heard, ParticipantAgent
from workers.experiment.reading.amount import AmountReader
from workers.experiment.reading.choice import BallotReader, ChoiceReader
from workers.experiment.reading.reader import UnreadableError
from workers.experiment.records import Ballot, Choice
from workers.experiment.services.protocols import DiscussionState
from workers.experiment.services.voting.amounts import Bounds
from workers.experiment.services.voting.context import discussed, numbered
from workers.experiment.steps.key import StepKey
from workers.experiment.together import together

if TYPE_CHECKING:
    from shared.schemas.experiment.config import ExperimentConfig


class Box:
    """Takes the ballots of all agents at once. None of them ever sees another's.

    A ballot is asked for without the agent's memory, whose numbers would find their way into the answer; what
    was said in the round stands in its place.

    Where amounts are corrected, one that is out of bounds or missing is asked for in a question of its own,
    with its own tries and time; where they are not, the bounds are part of how the amount is read.

    Args:
        config: of the run.
        everybody: all agents, in the configuration's order.
    """

    def __init__(self, config: ExperimentConfig, everybody: Sequence[ParticipantAgent]) -> None:
        self._config = config
        self._settings = config.phase2_settings
        self._everybody = everybody
        self._bounds = Bounds.of(config.phase2_settings)
        self._first_bounds = Bounds() if self._settings.constraint_correction_enabled else self._bounds

    async def collect(self, agents: Sequence[ParticipantAgent], state: DiscussionState) -> tuple[Ballot, ...]:
        """The ballot of each of ``agents``, in their order; one that cannot be had is an abstention."""
        ask = self._in_two_stages if self._settings.two_stage_voting_enabled else self._in_one
        return tuple(await together(ask(agent, state) for agent in agents))

    async def _in_two_stages(self, agent: ParticipantAgent, state: DiscussionState) -> Ballot:
        heard = await agent.ask(
            StepKey(2, state.round, agent.name, "ballot/principle"),
            self._question("principle", agent, state),
            BallotReader(state.agenda, agent.text.language),
            tries=self._settings.two_stage_max_retries,
            timeout=float(self._settings.two_stage_timeout_seconds),
            context=discussed(agent, self._everybody, state, self._config.voting_context_length),
            memory=False,
        )
        if heard.value is None:
            return _abstention(agent, heard)
        principle, certainty = heard.value
        if not principle.constrained:
            return _ballot(agent, (heard,), Choice(principle), certainty)
        text = agent.text
        amount = await agent.ask(
            StepKey(2, state.round, agent.name, "ballot/amount"),
            text.text(
                "voting.ballot.amount",
                principle=text.principle(principle),
                meaning=text.text(f"voting.meaning.{principle.value}"),
            ),
            AmountReader(text.language, self._first_bounds.minimum, self._first_bounds.maximum),
            tries=self._settings.two_stage_max_retries,
            timeout=float(self._settings.two_stage_timeout_seconds),
            context=discussed(agent, self._everybody, state, self._config.voting_context_length),
            memory=False,
        )
        return await self._corrected(agent, state, principle, certainty, [heard, amount], amount.value)

    async def _in_one(self, agent: ParticipantAgent, state: DiscussionState) -> Ballot:
        heard = await agent.ask(
            StepKey(2, state.round, agent.name, "ballot/combined"),
            self._question("combined", agent, state),
            ChoiceReader(
                state.agenda,
                agent.text.language,
                self._first_bounds.minimum,
                self._first_bounds.maximum,
                with_certainty=True,
            ),
            tries=self._settings.two_stage_max_retries,
            timeout=float(self._settings.ballot_timeout_seconds),
            context=discussed(agent, self._everybody, state, self._config.voting_context_length),
            memory=False,
        )
        if heard.value is None:
            return await self._without_amount(agent, state, heard)
        choice, certainty = heard.value
        if not choice.principle.constrained:
            return _ballot(agent, (heard,), choice, certainty)
        return await self._corrected(agent, state, choice.principle, certainty, [heard], choice.amount)

    async def _without_amount(
        self, agent: ParticipantAgent, state: DiscussionState, heard: Heard[tuple[Choice, Certainty | None]]
    ) -> Ballot:
        """The ballot of an agent that may have named its principle and nothing that is an amount."""
        if heard.failure in _UNANSWERED:
            return _abstention(agent, heard)
        try:
            principle, certainty = BallotReader(state.agenda, agent.text.language).read(heard.text)
        except UnreadableError:
            return _abstention(agent, heard)
        if not principle.constrained:
            return _abstention(agent, heard)
        return await self._corrected(agent, state, principle, certainty, [heard], None)

    async def _corrected(
        self,
        agent: ParticipantAgent,
        state: DiscussionState,
        principle: Principle,
        certainty: Certainty | None,
        heard: list[Heard[Any]],
        amount: int | None,
    ) -> Ballot:
        """The ballot for a constrained principle, after a correction of its amount where it needs one."""
        text = agent.text
        problem = None if amount is None else self._bounds.problem(amount, text)
        answered = heard[-1].failure not in _UNANSWERED
        wanting = amount is None or problem is not None
        if answered and wanting and self._settings.constraint_correction_enabled:
            correction = await agent.ask(
                StepKey(2, state.round, agent.name, "ballot/amount/correction"),
                text.text(
                    "voting.correction.question",
                    problem=problem or text.text("voting.correction.missing"),
                    principle=text.principle(principle),
                    meaning=text.text(f"voting.meaning.{principle.value}"),
                ),
                AmountReader(text.language, self._bounds.minimum, self._bounds.maximum),
                tries=self._settings.max_constraint_correction_attempts,
                timeout=float(self._settings.constraint_correction_timeout_seconds),
                context=discussed(agent, self._everybody, state, self._config.voting_context_length),
                memory=False,
            )
            heard.append(correction)
            amount = correction.value
        if amount is None:
            return _ballot(agent, heard, None, certainty)
        return _ballot(agent, heard, Choice(principle, amount), certainty)

    def _question(
        self, stage: Literal["principle", "combined"], agent: ParticipantAgent, state: DiscussionState
    ) -> str:
        text, tolerance = agent.text, self._settings.constraint_tolerance
        rule = "unanimity_within" if tolerance > 0 else "unanimity"
        if self._config.decision_rule == "majority":
            rule = "majority"
        return text.text(
            f"voting.ballot.{stage}",
            rule=text.text(f"voting.rule.{rule}", tolerance=text.money(tolerance)),
            options=numbered(text, state.agenda),
        )


#: Failures that are no answer, so that there is nothing to correct.
_UNANSWERED = ("timed_out", "refused")


def _ballot(
    agent: ParticipantAgent,
    heard: Sequence[Heard[Any]],
    choice: Choice | None,
    certainty: Certainty | None,
) -> Ballot:
    """A ballot that took one question or several: its steps and warnings are all of theirs."""
    spoken = heard[0].spoken(agent)
    spoken["steps"] = tuple(path for asked in heard for path in asked.steps)
    spoken["warnings"] = tuple(code for asked in heard for code in asked.warnings)
    return Ballot(
        choice=choice,
        certainty=certainty,
        amount_text=heard[-1].text if len(heard) > 1 else None,
        abstention=None if choice is not None else _reason(heard[-1]),
        **spoken,
    )


def _abstention(agent: ParticipantAgent, heard: Heard[Any]) -> Ballot:
    return _ballot(agent, (heard,), None, None)


def _reason(heard: Heard[Any]) -> str:
    return heard.failure if heard.failure in _UNANSWERED else "unreadable"
