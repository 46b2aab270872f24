"""Who takes part in a vote that was called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workers.experiment.agents.participant import ParticipantAgent
from workers.experiment.reading.agreement import AgreementReader
from workers.experiment.records import ConfirmationAnswer
from workers.experiment.services.protocols import DiscussionState
from workers.experiment.services.voting.context import discussed, own_words
from workers.experiment.steps.key import StepKey
from workers.experiment.together import together

if TYPE_CHECKING:
    from shared.schemas.experiment.config import ExperimentConfig


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Whether everybody votes.

    Attributes:
        confirmed: all of them agreed; one who could not be understood did not.
        answers: in the configuration's order, the initiator's among them.
    """

    confirmed: bool
    answers: tuple[ConfirmationAnswer, ...]


class RollCall:
    """Asks all but the initiator, who is taken at its word, whether they vote now.

    Args:
        config: of the run.
        everybody: all agents, in the configuration's order.
    """

    def __init__(self, config: ExperimentConfig, everybody: Sequence[ParticipantAgent]) -> None:
        self._settings = config.phase2_settings
        self._length = config.voting_context_length
        self._everybody = everybody

    async def hold(
        self,
        agents: Sequence[ParticipantAgent],
        state: DiscussionState,
        initiator: str | None,
        timeout: float | None,
    ) -> Confirmation:
        """Ask all of ``agents`` at once."""
        seconds = float(self._settings.confirmation_timeout_seconds) if timeout is None else timeout
        answers = await together(self._ask(agent, state, initiator, seconds) for agent in agents)
        return Confirmation(all(answer.agrees is True for answer in answers), tuple(answers))

    async def _ask(
        self, agent: ParticipantAgent, state: DiscussionState, initiator: str | None, timeout: float
    ) -> ConfirmationAnswer:
        if agent.name == initiator:
            return ConfirmationAnswer(
                agent=agent.name, memory=agent.memory, balance=agent.balance, agrees=True
            )
        who = agent.text.text("voting.somebody") if initiator is None else initiator
        heard = await agent.ask(
            StepKey(2, state.round, agent.name, "vote/confirmation"),
            agent.text.text("voting.confirmation", initiator=who, own=own_words(agent, state, self._length)),
            AgreementReader(),
            tries=self._settings.two_stage_max_retries,
            timeout=timeout,
            context=discussed(agent, self._everybody, state, self._length),
        )
        return ConfirmationAnswer(agrees=heard.value, **heard.spoken(agent))
