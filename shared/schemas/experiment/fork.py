"""A run that starts from a round of another: which keys may differ from there on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from shared.schemas.experiment.aliases import MEMORY_LIMIT, Given
from shared.schemas.experiment.config import ExperimentConfig
from shared.schemas.experiment.fault import Fault
from shared.schemas.experiment.identity import derived_seed
from shared.schemas.experiment.reading import ConfigError, read_config

#: Keys (or whole sections) that act from a round of phase 2 on; the others have already done their part.
CHANGEABLE = frozenset(
    {
        "phase2_rounds",
        "minimum_rounds",
        "initiation",
        "forced_ballot_last_round",
        "decision_rule",
        "open_agenda",
        "finished_agents_may_speak",
        "randomize_speaking_order",
        "speaking_order_strategy",
        "distribution_range_phase2",
        "payoff_distribution",
        "no_consensus_draw",
        "phase2_enhanced_transparency",
        "memory_guidance_style",
        "phase2_include_internal_reasoning_in_memory",
        "selective_memory_updates",
        "memory_update_threshold",
        "memory_statement_length",
        "memory_reasoning_length",
        "voting_context_length",
        "phase2_settings",
        "manipulator",
        "utility_agent_model",
        "utility_agent_temperature",
        "utility_agent_connection",
        "connection",
        "models",
        "max_answer_tokens",
        "budget",
        "logging",
        "transcript_logging",
    }
)

#: Keys of an agent that may differ: who it is stays.
CHANGEABLE_OF_AGENTS = frozenset({"model", "connection", "temperature"})


def changed(
    config: ExperimentConfig, changes: Mapping[str, Any], *, from_round: int | None = None
) -> ExperimentConfig:
    """``config`` as a fork goes on with it.

    Args:
        config: of the run that is forked.
        changes: keys as in a file; sections are merged, other values replaced. ``agents`` is a mapping from
            names to what differs of them.
        from_round: the first round with the changes.

    The seed becomes explicit, so that what is drawn before the round stays what it was.

    Raises:
        ConfigError: a key must not change here, or what comes of it is no valid configuration.
    """
    if MEMORY_LIMIT in changes:
        raise ConfigError([Fault(MEMORY_LIMIT, "must not change in a fork")])
    given = Given(changes)
    values = config.model_dump(mode="json")
    faults = [*given.faults, *_faults(given, config)]
    if faults:
        raise ConfigError(faults)
    for key, value in given.values.items():
        if key == "agents":
            for agent in values["agents"]:
                agent.update(value.get(agent["name"], {}))
        elif isinstance(values[key], dict) and isinstance(value, dict) and key != "models":
            values[key].update(value)
        else:
            values[key] = value
    values["seed"] = derived_seed(config)
    fork = read_config(values)
    if fork.imposed is not None:
        raise ConfigError([Fault("decision_rule", "cannot be imposed on a group that has begun to discuss")])
    if from_round is not None and not 1 <= from_round <= fork.phase2_rounds:
        raise ConfigError([Fault("round", f"must be 1 to {fork.phase2_rounds} (phase2_rounds)")])
    return fork


def _faults(given: Given, config: ExperimentConfig) -> Iterator[Fault]:
    for key, value in given.values.items():
        if key == "agents":
            yield from _agent_faults(value, config)
        elif key not in CHANGEABLE:
            known = key in type(config).model_fields
            yield Fault(key, "acts before the round: start a new run" if known else "is not a key here")


def _agent_faults(agents: Any, config: ExperimentConfig) -> Iterator[Fault]:
    if not isinstance(agents, Mapping):
        yield Fault("agents", "must map names of agents to what differs of them")
        return
    for name, differs in agents.items():
        if name not in config.names:
            yield Fault(f"agents.{name}", f"is no agent; the agents are {', '.join(config.names[:10])}")
        elif not isinstance(differs, Mapping):
            yield Fault(f"agents.{name}", "must be a mapping of keys")
        else:
            for key in sorted(differs.keys() - CHANGEABLE_OF_AGENTS):
                allowed = ", ".join(sorted(CHANGEABLE_OF_AGENTS))
                yield Fault(f"agents.{name}.{key}", f"must not change in a fork; {allowed} may")
