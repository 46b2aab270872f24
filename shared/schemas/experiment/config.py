"""The configuration of an experiment: every key, its meaning, its default, its range."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, model_validator

from shared.schemas.base import Wire
from shared.schemas.experiment import consistency
from shared.schemas.experiment.agent_config import AgentConfig
from shared.schemas.experiment.fault import Fault, refuse
from shared.schemas.experiment.phase2_settings import Phase2Settings
from shared.schemas.experiment.profile import Profile, with_profile
from shared.schemas.experiment.scalars import (
    LANGUAGE_NAMES,
    LARGEST,
    ConnectionName,
    Exact,
    LanguageName,
    Lower,
    ModelName,
    Number,
    Switch,
    Whole,
)
from shared.schemas.experiment.sections import (
    BudgetConfig,
    IncomeClassProbabilities,
    LoggingConfig,
    ManipulatorConfig,
    OriginalValuesMode,
    TranscriptLogging,
    Transparency,
)
from shared.schemas.experiment.terms import Averages, Language, Principle

MAX_AGENTS = 100
MAX_ROUNDS = 1000
SEEDS = 2**31

_IMPOSED = "imposed:"
_DECISION_RULES = ("unanimity", "majority", *(_IMPOSED + principle for principle in Principle))

#: Lowest and highest multiplier; each is over 0 and the lowest is lower.
MultiplierRange = tuple[Annotated[Number, Field(gt=0, le=1000)], Annotated[Number, Field(gt=0, le=1000)]]

#: Sections that stand for their defaults when they are null.
_SECTIONS = (
    "phase2_settings",
    "original_values_mode",
    "phase2_enhanced_transparency",
    "logging",
    "transcript_logging",
    "budget",
    "models",
)

#: Sections that ``true`` switches on and ``false`` off.
SWITCHED_SECTIONS = ("original_values_mode", "phase2_enhanced_transparency", "transcript_logging")


def _decision_rule(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    rule = "".join(value.split()).casefold()
    if rule == "unanimous":
        return "unanimity"
    if rule in _DECISION_RULES:
        return rule
    raise ValueError(
        "must be unanimity, majority, or imposed:<principle> with one of " + ", ".join(Principle)
    )


def _speaking(agents: Any, language: Any) -> Any:
    """The agents, with the experiment's language where they name none."""
    if not isinstance(agents, list):
        return agents
    understood = isinstance(language, Language) or (
        isinstance(language, str) and language.strip().casefold() in LANGUAGE_NAMES
    )
    default = {"language": language} if understood else {}
    return [
        {**default, **{key: value for key, value in agent.items() if key != "language" or value is not None}}
        if isinstance(agent, Mapping)
        else agent
        for agent in agents
    ]


class ExperimentConfig(Wire):
    """A whole configuration; what is not given has its default, of the profile where that has one.

    Everything that a run does follows from it, its seed, and the models' answers.
    """

    # Who takes part
    language: LanguageName = Field(
        Language.ENGLISH, description="Language of the experiment: English, Spanish or Mandarin (Chinese)."
    )
    agents: list[AgentConfig] = Field(
        min_length=2, max_length=MAX_AGENTS, description="The participants, in the order of the protocol."
    )
    utility_agent_model: ModelName = Field(
        "gpt-4.1-mini",
        description="Model that reads statements for the favoured principle, classifies failures and "
        "compresses "
        "memories; named as an agent's. It never counts votes.",
    )
    utility_agent_temperature: Number = Field(
        0.0, ge=0, le=2, description="Sampling temperature of the utility model."
    )
    utility_agent_connection: ConnectionName | None = Field(
        None,
        description="Stored connection of the utility model; null: the top-level `connection`, or by model.",
    )
    connection: ConnectionName | None = Field(
        None, description="Stored connection (name or id) for every model that names none; null: by model."
    )
    models: dict[str, ModelName] = Field(
        default_factory=dict,
        description="Models to use instead of those that are named: name to name, `*` for all others; "
        "`local` is the default of this service. One that names its connection leaves the file's.",
    )
    structured_output: Switch = Field(
        "auto",
        description="Whether answers are asked for by a JSON schema: where the provider can (auto), "
        "always, never.",
    )
    max_answer_tokens: Annotated[Whole, Field(ge=16, le=1_000_000)] | None = Field(
        None, description="Tokens that one answer may have; null: the provider's default."
    )
    seed: Annotated[Whole, Field(ge=0, lt=SEEDS)] | None = Field(
        None, description="Seed of every random draw, 0 to 2³¹ - 1; null: derived from the configuration."
    )

    # The protocol
    profile: Annotated[Profile, Lower] = Field(
        "original",
        description="Which experiment the defaults follow: original (the earlier experiments with models) "
        "or human "
        "(the one with people). It sets defaults only; each key can be given.",
    )
    phase2_rounds: Whole = Field(10, gt=0, le=MAX_ROUNDS, description="Rounds of discussion at most.")
    minimum_rounds: Whole = Field(
        1, ge=1, le=MAX_ROUNDS, description="No vote before this round has ended. Profile human: 2."
    )
    initiation: Annotated[Literal["first_yes", "all"], Lower] = Field(
        "first_yes",
        description="Who is asked whether to vote: one after the other in config order until the first "
        "yes, or all at "
        "once, the initiator being the first yes in an order drawn by seed. Profile human: all.",
    )
    forced_ballot_last_round: bool = Field(
        False, description="Whether the last round ends with a ballot that nobody needs to call for."
    )
    decision_rule: Annotated[
        str,
        BeforeValidator(_decision_rule),
        WithJsonSchema({"type": "string", "enum": list(_DECISION_RULES)}),
    ] = Field(
        "unanimity",
        description="unanimity; majority (more than half of all agents, abstentions counting as agents); or "
        "imposed:<principle>, with no discussion and no vote.",
    )
    imposed_amount: Annotated[Whole, Field(ge=1, le=LARGEST)] | None = Field(
        None, description="Amount of an imposed constraint, in dollars a year."
    )
    open_agenda: bool = Field(
        False,
        description="Whether agents may propose further principles for the ballot. Profile human: true.",
    )
    finished_agents_may_speak: bool = Field(
        True,
        description="Whether an agent that has asked for a vote goes on speaking; off, it is silent until "
        "a vote fails.",
    )
    randomize_speaking_order: bool = Field(
        True, description="Whether the order of speakers is drawn; off, it is `fixed`."
    )
    speaking_order_strategy: Annotated[Literal["random", "fixed", "conversational"], Lower] = Field(
        "random",
        description="How speakers are ordered: the whole round drawn at once, rotating, or each next speaker "
        "drawn when somebody has spoken. Nobody who spoke last opens the next round, and openings are fair.",
    )
    comprehension_test: bool = Field(
        False,
        description="Whether agents are tested on the explanation, and once more on failure. Profile "
        "human: true.",
    )
    frame: Annotated[Literal["gain", "loss"], Lower] = Field(
        "gain", description="Whether payoffs are told as gains, or as losses from a credit."
    )
    loss_frame_credit: Annotated[
        Exact,
        Field(gt=0, le=1_000_000, decimal_places=2),
        WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": 1_000_000}),
    ] = Field(Decimal(40), description="The credit of the loss frame, in dollars.")

    # Money
    original_values_mode: OriginalValuesMode = Field(
        default_factory=OriginalValuesMode, description="The printed tables instead of scaled ones."
    )
    averages: Annotated[Averages, Lower] = Field(
        Averages.WEIGHTED,
        description="weighted: by the class probabilities where they are given, else plain; plain: always "
        "the mean of "
        "the five incomes.",
    )
    income_class_probabilities: IncomeClassProbabilities | None = Field(
        None, description="How likely each class is; null: all alike."
    )
    class_probabilities_disclosed: bool = Field(
        True, description="Whether agents are told the probabilities of the classes. Profile human: false."
    )
    distribution_range_phase1: MultiplierRange = Field(
        (0.5, 2.0), description="Lowest and highest multiplier of the incomes of phase 1."
    )
    distribution_range_phase2: MultiplierRange = Field(
        (0.5, 2.0), description="Lowest and highest multiplier of the incomes of phase 2."
    )
    payoff_distribution: Annotated[Literal["best", "filtered_draw"], Lower] = Field(
        "best",
        description="What a decision pays from: the one distribution that the principle picks, or one "
        "drawn from those "
        "that are consistent with it. Profile human: filtered_draw.",
    )
    no_consensus_draw: Annotated[Literal["per_agent", "shared"], Lower] = Field(
        "per_agent",
        description="Without a decision a distribution is drawn: for each agent, or one for all. Profile "
        "human: shared.",
    )
    phase2_enhanced_transparency: Transparency = Field(
        default_factory=Transparency, description="What the results tell the agents."
    )

    # Prompts and memory
    memory_guidance_style: Annotated[Literal["narrative", "structured"], Lower] = Field(
        "structured", description="How agents are told to keep their memory: as a story, or under headings."
    )
    include_experiment_explanation: bool = Field(
        True,
        description="Whether system prompts explain the experiment until the agent has a memory; how the "
        "group decides is explained in phase 2 in any case.",
    )
    include_experiment_explanation_each_turn: bool = Field(
        False, description="Whether they explain it at every call."
    )
    phase2_include_internal_reasoning_in_memory: bool = Field(
        False, description="Whether an agent's memory update holds its own private reasoning."
    )
    selective_memory_updates: bool = Field(
        True, description="Whether simple events are appended to a memory without a model call."
    )
    memory_update_threshold: Annotated[Literal["minimal", "moderate", "comprehensive"], Lower] = Field(
        "moderate",
        description="Which events an agent rewrites its memory for, the others being appended: minimal, "
        "rounds of the group, the way into it and the results; moderate, those and every step of phase 1; "
        "comprehensive, votes as well.",
    )
    memory_statement_length: Whole = Field(
        300,
        ge=50,
        le=100_000,
        description="Characters of each statement that an agent is told of for its memory: its first whole "
        "sentences.",
    )
    memory_reasoning_length: Whole = Field(
        200, ge=50, le=100_000, description="The same, of each private reasoning."
    )
    voting_context_length: Whole = Field(
        2400,
        ge=400,
        le=1_000_000,
        description="Characters of a round's statements in a question about a vote, shared out among those "
        "who spoke.",
    )
    batch_simple_events: bool = Field(
        False, description="Read for older files; simple events cost no call and need no batching."
    )
    enable_intelligent_retries: bool = Field(
        True,
        description="Whether the utility model classifies what was wrong with a statement before it is "
        "asked again.",
    )
    max_participant_retries: Whole = Field(
        2,
        ge=0,
        le=5,
        description="How often an answer of phase 1 or a ranking that cannot be read is asked for again.",
    )
    enable_progressive_guidance: bool = Field(
        True, description="Whether each further try is told more about the form of the answer."
    )
    memory_update_on_retry: bool = Field(
        True, description="Whether an agent's memory keeps that an answer had to be given again."
    )
    retry_feedback_detail: Annotated[Literal["concise", "detailed"], Lower] = Field(
        "concise", description="How much a further try is told about what was wrong."
    )

    phase2_settings: Phase2Settings = Field(
        default_factory=Phase2Settings, description="Retries, timeouts, lengths and voting of phase 2."
    )
    manipulator: ManipulatorConfig | None = Field(
        None, description="An agent with a hidden task; null: none."
    )

    # The run
    budget: BudgetConfig = Field(default_factory=BudgetConfig, description="Where a run stops.")
    logging: LoggingConfig = Field(default_factory=LoggingConfig, description="What the terminal shows.")
    transcript_logging: TranscriptLogging = Field(
        default_factory=TranscriptLogging, description="The transcript that the command line writes."
    )

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, values: Any) -> Any:
        """The profile's defaults, the experiment's language for agents that name none, defaults for null."""
        if not isinstance(values, Mapping):
            return values
        filled = {key: value for key, value in values.items() if value is not None or key not in _SECTIONS}
        filled = with_profile(filled)
        for section in SWITCHED_SECTIONS:
            if isinstance(filled.get(section), bool):
                filled[section] = {"enabled": filled[section]}
        manipulator = filled.get("manipulator")
        if isinstance(manipulator, Mapping) and manipulator.get("enabled") is False:
            filled["manipulator"] = None if "name" not in manipulator else manipulator
        filled["agents"] = _speaking(filled.get("agents"), filled.get("language"))
        if filled["agents"] is None:
            del filled["agents"]
        return filled

    @model_validator(mode="after")
    def _goes_together(self, info: ValidationInfo) -> Self:
        refuse(self.inconsistencies(), info)
        return self

    def inconsistencies(self) -> Iterator[Fault]:
        """What does not go together, sections for themselves left out."""
        return consistency.faults(self)

    @property
    def names(self) -> tuple[str, ...]:
        """The agents' names, in order."""
        return tuple(agent.name for agent in self.agents)

    @property
    def imposed(self) -> Principle | None:
        """The principle that is imposed on the group, if one is."""
        if not self.decision_rule.startswith(_IMPOSED):
            return None
        return Principle(self.decision_rule.removeprefix(_IMPOSED))

    @property
    def manipulating(self) -> ManipulatorConfig | None:
        """The manipulator, unless there is none or it is switched off."""
        return self.manipulator if self.manipulator is not None and self.manipulator.enabled else None
