"""Twins of the ports, for tests and for whoever writes a service of their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from workers.experiment.steps.journal import RunEvent, Standing, StepRecord
from workers.experiment.steps.model_call import ModelAnswer, ModelCall, StepOutcome

#: Answers a call: a text, or a whole answer.
Script = Callable[[ModelCall], str | ModelAnswer | Awaitable[str | ModelAnswer]]


class ScriptedModels:
    """Models that answer as a script says; ``calls`` keeps what they were asked."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.calls: list[ModelCall] = []

    async def call(self, call: ModelCall) -> ModelAnswer:
        """The script's answer."""
        self.calls.append(call)
        answer = self._script(call)
        if isinstance(answer, Awaitable):
            answer = await answer
        if isinstance(answer, str):
            return ModelAnswer(
                outcome=StepOutcome.ANSWERED,
                text=answer,
                model="scripted",
                input_tokens=(len(call.system) + len(call.user)) // 4,
                output_tokens=len(answer) // 4 + 1,
            )
        return answer


class InMemorySteps:
    """A store of steps that ends with the process."""

    def __init__(self) -> None:
        self.steps: dict[str, StepRecord] = {}
        self.events: list[RunEvent] = []
        self.standing = Standing()
        self._told: set[str] = set()

    async def begin(self, step: StepRecord) -> None:
        """Keep the intent."""
        self.steps[step.key.path] = step

    def end(self, step: StepRecord) -> None:
        """Keep the step."""
        self.steps[step.key.path] = step

    def emit(self, event: RunEvent) -> None:
        """Keep the event, unless its key was told before."""
        if event.key not in self._told:
            self._told.add(event.key)
            self.events.append(event)

    def stand(self, standing: Standing) -> None:
        """Keep it."""
        self.standing = standing
