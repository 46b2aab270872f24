"""The metrics of this process."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, disable_created_metrics

# A time of creation for each series would double what is stored, and nobody asks for it.
disable_created_metrics()  # type: ignore[no-untyped-call]

#: Everything that this process counts, and what the system says of it: CPU, memory, open files.
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

#: Which process this is; the value is 1.
PROCESS = Gauge(
    "parley_process",
    "A process of Parley, by its role (gateway, worker, maintenance) and version.",
    ["role", "version"],
    registry=REGISTRY,
)


def begin_at_zero(metric: Counter, values: Iterable[Iterable[str]]) -> None:
    """Tell of series before the first event: what appears with its first value does not look like a rise."""
    for labels in values:
        metric.labels(*labels)
