"""A stack that traces, and the collector that it traces to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.chat.talk import Talk, talking
from tests.support.collector import Collector, collecting
from tests.support.servers import running_redis
from tests.support.stack import Stack, running_stack


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """What the spans of this module's tests come to."""
    with collecting() as made:
        yield made


@pytest.fixture(scope="module")
def traced_stack(module_postgres_url: str, collector: Collector) -> Iterator[Stack]:
    """One gateway and one worker that trace; nothing of them may be stopped."""
    with (
        running_redis() as redis_url,
        running_stack(
            database_url=module_postgres_url,
            redis_url=redis_url,
            tracing="otlp",
            otlp_endpoint=collector.url,
        ) as stack,
    ):
        yield stack


@pytest.fixture
async def talk(traced_stack: Stack) -> AsyncIterator[Talk]:
    """A new user of the traced stack, whose default connection is the fake model."""
    traced_stack.model.reset()
    user = traced_stack.user()
    user.connect()
    async with talking(user) as made:
        yield made
