"""A stack whose gateway and worker tell their metrics."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.integration.metrics.scrape import Told, free_port, scrape
from tests.support.servers import running_redis
from tests.support.stack import Stack, StackUser, running_stack

_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Watched:
    """A stack, and the ports of its processes."""

    stack: Stack
    gateway: int
    worker: int

    async def told(self) -> Told:
        """What gateway and worker tell together."""
        pages = [await scrape(port) for port in (self.gateway, self.worker)]
        return Told(tuple(one for page in pages for one in page.samples))


@pytest.fixture(scope="module")
def watched(module_postgres_url: str) -> Iterator[Watched]:
    """A stack of this module's own: nobody else moves its metrics."""
    gateway, worker = free_port(), free_port()
    with (
        running_redis() as redis_url,
        running_stack(
            database_url=module_postgres_url,
            redis_url=redis_url,
            workers=0,
            gateways=0,
            namespace="watched",
            script_cpu=0.5,
            max_body=100_000,
            provider_retries=0,
        ) as stack,
    ):
        stack.start_worker(metrics_listen=f"127.0.0.1:{worker}")
        stack.start_gateway(metrics_listen=f"127.0.0.1:{gateway}")
        yield Watched(stack, gateway, worker)


@pytest.fixture
def someone(watched: Watched) -> StackUser:
    """A new user of that stack, whose default connection is the fake model."""
    watched.stack.model.reset()
    made = watched.stack.user(f"somebody-{next(_NUMBERS)}")
    made.connect()
    return made
