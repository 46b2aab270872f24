"""The promises, under everything that can happen, in any order.

``PARLEY_SIMULATION_SEEDS=17`` or ``0-500`` replays runs; a failure prints its seed and what happened.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from shared.settings import Settings
from tests.integration.jobs.simulation.truth import Truth
from tests.integration.jobs.simulation.world import simulate

#: Seconds for the runs of the main suite, and of the long one.
BUDGET = 15.0
LONG_BUDGET = 600.0


def seeds() -> Iterator[int]:
    given = os.environ.get("PARLEY_SIMULATION_SEEDS")
    if given is None:
        yield from range(10**6)
    else:
        first, _, last = given.partition("-")
        yield from range(int(first), int(last or first) + 1)


def live_for(seconds: float, settings: Settings, truth: Truth) -> int:
    began, lived = time.monotonic(), 0
    for seed in seeds():
        simulate(seed, settings, truth)
        lived += 1
        if time.monotonic() - began > seconds:
            break
    return lived


def test_the_promises_are_kept(world_settings: Settings, truth: Truth) -> None:
    assert live_for(BUDGET, world_settings, truth) >= 1


def test_the_promises_are_kept_while_owners_are_held_back(world_settings: Settings, truth: Truth) -> None:
    assert live_for(BUDGET, world_settings.model_copy(update={"owner_running": 1}), truth) >= 1


@pytest.mark.slow
def test_the_promises_are_kept_for_long(world_settings: Settings, truth: Truth) -> None:
    assert live_for(LONG_BUDGET, world_settings, truth) >= 1
