"""The journal of a run: what was recorded is never done again, what is new is recorded before it is used."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any, Generic, Protocol, TypeVar

from pydantic_core import to_jsonable_python

from shared import tracing
from shared.schemas.events import EventType
from workers.experiment.errors import BudgetExceededError, ReplayDivergedError
from workers.experiment.reading.reader import Reader, UnreadableError
from workers.experiment.seeds import SeedManager
from workers.experiment.steps.key import StepKey
from workers.experiment.steps.model_call import ModelAnswer, ModelCall, Models, StepOutcome

T = TypeVar("T")

#: After so many new calls a recorded one that was not come to is taken for one that a fork never comes to.
STRAY = 10


class StepKind(StrEnum):
    """What a step is."""

    #: A call to a model.
    CALL = "call"
    #: A random draw.
    DRAW = "draw"
    #: Something that was found out during the run and must be the same when it is run again.
    NOTE = "note"


@dataclass(slots=True, kw_only=True)
class StepRecord:
    """A step as it is stored.

    Attributes:
        key: its place in the protocol.
        role: whose model was called: an agent's name, or ``None`` for the utility agent's.
        system: the prompt; ``None`` for a draw or a note, and for what was read back from the store.
        user: likewise.
        prompt_hash: SHA-256 of both.
        sends: how often the call was begun.
        answer: ``None`` while the call is in flight.
        value: what was read, drawn or noted, as JSON.
        unreadable: why the answer could not be read, by the reader's code.
    """

    key: StepKey
    kind: StepKind
    role: str | None = None
    system: str | None = None
    user: str | None = None
    schema_name: str | None = None
    prompt_hash: str | None = None
    sends: int = 0
    answer: ModelAnswer | None = None
    value: Any = None
    unreadable: str | None = None


@dataclass(frozen=True, slots=True)
class RunEvent:
    """An event of the run; ``key`` is what it tells of, once and for all attempts."""

    key: str
    type: EventType
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far the run is.

    Attributes:
        progress: 0 to 1; never goes back.
        calls: to models, repeated ones counted.
        reasked: answers that had to be asked for again.
        seconds: that the run has been worked on, over all attempts.
        seconds_left: an estimate.
    """

    phase: int = 0
    round: int = 0
    progress: float = 0.0
    calls: int = 0
    reasked: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    seconds_left: float | None = None


class StepStore(Protocol):
    """Where the journal of one run is kept; what is handed over is stored in the order of handing over."""

    async def begin(self, step: StepRecord) -> None:
        """Return when the intent of the call is stored, and all that was handed over before."""

    def end(self, step: StepRecord) -> None:
        """The step is complete; it is stored with what is handed over next, or soon."""

    def emit(self, event: RunEvent) -> None:
        """Tell an event, unless one with its key was told before."""

    def stand(self, standing: Standing) -> None:
        """How far the run is now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a run may use; ``None``: no limit."""

    tokens: int | None = None
    calls: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Generic[T]):
    """A call as the run sees it; ``value`` is ``None`` when nothing could be read, and ``failure`` why."""

    path: str
    outcome: StepOutcome
    text: str
    value: T | None
    unreadable: UnreadableError | None = None

    @property
    def failure(self) -> str | None:
        """Why there is no value: ``timed_out``, ``refused``, or the reader's code; ``None`` when there is."""
        if self.outcome is not StepOutcome.ANSWERED:
            return self.outcome.value
        return None if self.unreadable is None else self.unreadable.code


@dataclass(slots=True)
class _Counts:
    calls: int = 0
    reasked: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    done: int = 0
    phase: int = 0
    round: int = 0
    progress: float = 0.0


class Journal:
    """The only way by which a run calls a model, draws, or tells an event.

    Args:
        store: keeps the steps.
        models: calls models; never used by a replay.
        seeds: of the draws.
        recorded: the steps that are there already, by path; those without an answer were in flight.
        expected_calls: how many calls the run is thought to take, for its progress.
        budget: what it may use.
        spent: seconds that earlier attempts worked on it.
        replay: whether every step must be there already, under the same prompt.
    """

    def __init__(
        self,
        store: StepStore,
        models: Models,
        seeds: SeedManager,
        *,
        recorded: Mapping[str, StepRecord] | None = None,
        expected_calls: int = 1,
        budget: Budget | None = None,
        spent: float = 0.0,
        replay: bool = False,
    ) -> None:
        self._store = store
        self._models = models
        self._seeds = seeds
        self._recorded = dict(recorded or {})
        self._expected = max(expected_calls, 1)
        self._budget = budget or Budget()
        self._spent = spent
        self._replay = replay
        self._began_at = asyncio.get_running_loop().time()
        # Those that were in flight were made, too.
        self._counts = _Counts(calls=sum(step.sends for step in self._recorded.values() if not step.answer))
        #: Calls that earlier attempts made, and those of them that are not gone through yet.
        self._known = sum(step.answer is not None for step in self._recorded.values())
        self._behind = self._known
        self._told = 0
        self._flying = 0
        self._landed = asyncio.Event()
        self._landed.set()
        #: Whether steps cannot be stored any more: the run must not go on.
        self.broken = False
        #: What each service that failed was told with, in the order in which they did.
        self.degraded: list[dict[str, Any]] = []

    async def call(self, key: StepKey, call: ModelCall, reader: Reader[T]) -> Step[T]:
        """Ask a model, unless the answer is recorded; a time-out and a refusal are answers.

        Args:
            key: the step; each is called once in a run.
            call: what is asked. Its schema is the reader's.
            reader: reads the answer; what it finds is recorded too.

        Raises:
            BudgetExceededError: there is nothing left to ask with; the calls in flight have been answered.
            ReplayDivergedError: this is a replay, and the call was not recorded, or not with this prompt.
            ParleyError: the provider cannot be reached.
        """
        path = key.path
        prompt_hash = _prompt_hash(call)
        step = self._recorded.pop(path, None)
        if step is None or step.answer is None:
            if self._replay:
                raise ReplayDivergedError(f"The step {path} was not recorded.")
            await self._afford()
            step = StepRecord(
                key=key,
                kind=StepKind.CALL,
                role=call.role,
                system=call.system,
                user=call.user,
                schema_name=call.schema_name,
                prompt_hash=prompt_hash,
                sends=1 if step is None else step.sends + 1,
            )
            self._counts.calls += 1
            with _span(step) as span:
                async with self._in_flight():
                    await self._begin(step)
                    step.answer = await self._models.call(call)
                    result = _read(step, step.answer, reader)
                    self._store.end(step)
                span.set({"parley.step.outcome": result.failure or step.answer.outcome.value})
        else:
            if self._replay and step.prompt_hash != prompt_hash:
                raise ReplayDivergedError(f"The step {path} was recorded under another prompt.")
            self._counts.calls += step.sends
            self._behind -= 1
            result = _read(step, step.answer, reader)
        self._count(key, step.answer)
        return result

    def draw(self, key: StepKey, make: Callable[[Random], T]) -> T:
        """What ``make`` draws from the generator of this step: JSON values only (numbers, strings, lists).

        A recorded draw is taken as it is.
        """
        return self._once(StepKind.DRAW, key, lambda: make(self._seeds.generator(key)))

    def note(self, key: StepKey, find: Callable[[], T]) -> T:
        """What ``find`` finds out, as JSON; when the step is recorded, what it found then."""
        return self._once(StepKind.NOTE, key, find)

    def recorded_note(self, key: StepKey) -> Any | None:
        """What was noted at ``key`` before, when it was."""
        step = self._recorded.get(key.path)
        return None if step is None else step.value

    def emit(self, key: str, event: EventType, data: dict[str, Any]) -> None:
        """Tell an event; ``key`` is unique within the run, and a step's path or like one."""
        if event is EventType.SERVICE_DEGRADED:
            self.degraded.append(data)
        self._store.emit(RunEvent(key, event, data))

    def enter(self, phase: int, round_number: int = 0) -> None:
        """The run has come to this phase and round."""
        self._counts.phase, self._counts.round = phase, round_number
        self._stand()

    def complete(self) -> None:
        """Nothing more is asked."""
        self._counts.progress = 1.0
        # Under a key of its own: that of the last call may have been told.
        self._stand(complete=True)

    @property
    def standing(self) -> Standing:
        """How far the run is."""
        counts = self._counts
        seconds = self._spent + asyncio.get_running_loop().time() - self._began_at
        left = None
        if counts.progress >= 1:
            left = 0.0
        elif counts.progress > 0:
            left = seconds * (1 - counts.progress) / counts.progress
        return Standing(
            phase=counts.phase,
            round=counts.round,
            progress=counts.progress,
            calls=counts.calls,
            reasked=counts.reasked,
            input_tokens=counts.input_tokens,
            output_tokens=counts.output_tokens,
            seconds=seconds,
            seconds_left=left,
        )

    def _once(self, kind: StepKind, key: StepKey, make: Callable[[], T]) -> T:
        step = self._recorded.pop(key.path, None)
        if step is not None:
            return step.value  # type: ignore[no-any-return]
        if self._replay:
            raise ReplayDivergedError(f"The step {key.path} was not recorded.")
        # As it will be when it is read back: a tuple is a list from the first time on.
        value: T = to_jsonable_python(make())
        self._store.end(StepRecord(key=key, kind=kind, value=value))
        return value

    async def _begin(self, step: StepRecord) -> None:
        try:
            await self._store.begin(step)
        except Exception:
            self.broken = True
            raise

    @asynccontextmanager
    async def _in_flight(self) -> AsyncIterator[None]:
        self._flying += 1
        self._landed.clear()
        try:
            yield
        finally:
            self._flying -= 1
            if not self._flying:
                self._landed.set()

    async def _afford(self) -> None:
        budget, standing = self._budget, self.standing
        tokens = standing.input_tokens + standing.output_tokens
        for name, used, limit in (
            ("tokens", tokens, budget.tokens),
            ("calls", standing.calls, budget.calls),
            ("seconds", standing.seconds, budget.seconds),
        ):
            if limit is not None and used >= limit:
                # What was asked is paid for: its answer is kept, and not asked for again.
                await self._landed.wait()
                raise BudgetExceededError(
                    f"The run has used its {limit} {name}; what it did is kept. Resume it with a higher "
                    f"budget.{name} to go on."
                )

    def _count(self, key: StepKey, answer: ModelAnswer) -> None:
        counts = self._counts
        counts.done += 1
        counts.reasked += key.tried is not None and key.tried > 1
        counts.input_tokens += answer.input_tokens or 0
        counts.output_tokens += answer.output_tokens or 0
        # Never complete before it is, even when it takes more calls than were expected.
        counts.progress = max(counts.progress, min(counts.done / self._expected, 0.99))
        if counts.done - self._told >= self._expected / 100:
            self._told = counts.done
            self._stand()

    @property
    def _catching_up(self) -> bool:
        """Whether what earlier attempts made is still gone through."""
        made = self._counts.done - (self._known - self._behind)
        return self._behind * STRAY > made and not self._replay

    def _stand(self, *, complete: bool = False) -> None:
        standing = self.standing
        if self._catching_up and standing.progress < 1:
            # Who looks has seen more than this.
            return
        self._store.stand(standing)
        tokens = standing.input_tokens + standing.output_tokens
        self.emit(
            f"progress/{standing.phase}/{standing.round}/{self._counts.done}{'/complete' * complete}",
            EventType.PROGRESS,
            {
                "phase": standing.phase,
                "round": standing.round,
                "fraction": round(standing.progress, 4),
                "calls": standing.calls,
                "tokens": tokens,
                "seconds_left": None if standing.seconds_left is None else round(standing.seconds_left, 1),
            },
        )


def _read(step: StepRecord, answer: ModelAnswer, reader: Reader[T]) -> Step[T]:
    """Read an answer; what was found is noted in ``step``."""
    value: T | None = None
    unreadable: UnreadableError | None = None
    if answer.outcome is StepOutcome.ANSWERED:
        try:
            value = reader.read(answer.text)
            step.value = to_jsonable_python(value)
        except UnreadableError as error:
            unreadable = error
            step.unreadable = error.code
    return Step(
        path=step.key.path, outcome=answer.outcome, text=answer.text, value=value, unreadable=unreadable
    )


def _span(step: StepRecord) -> tracing.Span:
    """The span of a call. Its agent has a name that somebody gave: it is not told."""
    key = step.key
    return tracing.span(
        f"step {key.purpose}",
        {
            "parley.step.phase": key.phase,
            "parley.step.round": key.round,
            "parley.step.purpose": key.purpose,
            "parley.step.try": key.tried,
            "parley.step.sends": step.sends,
        },
    )


def _prompt_hash(call: ModelCall) -> str:
    return hashlib.sha256(f"{call.system}\0{call.user}".encode()).hexdigest()
