"""How the group's phase is run: retries, timeouts, lengths, voting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import Field, ValidationInfo, model_validator

from shared.schemas.base import Wire
from shared.schemas.experiment.fault import Fault, refuse
from shared.schemas.experiment.scalars import LARGEST, Number, Whole
from shared.schemas.experiment.terms import Language

#: Seconds that one model call of a run may take.
Timeout = Annotated[Number, Field(ge=10, le=600)]


class Phase2Settings(Wire):
    """``phase2_settings`` of a configuration. "Tries" counts the first one too: 3 are at most 3 questions."""

    min_statement_length: Whole = Field(
        10, ge=1, le=10_000, description="Characters that a statement must have, in English and Spanish."
    )
    min_statement_length_cjk: Whole = Field(
        5, ge=1, le=10_000, description="Characters that a statement must have, in Mandarin."
    )
    statement_validation_enabled: bool = Field(
        True, description="Whether statements that are too short are asked for again; empty ones always are."
    )
    max_statement_retries: Whole = Field(
        3, ge=1, le=10, description="Tries for a statement that is valid, and for an answer on initiation."
    )
    max_memory_retries: Whole = Field(5, ge=1, le=10, description="Tries for one memory update.")
    retry_backoff_factor: Number = Field(
        1.5,
        ge=1,
        le=3,
        description="Growth of the wait between two tries that failed at the provider; an answer that "
        "cannot be "
        "read is asked for again at once.",
    )
    statement_timeout_seconds: Timeout = Field(
        600, description="Seconds for one statement, and for any call that has no timeout of its own."
    )
    confirmation_timeout_seconds: Timeout = Field(
        600, description="Seconds for one answer on whether a vote is held."
    )
    ballot_timeout_seconds: Timeout = Field(
        600, description="Seconds for one ballot when principle and amount are asked together."
    )
    reasoning_enabled: bool = Field(
        True,
        description="Whether agents think for themselves before they speak (unless the agent's own key is "
        "off).",
    )
    reasoning_timeout_seconds: Timeout = Field(600, description="Seconds for one private reasoning.")
    reasoning_max_retries: Whole = Field(2, ge=1, le=5, description="Tries for one private reasoning.")
    memory_compression_threshold: Number = Field(
        0.9,
        ge=0.5,
        le=0.95,
        description="Share of the memory limit from which on the utility model compresses a memory.",
    )
    memory_validation_strict: bool = Field(
        True, description="Whether a rewritten memory that is empty or over the limit is asked for again."
    )
    constraint_tolerance: Whole = Field(
        0,
        ge=0,
        le=LARGEST,
        description="Dollars that agreed amounts may differ by, highest less lowest; what is agreed is "
        "their median, "
        "of an even number the lower middle one.",
    )
    public_history_max_length: Whole = Field(
        50_000,
        ge=10_000,
        le=10_000_000,
        description="Characters of the public discussion that a prompt holds; older whole statements are "
        "left out.",
    )
    quarantine_failed_responses: bool = Field(
        True,
        description="Whether a neutral line stands for the statement of an agent that gave no valid one.",
    )
    min_agents_for_experiment: Whole = Field(
        2, ge=2, le=100, description="Agents below which a run is reported as too small; it still runs."
    )
    constraint_correction_enabled: bool = Field(
        True, description="Whether an agent whose constraint has no valid amount is asked for it once more."
    )
    constraint_correction_timeout_seconds: Timeout = Field(
        600, description="Seconds for one correction of an amount."
    )
    max_constraint_correction_attempts: Whole = Field(
        2, ge=1, le=5, description="Tries for one correction of an amount."
    )
    two_stage_voting_enabled: bool = Field(
        True,
        description="Whether ballots ask for the principle first and then for its amount; off, both at once.",
    )
    two_stage_max_retries: Whole = Field(
        3, ge=1, le=10, description="Tries for each stage of a ballot, and for a confirmation."
    )
    two_stage_timeout_seconds: Timeout = Field(
        600, description="Seconds for one answer of a stage of a ballot."
    )
    amount_range_validation: bool = Field(
        True, description="Whether amounts must lie between the two following keys."
    )
    amount_min_reasonable: Whole = Field(
        1000, ge=1, le=LARGEST, description="Smallest amount of a constraint, in dollars a year."
    )
    amount_max_reasonable: Whole = Field(
        10_000_000, ge=100, le=LARGEST, description="Largest amount of a constraint, in dollars a year."
    )
    prompt_based_voting: bool = Field(
        True,
        description="Whether agents are asked after each round if they want to vote. Off, a vote is called "
        "by a line of its own in a statement.",
    )
    log_statement_preview_length: Whole = Field(
        100, ge=50, le=500, description="Characters of a statement that logs show."
    )

    @model_validator(mode="after")
    def _goes_together(self, info: ValidationInfo) -> Self:
        refuse(self.inconsistencies(), info)
        return self

    def inconsistencies(self) -> Iterator[Fault]:
        """What does not go together."""
        if self.amount_min_reasonable > self.amount_max_reasonable:
            yield Fault(
                "amount_min_reasonable",
                f"must not be more than amount_max_reasonable ({self.amount_max_reasonable})",
            )

    @property
    def two_stage_voting_max_retries(self) -> int:
        """``two_stage_max_retries`` by its other name."""
        return self.two_stage_max_retries

    def statement_length(self, language: Language) -> int:
        """Characters that a statement in ``language`` must have."""
        return self.min_statement_length_cjk if language is Language.MANDARIN else self.min_statement_length
