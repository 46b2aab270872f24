"""Chat turns as jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from shared.jobs.job import Job
from shared.jobs.messages import Reply
from shared.jobs.permits import Permits
from shared.jobs.store import Along
from shared.security.secrets import SecretBox
from shared.settings import Settings
from workers.chat.accumulator import StreamingAccumulator
from workers.chat.turn import ANSWER_STAGE, stream_answer
from workers.jobs.handler import Work
from workers.jobs.running import RunningAttempt
from workers.jobs.turns import Turn, brought_along, load_turn
from workers.providers.base.http_client import ProviderHttpClient
from workers.providers.factory import ProviderFactory

#: What the metadata of an answer tells by itself, outside of ``provider_details``.
_TOLD_ABOVE = frozenset({"provider", "model", "response_time", "time_to_first_token"})


class StageAfterAnswer(Protocol):
    """A stage that follows the answer. It commits what it makes, within a fenced transaction of its own."""

    async def left(self, attempt: RunningAttempt) -> bool:
        """Whether there is something that no attempt has committed."""

    async def run(self, attempt: RunningAttempt) -> None:
        """Do what is left of it."""


class _Progress:
    """One turn while it is answered."""

    __slots__ = ("accumulator", "turn")

    def __init__(self) -> None:
        self.accumulator = StreamingAccumulator()
        self.turn: Turn | None = None


class ChatHandler:
    """Answers turns.

    Args:
        box: decrypts the keys of connections.
        settings: the settings.
        client: the provider client of this process.
        permits: limits the calls of each connection.
        enter_stage: tells which stage (1-5) a turn is in; returns at once.
        stages: what follows an answer, in order.
    """

    def __init__(
        self,
        *,
        box: SecretBox,
        settings: Settings,
        client: ProviderHttpClient,
        permits: Permits,
        enter_stage: Callable[[Job, int], None],
        stages: Sequence[StageAfterAnswer] = (),
    ) -> None:
        self._box = box
        self._settings = settings
        self._client = client
        self._permits = permits
        self._enter_stage = enter_stage
        self._stages = stages
        self._progress: dict[str, _Progress] = {}
        self.along: Along | None = brought_along(settings)

    async def work(self, attempt: RunningAttempt) -> Work:
        """Load the turn and have the model answer."""
        progress = self._progress[attempt.job.lease] = _Progress()
        self._enter_stage(attempt.job, ANSWER_STAGE)
        turn = progress.turn = load_turn(attempt.job, self._box, self._settings)
        provider = ProviderFactory.create_provider(turn.target.provider, self._client)
        target = turn.target
        permit = self._permits.permit(target.connection_id, target.max_in_flight, attempt.job.lease)
        async with permit:
            await attempt.confirm()
            await stream_answer(provider, turn.request, attempt, progress.accumulator)
        return Work(self.partial(attempt))

    def partial(self, attempt: RunningAttempt) -> Reply:
        """The answer so far."""
        progress = self._progress.get(attempt.job.lease)
        if progress is None:
            return Reply(details={"attempt": attempt.job.attempt})
        response = progress.accumulator.response()
        usage = response.usage
        details: dict[str, Any] = {
            "provider": None if progress.turn is None else progress.turn.target.provider.value,
            "model": response.metadata.get("model")
            or (None if progress.turn is None else progress.turn.request.model),
            "finish_reason": response.finish_reason,
            "input_tokens": usage.input_tokens if usage else None,
            "output_tokens": usage.output_tokens if usage else None,
            "response_time": response.metadata.get("response_time"),
            "time_to_first_token": response.metadata.get("time_to_first_token"),
            "attempt": attempt.job.attempt,
            "provider_details": {
                name: value for name, value in response.metadata.items() if name not in _TOLD_ABOVE
            },
        }
        return Reply(
            content=response.content,
            thinking=response.thinking or None,
            tool_calls=[dict(call) for call in response.tool_calls] or None,
            details=details,
            input_tokens=details["input_tokens"],
            output_tokens=details["output_tokens"],
        )

    def forget(self, attempt: RunningAttempt) -> None:
        """The attempt is over."""
        self._progress.pop(attempt.job.lease, None)

    async def has_stages_left(self, attempt: RunningAttempt) -> bool:
        """Whether something follows the answer."""
        for stage in self._stages:
            if await stage.left(attempt):
                return True
        return False

    async def run_stages(self, attempt: RunningAttempt) -> None:
        """Run what is left of the stages after the answer."""
        for stage in self._stages:
            if await stage.left(attempt):
                await stage.run(attempt)
