"""A process that traces, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from shared import tracing
from shared.settings import Settings
from tests.support.collector import Collector, Seen, collecting


@pytest.fixture(scope="module")
def listening() -> Iterator[Collector]:
    with collecting() as made:
        yield made


@pytest.fixture
def told(listening: Collector) -> Iterator[Callable[[], list[Seen]]]:
    """Trace in this process; to be called to stop that and have the spans, in the order of their ends."""
    listening.spans.clear()
    tracing.start(Settings(tracing="otlp", otlp_endpoint=listening.url), "test")

    def stop() -> list[Seen]:
        tracing.stop()
        return sorted(listening.spans, key=lambda one: one.ended)

    yield stop
    tracing.stop()
