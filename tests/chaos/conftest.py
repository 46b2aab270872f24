"""The system that a chaos test breaks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest

from deploy.local.valkey import EmbeddedValkey
from tests.chaos.system import System, running_system

RunSystem = Callable[..., AbstractAsyncContextManager[System]]


@pytest.fixture
def run_system(postgres_url: str, own_valkey: EmbeddedValkey) -> RunSystem:
    """Starts a system: ``run_system(workers=2, gateways=2, proxied=False, **settings)``."""
    return partial(running_system, database_url=postgres_url, redis=own_valkey)


@pytest.fixture
async def system(run_system: RunSystem) -> AsyncIterator[System]:
    """Two workers and two gateways, connected directly."""
    async with run_system() as made:
        yield made
