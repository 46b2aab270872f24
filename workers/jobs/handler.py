"""What a kind of job must be able to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from shared.jobs.messages import Reply
from shared.jobs.states import PostResponse, Status
from shared.jobs.store import Along, FencedTransaction
from workers.jobs.running import RunningAttempt


@dataclass(frozen=True, slots=True)
class Work:
    """What came of the work of an attempt."""

    reply: Reply
    #: The outcome of a job that is not a chat turn.
    result: dict[str, Any] | None = None


class Handler(Protocol):
    """Does the work of one kind of job."""

    #: What the claim of such a job brings along, as the job's ``brought``.
    along: Along | None

    async def work(self, attempt: RunningAttempt) -> Work:
        """Do it: for a chat, stages 1 to 3.

        Raises:
            ParleyError: the job failed, and why.
        """

    def partial(self, attempt: RunningAttempt) -> Reply:
        """What there is of the answer, after :meth:`work` was cut off or failed."""

    async def keep(
        self,
        attempt: RunningAttempt,
        transaction: FencedTransaction,
        status: Status,
        message_id: UUID | None,
    ) -> dict[str, Any]:
        """Write what belongs to the outcome, within its transaction; returns what the outcome tells of it."""

    async def keep_stages(
        self, attempt: RunningAttempt, transaction: FencedTransaction, state: PostResponse
    ) -> dict[str, Any]:
        """The same at the end of the stages after the answer, which came to ``state``."""

    def forget(self, attempt: RunningAttempt) -> None:
        """The attempt is over."""

    async def has_stages_left(self, attempt: RunningAttempt) -> bool:
        """Whether stages 4 and 5 follow the answer; asked once, before :meth:`keep`."""

    async def run_stages(self, attempt: RunningAttempt) -> None:
        """Run the stages after the answer that are not committed yet; each commits what it made."""


class OneStage:
    """The part of a :class:`Handler` whose jobs end with their outcome: nothing follows it."""

    async def keep_stages(
        self, attempt: RunningAttempt, transaction: FencedTransaction, state: PostResponse
    ) -> dict[str, Any]:
        """Nothing to keep."""
        return {}

    async def has_stages_left(self, attempt: RunningAttempt) -> bool:
        """Never."""
        return False

    async def run_stages(self, attempt: RunningAttempt) -> None:
        """Nothing to run."""
