"""A journal that goes through recorded steps again, and looks whether each is what it would be now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random
from typing import Any, TypeVar

from pydantic_core import to_jsonable_python

from workers.experiment.errors import ReplayDivergedError
from workers.experiment.reading.reader import Reader
from workers.experiment.seeds import SeedManager
from workers.experiment.steps.journal import Journal, RunEvent, Standing, Step, StepRecord
from workers.experiment.steps.key import StepKey
from workers.experiment.steps.model_call import ModelAnswer, ModelCall

T = TypeVar("T")


class Kind(StrEnum):
    """What differs."""

    #: A step that the run comes to is not in the file, or without its answer.
    MISSING_STEP = "missing_step"
    #: A step was recorded under another question than is asked now.
    PROMPT = "prompt"
    #: The prompts in the file are not those of their hash.
    PROMPT_HASH = "prompt_hash"
    #: Something else is read in the answer than was recorded.
    READING = "reading"
    #: The seed draws something else than was recorded.
    DRAW = "draw"
    #: A recorded value that the run cannot go on with.
    VALUE = "value"
    #: A step that the run never comes to.
    UNUSED_STEP = "unused_step"
    #: A field of the result.
    RESULT = "result"
    #: The digest that the file tells is not that of the result in it.
    DIGEST = "digest"


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as the file has it.

    Attributes:
        kind: what.
        place: the step's path, or the field of the result; ``None`` when it is about the whole.
        message: for people.
    """

    kind: Kind
    place: str | None
    message: str


class NoModels:
    """Nobody is asked."""

    async def call(self, call: ModelCall) -> ModelAnswer:
        """Never comes to it: a replay asks nobody."""
        raise AssertionError("a replay asked a model")


class NoStore:
    """Nothing is kept."""

    async def begin(self, step: StepRecord) -> None:
        """Never comes to it: a replay begins nothing."""
        raise AssertionError("a replay began a step")

    def end(self, step: StepRecord) -> None:
        """Nothing."""

    def emit(self, event: RunEvent) -> None:
        """Nothing."""

    def stand(self, standing: Standing) -> None:
        """Nothing."""


class RepeatingJournal(Journal):
    """A replay over ``recorded``; ``differences`` are in the order in which the run came to them.

    Args:
        seeds: of the draws, which are drawn again.
        recorded: the steps, by path; they stay as they are.
    """

    def __init__(self, seeds: SeedManager, recorded: Mapping[str, StepRecord]) -> None:
        copies = {path: replace(step) for path, step in recorded.items()}
        super().__init__(NoStore(), NoModels(), seeds, recorded=copies, replay=True)
        self._steps = recorded
        self._again = seeds
        self._used: set[str] = set()
        self.differences: list[Difference] = []
        #: What is asked at steps that were recorded under another question: system prompt and question.
        self.asked: dict[str, tuple[str, str]] = {}

    async def call(self, key: StepKey, call: ModelCall, reader: Reader[T]) -> Step[T]:
        """Read the recorded answer again; see the base."""
        path = key.path
        self._used.add(path)
        before = self._steps.get(path)
        try:
            step = await super().call(key, call, reader)
        except ReplayDivergedError:
            if before is None or before.answer is None:
                self._tell(
                    Kind.MISSING_STEP, path, "the run comes to this step, and the file has no answer to it"
                )
            else:
                self.asked[path] = (call.system, call.user)
                self._tell(Kind.PROMPT, path, "the question is another one than was recorded")
            raise
        if before is not None:
            now = None if step.value is None else to_jsonable_python(step.value)
            unreadable = None if step.unreadable is None else step.unreadable.code
            if not same(now, before.value):
                self._tell(
                    Kind.READING, path, f"{shown(before.value)} was recorded, and {shown(now)} is read"
                )
            elif unreadable != before.unreadable:
                self._tell(
                    Kind.READING,
                    path,
                    f"{shown(before.unreadable)} was recorded as why it cannot be read, and now it is "
                    f"{shown(unreadable)}",
                )
        return step

    def draw(self, key: StepKey, make: Callable[[Random], T]) -> T:
        """Draw again; what was recorded must be the same.

        Raises:
            ReplayDivergedError: it is not.
        """
        self._used.add(key.path)
        before = self._steps.get(key.path)
        if before is None:
            self._tell(Kind.MISSING_STEP, key.path, "the run comes to this draw, and it is not in the file")
        else:
            drawn = to_jsonable_python(make(self._again.generator(key)))
            if not same(drawn, before.value):
                self._tell(
                    Kind.DRAW,
                    key.path,
                    f"{shown(before.value)} was recorded, and the seed draws {shown(drawn)}",
                )
                raise ReplayDivergedError(f"The step {key.path} was drawn otherwise.")
        return super().draw(key, make)

    def note(self, key: StepKey, find: Callable[[], T]) -> T:
        """What was noted; see the base."""
        self._used.add(key.path)
        if key.path not in self._steps:
            self._tell(Kind.MISSING_STEP, key.path, "the run comes to this note, and it is not in the file")
        return super().note(key, find)

    @property
    def unused(self) -> list[str]:
        """Paths of the steps that the run did not come to."""
        return sorted(set(self._steps) - self._used)

    def _tell(self, kind: Kind, place: str, message: str) -> None:
        self.differences.append(Difference(kind, place, message))


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same in JSON: a number that is whole has two forms, and true is none."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(item, other[key]) for key, item in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def shown(value: Any, length: int = 80) -> str:
    """A value in a few characters."""
    text = repr(value)
    return text if len(text) <= length else text[: length - 1] + "…"
