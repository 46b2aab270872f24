"""The page that Prometheus reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

import shared
from shared.metrics.cluster import Cluster
from shared.metrics.registry import PROCESS, REGISTRY
from shared.readiness import Readiness


class Exposition:
    """Everything that this process tells.

    Args:
        role: which process this is: gateway, worker, maintenance.
        readiness: asked with each page, for ``parley_dependency_up``.
        cluster: what is told of the whole cluster; ``None``: nothing.
        observe: called before each page, for what is cheaper to look at then than to count all the time.
    """

    def __init__(
        self,
        role: str,
        readiness: Readiness,
        *,
        cluster: Cluster | None = None,
        observe: Callable[[], None] = lambda: None,
    ) -> None:
        PROCESS.labels(role, shared.__version__).set(1)
        self._readiness = readiness
        self._cluster = cluster
        self._observe = observe

    async def page(self, accept: str = "") -> tuple[bytes, str]:
        """The page and its media type, in the format that an ``Accept`` header asks for."""
        _, families = await asyncio.gather(self._readiness.look(), self._of_cluster())
        self._observe()
        encode, media_type = choose_encoder(accept)
        # Writing the page of a gateway takes 10 ms and more, for which no stream is to stand still.
        return await asyncio.to_thread(encode, _Together(families)), media_type

    async def _of_cluster(self) -> Sequence[Metric]:
        return () if self._cluster is None else await self._cluster.families()


class _Together(Collector):
    """What the process and what the cluster tells."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from REGISTRY.collect()
        yield from self._families
