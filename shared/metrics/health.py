"""Whether a process can do its work, and what the answers of its servers count as."""

from __future__ import annotations

from prometheus_client import Gauge

from shared.metrics.registry import REGISTRY

#: 1 when the server answered the last check of this process, else 0.
DEPENDENCY_UP = Gauge(
    "parley_dependency_up",
    "Whether a server that the process needs answered when it was last asked.",
    ["dependency"],
    registry=REGISTRY,
)
