"""Every metric that Parley tells, from where it is defined."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.metrics import MetricWrapperBase

import shared.metrics
from shared.metrics import cluster

#: Labels of what is told of the whole cluster.
_OF_CLUSTER = {
    cluster.DEPTH: ("kind",),
    cluster.OLDEST: ("kind",),
    cluster.JOBS: ("kind", "status"),
    cluster.HELD_BACK: ("kind",),
}


@dataclass(frozen=True, order=True)
class MetricEntry:
    """One metric.

    Attributes:
        name: as Prometheus's pages have it; of a histogram without the endings of its series.
        type: counter, gauge or histogram.
        labels: their names.
        help: what it means.
        of_cluster: whether every process that tells it tells the same: PromQL takes its ``max``.
    """

    name: str
    type: str
    labels: tuple[str, ...]
    help: str
    of_cluster: bool = False

    @property
    def series(self) -> dict[str, tuple[str, ...]]:
        """The names that stand in PromQL, each with its labels."""
        if self.type != "histogram":
            return {self.name: self.labels}
        more = {"_bucket": ("le",)}
        return {self.name + end: (*self.labels, *more.get(end, ())) for end in ("_bucket", "_sum", "_count")}


def catalogue() -> list[MetricEntry]:
    """Every metric of Parley, by name."""
    return sorted({*_counted(), *_of_cluster()})


def _counted() -> Iterator[MetricEntry]:
    for module in pkgutil.iter_modules(shared.metrics.__path__, "shared.metrics."):
        for value in vars(importlib.import_module(module.name)).values():
            # A metric with the labels of one series stands for nothing of its own.
            if isinstance(value, MetricWrapperBase) and not value._labelvalues:
                [family] = value.describe()
                name = family.name + ("_total" if family.type == "counter" else "")
                labels: tuple[str, ...] = tuple(value._labelnames)
                yield MetricEntry(name, family.type, labels, family.documentation)


def _of_cluster() -> Iterator[MetricEntry]:
    for name, meaning in cluster.HELP.items():
        yield MetricEntry(name, "gauge", _OF_CLUSTER.get(name, ()), meaning, of_cluster=True)
