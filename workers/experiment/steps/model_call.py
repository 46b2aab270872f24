"""One call to a model, as the experiment sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class StepOutcome(StrEnum):
    """What came of a call; each is an answer that the run goes on with, and is never asked again."""

    ANSWERED = "answered"
    #: The model took longer than the configuration allows.
    TIMED_OUT = "timed_out"
    #: The provider refuses this very request, and would again: too long, filtered.
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """What is asked.

    Attributes:
        role: whose model: an agent's name, or ``None`` for the utility agent's.
        system: the system prompt.
        user: the question.
        timeout: seconds that the whole call may take.
        schema: the JSON schema of the answer, used where the provider has structured output.
        schema_name: its name there.
    """

    role: str | None
    system: str
    user: str
    timeout: float
    schema: dict[str, Any] | None = None
    schema_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """What came back.

    Attributes:
        text: the answer without the model's thinking; what the provider said, when it refused.
        model: as the provider names what answered, with a digest where it tells one.
        input_tokens: as the provider counted them, if it did.
        output_tokens: likewise.
        seconds: how long the call took.
        notes: what was found out about the model: ``temperature_unsupported``, ``schema_unsupported``.
    """

    outcome: StepOutcome
    text: str = ""
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    seconds: float = 0.0
    notes: tuple[str, ...] = field(default=())


class Models(Protocol):
    """Calls models."""

    async def call(self, call: ModelCall) -> ModelAnswer:
        """Ask; a time-out and a refusal are answers.

        Raises:
            ParleyError: the provider cannot be reached, after bounded retries: the run fails and can be
                resumed.
        """
