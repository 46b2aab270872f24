"""What can go wrong in a run. Errors of the category ``stops the run`` pass through every service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import ParleyError

if TYPE_CHECKING:
    from workers.experiment.records import Ballot


class VotingTimeoutError(Exception):
    """No agent answered a vote in time: there is nothing to count.

    Attributes:
        ballots: the abstentions that the vote is recorded with.
    """

    def __init__(self, ballots: tuple[Ballot, ...] = ()) -> None:
        super().__init__(f"None of {len(ballots)} agents answered in time.")
        self.ballots = ballots


class ConsensusFailureError(Exception):
    """A vote was held and did not reach what the decision rule asks for.

    Attributes:
        disagreement: ``principle_disagreement``, ``constraint_disagreement:<principle>:<amounts>``,
            ``mixed_disagreement`` or ``voting_failed``.
    """

    def __init__(self, disagreement: str) -> None:
        super().__init__(disagreement)
        self.disagreement = disagreement


class BudgetExceededError(ParleyError):
    """The run has used up its tokens, calls or time; resumed with a higher budget it goes on."""

    code = "budget_exceeded"
    status = 409
    title = "The budget is used up"


class ReplayDivergedError(ParleyError):
    """A replay came to a step that was not recorded: it is not the run that was recorded."""

    code = "replay_diverged"
    status = 409
    title = "The replay left the recorded run"
