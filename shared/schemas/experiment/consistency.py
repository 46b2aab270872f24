"""What a configuration must not say although each of its keys is well formed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shared.schemas.experiment.fault import Fault, UnsettledError

if TYPE_CHECKING:
    from shared.schemas.experiment.config import ExperimentConfig


def faults(config: ExperimentConfig) -> Iterator[Fault]:
    """What does not go together, with its paths; a check of keys that are not valid is left out."""
    for check in (_names, _phase_1, _phase_2, _rounds, _decision, _amount, _manipulator, _interventions):
        try:
            yield from check(config)
        except UnsettledError:
            continue


def same_name(one: str, other: str) -> bool:
    """Whether two names differ in case and blanks only."""
    return _folded(one) == _folded(other)


def _folded(name: str) -> str:
    return "".join(name.split()).casefold()


def _names(config: ExperimentConfig) -> Iterator[Fault]:
    first: dict[str, int] = {}
    for index, agent in enumerate(config.agents):
        try:
            name = agent.name
        except UnsettledError:
            continue
        before = first.setdefault(_folded(name), index)
        if before != index:
            yield Fault(
                f"agents.{index}.name",
                f"{name!r} is also the name of agents.{before}; names must differ in more than case "
                f"and blanks",
            )


def _phase_1(config: ExperimentConfig) -> Iterator[Fault]:
    yield from _range("distribution_range_phase1", *config.distribution_range_phase1)


def _phase_2(config: ExperimentConfig) -> Iterator[Fault]:
    yield from _range("distribution_range_phase2", *config.distribution_range_phase2)


def _range(key: str, lowest: float, highest: float) -> Iterator[Fault]:
    if lowest >= highest:
        yield Fault(
            key, f"must be [lowest, highest] with the lowest lower; {lowest:g} is not below {highest:g}"
        )


def _rounds(config: ExperimentConfig) -> Iterator[Fault]:
    if config.imposed is None and config.minimum_rounds > config.phase2_rounds:
        yield Fault(
            "minimum_rounds",
            f"{config.minimum_rounds} leaves no round to vote in; phase2_rounds is {config.phase2_rounds}",
        )


def _decision(config: ExperimentConfig) -> Iterator[Fault]:
    imposed = config.imposed
    if imposed is not None and imposed.constrained and config.imposed_amount is None:
        yield Fault("imposed_amount", f"must be given in dollars a year: {imposed.value} needs an amount")


def _amount(config: ExperimentConfig) -> Iterator[Fault]:
    imposed = config.imposed
    if config.imposed_amount is not None and (imposed is None or not imposed.constrained):
        yield Fault("imposed_amount", f"must be left out: decision_rule {config.decision_rule} has no amount")


def _manipulator(config: ExperimentConfig) -> Iterator[Fault]:
    manipulator = config.manipulator
    if manipulator is None:
        return
    if manipulator.name not in config.names:
        yield Fault(
            "manipulator.name",
            f"{manipulator.name!r} is no agent; the agents are {', '.join(config.names[:10])}",
        )


def _interventions(config: ExperimentConfig) -> Iterator[Fault]:
    manipulator = config.manipulator
    if manipulator is None:
        return
    for index, number in enumerate(manipulator.intervention_round or ()):
        if number > config.phase2_rounds:
            yield Fault(
                f"manipulator.intervention_round.{index}",
                f"{number} comes after the last round; phase2_rounds is {config.phase2_rounds}",
            )
