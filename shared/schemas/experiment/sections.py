"""The smaller sections of a configuration."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from shared.schemas.base import Wire
from shared.schemas.experiment.agent_config import AgentName
from shared.schemas.experiment.fault import Fault, refuse
from shared.schemas.experiment.scalars import Exact, Lower, PrincipleName, Whole
from shared.schemas.experiment.terms import IncomeClass, Principle
from shared.schemas.text import storable

#: What probabilities may miss of 1, for shares that have no end (thirds): added up exactly, as written.
SUM_TOLERANCE = Decimal("0.000001")

Probability = Annotated[
    Exact, Field(ge=0, le=1), WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1})
]


class IncomeClassProbabilities(Wire):
    """How likely each class is; they add up to 1 within :data:`SUM_TOLERANCE`."""

    high: Probability = Field(description="Probability of the best paid class, 0 to 1.")
    medium_high: Probability = Field(description="Probability of the second class, 0 to 1.")
    medium: Probability = Field(description="Probability of the middle class, 0 to 1.")
    medium_low: Probability = Field(description="Probability of the fourth class, 0 to 1.")
    low: Probability = Field(description="Probability of the worst paid class, 0 to 1.")

    @model_validator(mode="after")
    def _adds_up(self, info: ValidationInfo) -> Self:
        refuse(self.inconsistencies(), info)
        return self

    def inconsistencies(self) -> Iterator[Fault]:
        """What does not go together."""
        total = sum(self.in_order(), Decimal(0))
        if abs(total - 1) > SUM_TOLERANCE:
            yield Fault("", f"must add up to 1 (within {SUM_TOLERANCE:f}); they add up to {total}")

    def in_order(self) -> tuple[Decimal, ...]:
        """From the highest class to the lowest."""
        return tuple(getattr(self, place.value) for place in IncomeClass)


class OriginalValuesMode(Wire):
    """``original_values_mode``."""

    enabled: bool = Field(
        False,
        description="Whether phase 1 uses the printed tables (sample to explain, A to D in rounds 1 to 4) "
        "with their "
        "own class probabilities, instead of the scaled base table.",
    )


class Transparency(Wire):
    """``phase2_enhanced_transparency``: what the results tell the agents."""

    enabled: bool = Field(True, description="Whether results tell more than the agent's own payoff.")
    detail_level: Annotated[Literal["basic", "enhanced", "full"], Lower] = Field(
        "full",
        description="basic: the class and the payoff; enhanced: what the class earns under each principle; "
        "full: also "
        "everybody's earnings and other amounts.",
    )
    include_counterfactuals: bool = Field(
        True, description="Whether results tell what the same class earns under the other principles."
    )
    include_class_assignment: bool = Field(True, description="Whether results tell the drawn class.")
    include_insights: bool = Field(
        True, description="Whether results tell the best and the worst alternative."
    )


class LoggingConfig(Wire):
    """``logging``: what the terminal shows of a run that is followed; it changes nothing in the run."""

    verbosity_level: Annotated[Literal["minimal", "standard", "detailed", "debug"], Lower] = Field(
        "standard",
        description="How much the terminal shows of a run: minimal, ballots and what came of it; standard, "
        "what happens; detailed, also of each of several runs, and what was before at full length; debug, "
        "also every event as it came.",
    )
    use_colors: bool = Field(True, description="Whether the terminal shows colours.")
    show_progress_bars: bool = Field(
        True, description="Whether the terminal shows bars of progress; off, lines tell of it."
    )


def _path(value: str) -> str:
    if ".." in PurePosixPath(value).parts or ".." in PureWindowsPath(value).parts:
        raise ValueError("must not contain '..'")
    return storable(value)


class TranscriptLogging(Wire):
    """``transcript_logging``: what the transcript of a run holds when it is written to a file."""

    enabled: bool = Field(
        False, description="Whether `parley experiment run` writes a transcript when the run has ended."
    )
    output_path: Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_path)] | None = Field(
        None,
        description="File that it is written to, of several runs with their ids in its name; null: a "
        "name with the id of the run. No `..`.",
    )
    include_memory_updates: bool = Field(False, description="Whether calls that update a memory are in it.")
    include_instructions: bool = Field(False, description="Whether system prompts are in it.")
    include_input_prompts: bool = Field(True, description="Whether questions are in it.")
    include_agent_responses: bool = Field(True, description="Whether answers are in it.")


def _rounds(value: Any) -> Any:
    return [value] if isinstance(value, int) and not isinstance(value, bool) else value


def _tiebreak(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    value = value.strip().casefold()
    return "order" if value == "seeded_deterministic" else value


class ManipulatorConfig(Wire):
    """``manipulator``: an agent with a hidden task."""

    name: AgentName = Field(description="Name of the agent that manipulates.")
    enabled: bool = Field(True, description="Whether it does; off, the run has no manipulator.")
    type: Annotated[Literal["hidden_target", "persuasive", "disruptive"], Lower] = Field(
        "hidden_target",
        description="hidden_target: win the group for the principle that it likes least; persuasive: win "
        "it for the "
        "agent's own first choice; disruptive: keep it from agreeing.",
    )
    intervention_round: Annotated[list[Annotated[Whole, Field(ge=1)]], BeforeValidator(_rounds)] | None = (
        Field(
            None,
            description="Round, or list of rounds, in which it is reminded of its task; null: "
            "hidden_target in round 1, "
            "the others in every round.",
        )
    )
    target_strategy: Annotated[Literal["least_popular_after_round1"], Lower] = Field(
        "least_popular_after_round1",
        description="How a hidden target is chosen: the least popular of the others' rankings at the end "
        "of phase 1, by "
        "Borda scores.",
    )
    intelligence_level: Annotated[str, Field(max_length=100)] | None = Field(
        None, description="A label of the study's arm; it is kept with the result and changes nothing."
    )
    tiebreak: Annotated[
        Literal["order", "seed", "report"],
        BeforeValidator(_tiebreak),
        WithJsonSchema({"type": "string", "enum": ["order", "seed", "report", "seeded_deterministic"]}),
    ] = Field(
        "order",
        description="Which of several least popular principles: the first of `tiebreak_order` (also written "
        "seeded_deterministic), one drawn with `tiebreak_seed`, or none (report).",
    )
    tiebreak_seed: Annotated[Whole, Field(ge=0)] | None = Field(
        None, description="Seed of a drawn tie-break; null: the run's."
    )
    tiebreak_order: list[PrincipleName] = Field(
        default_factory=list, max_length=4, description="Order of principles for ties; empty: alphabetical."
    )

    @model_validator(mode="after")
    def _each_once(self, info: ValidationInfo) -> Self:
        refuse(self.inconsistencies(), info)
        return self

    def inconsistencies(self) -> Iterator[Fault]:
        """What does not go together."""
        for index, principle in enumerate(self.tiebreak_order):
            if principle in self.tiebreak_order[:index] or principle not in list(Principle)[:4]:
                yield Fault(
                    f"tiebreak_order.{index}", f"{principle.value} must be named once, and be one of the four"
                )


class BudgetConfig(Wire):
    """``budget``: where a run stops; resumed with a higher one, it goes on."""

    tokens: Annotated[Whole, Field(ge=1)] | None = Field(
        None, description="Tokens, read and written, that a run may use; null: no limit."
    )
    calls: Annotated[Whole, Field(ge=1)] | None = Field(
        None, description="Model calls that a run may make; null: no limit."
    )
    seconds: Annotated[Whole, Field(ge=1)] | None = Field(
        None, description="Seconds that a run may work, over all its attempts; null: no limit."
    )
