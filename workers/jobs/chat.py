"""Chat turns as jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from shared.database.repositories import traces
from shared.jobs.answers import stored_reply
from shared.jobs.job import Job
from shared.jobs.messages import Reply
from shared.jobs.states import PostResponse, Status
from shared.jobs.store import Along, AttemptLostError, FencedTransaction
from shared.metrics.providers import provider_call
from shared.metrics.turns import ANSWER_SECONDS, FIRST_TOKEN, count_tokens
from workers.chat.accumulator import StreamingAccumulator
from workers.chat.spans import stage_span
from workers.chat.turn import ANSWER_STAGE, stream_answer
from workers.jobs.handler import Work
from workers.jobs.running import RunningAttempt
from workers.jobs.turn_stages import TurnStages
from workers.jobs.turn_world import StageParts
from workers.jobs.turns import Turn, brought_along, load_turn
from workers.jobs.work_spans import call_ended, call_span

#: What the metadata of an answer tells by itself, outside of ``provider_details``.
_TOLD_ABOVE = frozenset({"provider", "model", "response_time", "time_to_first_token"})


class _Progress:
    """One turn while it is answered."""

    __slots__ = ("accumulator", "stages", "turn")

    def __init__(self) -> None:
        self.accumulator = StreamingAccumulator()
        self.turn: Turn | None = None
        self.stages: TurnStages | None = None


class ChatHandler:
    """Answers turns, with the stages around the answer.

    Args:
        parts: what the stages are run with, and the providers called with.
        enter_stage: tells which stage (1-5) a turn is in; returns at once.
    """

    def __init__(self, parts: StageParts, enter_stage: Callable[[Job, int], None]) -> None:
        self._parts = parts
        self._enter_stage = enter_stage
        self._progress: dict[str, _Progress] = {}
        self.along: Along | None = brought_along(parts.settings)

    async def work(self, attempt: RunningAttempt) -> Work:
        """Load the turn, make its prompt, and have the model answer."""
        progress = self._begin(attempt)
        assert progress.turn is not None
        assert progress.stages is not None
        turn, stages = progress.turn, progress.stages
        request = turn.request(await stages.before_answer())
        self._enter_stage(attempt.job, ANSWER_STAGE)
        stages.sent(request)
        target = turn.target
        provider = target.service(self._parts.client)
        permit = self._parts.permits.permit(target.connection_id, target.max_in_flight, attempt.job.lease)
        with stage_span(ANSWER_STAGE), ANSWER_SECONDS.time():
            async with permit:
                await attempt.confirm()
                with call_span(target, request.model) as span, provider_call(target.provider):
                    try:
                        await stream_answer(provider, request, attempt, progress.accumulator)
                    finally:
                        _count(attempt.job, progress.accumulator)
                        if span.recording:
                            call_ended(span, progress.accumulator.response())
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
            or (None if progress.turn is None else progress.turn.model),
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

    async def keep(
        self,
        attempt: RunningAttempt,
        transaction: FencedTransaction,
        status: Status,
        message_id: UUID | None,
    ) -> dict[str, Any]:
        """What stages 1 and 2 left, and the trace."""
        progress = self._progress.get(attempt.job.lease)
        if progress is None or progress.stages is None:
            return {}
        return await progress.stages.keep(transaction, status, message_id, self.partial(attempt))

    async def has_stages_left(self, attempt: RunningAttempt) -> bool:
        """Whether something follows the answer."""
        progress = self._progress.get(attempt.job.lease)
        if progress is None or progress.stages is None:
            return False
        return await progress.stages.left(progress.accumulator.response().content)

    async def run_stages(self, attempt: RunningAttempt) -> None:
        """Run what is left of stages 4 and 5."""
        job = await self._parts.store.get(attempt.job.id)
        if job is None:
            raise AttemptLostError(attempt.job.lease)
        reply = await stored_reply(self._parts.store, job)
        progress = self._progress.get(attempt.job.lease) or self._begin(attempt)
        assert progress.stages is not None
        await progress.stages.after_answer(reply.content, reply.details, job.message_id)

    async def keep_stages(
        self, attempt: RunningAttempt, transaction: FencedTransaction, state: PostResponse
    ) -> dict[str, Any]:
        """What the trace and the outcome tell of stages 4 and 5."""
        return await traces.end(transaction.connection, attempt.job.id, state)

    def _begin(self, attempt: RunningAttempt) -> _Progress:
        progress = self._progress[attempt.job.lease] = _Progress()
        progress.turn = load_turn(attempt.job, self._parts.box, self._parts.settings)
        progress.stages = TurnStages(self._parts, attempt, progress.turn, self._enter_stage)
        return progress


def _count(job: Job, answer: StreamingAccumulator) -> None:
    """An answer has come to its end, in whatever way."""
    count_tokens("answer", answer.usage.input_tokens, answer.usage.output_tokens)
    waited, first = job.waited, answer.time_to_first_token
    if waited is not None and first is not None:
        FIRST_TOKEN.observe(waited + first)
