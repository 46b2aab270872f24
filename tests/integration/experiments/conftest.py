"""Somebody who runs experiments, on the session's stack."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.experiments.lab import Lab, config, connected, working
from tests.support.stack import Stack, StackUser

#: Runs in which somebody does not answer.
_SILENT = {
    "statement": ("agree", "agree+silent_statement"),
    "confirmation": ("agree", "agree+silent_confirmation"),
    "ballot": ("agree", "agree+silent_ballot", "agree"),
    "all ballots": ("agree+silent_ballot", "agree+silent_ballot"),
    "amount": ("agree", "agree+silent_amount"),
}


@pytest.fixture(scope="package")
def somebody(stack: Stack) -> tuple[StackUser, str]:
    """A user with a connection ``fake``, and the key that it sends there."""
    user = stack.user()
    return user, connected(user)


@pytest.fixture
async def lab(stack: Stack, somebody: tuple[StackUser, str]) -> AsyncIterator[Lab]:
    """Somebody who runs experiments; the fake model has forgotten what was before."""
    stack.model.reset()
    async with working(*somebody) as made:
        yield made


@pytest.fixture(scope="package", autouse=True)
def silent_runs(stack: Stack) -> tuple[StackUser, dict[str, str]]:
    """Runs that wait for time-outs, and their paths: begun before all others, so that nobody waits for them.

    Ten seconds are the shortest time that a configuration may give.
    """
    user = stack.user()
    connected(user)
    settings = {
        "max_statement_retries": 1,
        "two_stage_max_retries": 1,
        "statement_timeout_seconds": 10,
        "confirmation_timeout_seconds": 10,
        "two_stage_timeout_seconds": 10,
    }
    begun = {
        name: user.post("/api/experiments", json={"config": config(*plays, phase2_settings=settings)})
        for name, plays in _SILENT.items()
    }
    return user, {name: f"/api/experiments/{one['experiment_id']}" for name, one in begun.items()}
