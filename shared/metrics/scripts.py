"""Scripts of modules."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from shared.metrics.registry import REGISTRY

#: Whether scripts can be confined here, and so are run.
AVAILABLE = Gauge(
    "parley_scripts_available", "Whether this worker runs scripts, or refuses them.", registry=REGISTRY
)
#: Runs of scripts, from when they got a process to their end.
SECONDS = Histogram(
    "parley_script_seconds",
    "Time that a script ran, its model calls included, and the wait for a process not.",
    buckets=(0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60),
    registry=REGISTRY,
)
#: Told when a process has ended. The worker's own time, ``process_cpu_seconds_total``, has none of it.
CPU_SECONDS = Counter(
    "parley_script_cpu_seconds_total",
    "CPU time of the processes that scripts run in, which the worker's own does not include.",
    registry=REGISTRY,
)
#: Runs that failed, by the kind of their error.
ERRORS = Counter(
    "parley_script_errors_total", "Runs of scripts that failed, by why.", ["kind"], registry=REGISTRY
)
