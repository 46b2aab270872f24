"""What is allowed in a configuration and may not be what its author expects."""

from __future__ import annotations

from collections.abc import Iterator

from shared.schemas.experiment.config import ExperimentConfig
from shared.schemas.experiment.fault import Fault

#: The floors of the base table's distributions, which multipliers scale, and what groups usually agree on
#: (the mean of the earlier experiments' agreed floors), in dollars a year.
_LOWEST_FLOOR = 12_000
_USUAL_FLOOR = 14_000

#: Characters below which a memory hardly holds one event.
_SHORT_MEMORY = 500


def cautions(config: ExperimentConfig) -> list[Fault]:
    """What to tell the author of a valid configuration; nothing of it stops a run."""
    return [*_group(config), *_money(config), *_manipulator(config), *_without_effect(config)]


def _group(config: ExperimentConfig) -> Iterator[Fault]:
    wanted = config.phase2_settings.min_agents_for_experiment
    if len(config.agents) < wanted:
        yield Fault(
            "agents", f"are {len(config.agents)}; phase2_settings.min_agents_for_experiment is {wanted}"
        )
    for index, agent in enumerate(config.agents):
        if agent.memory_character_limit < _SHORT_MEMORY:
            yield Fault(
                f"agents.{index}.memory_character_limit",
                f"leaves room for {agent.memory_character_limit} characters: hardly for one event",
            )


def _money(config: ExperimentConfig) -> Iterator[Fault]:
    lowest = config.distribution_range_phase2[0]
    if lowest * _LOWEST_FLOOR >= _USUAL_FLOOR:
        yield Fault(
            "distribution_range_phase2",
            f"makes every floor of phase 2 at least ${lowest * _LOWEST_FLOOR:,.0f}: a floor constraint below "
            f"it (groups usually agree on about ${_USUAL_FLOOR:,}) never binds, and pays like the highest "
            "average",
        )


def _manipulator(config: ExperimentConfig) -> Iterator[Fault]:
    manipulator = config.manipulating
    if manipulator is None or config.imposed is not None:
        return
    agent = next(one for one in config.agents if one.name == manipulator.name)
    if not (agent.reasoning_enabled and config.phase2_settings.reasoning_enabled):
        yield Fault(
            "manipulator.name",
            f"names an agent that does not reason: {agent.name} has its task in its role only, no reminder",
        )


def _without_effect(config: ExperimentConfig) -> Iterator[Fault]:
    if config.batch_simple_events:
        yield Fault("batch_simple_events", "has no effect: simple events cost no call")
    if config.imposed is None:
        return
    if config.manipulating is not None:
        yield Fault("manipulator", "has no effect: the principle is imposed, and nobody discusses")
    if config.forced_ballot_last_round:
        yield Fault("forced_ballot_last_round", "has no effect: the principle is imposed")
