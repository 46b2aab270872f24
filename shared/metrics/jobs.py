"""Jobs as one process runs, ends and takes them over."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from shared.jobs.states import JobKind, Status
from shared.metrics.registry import REGISTRY, begin_at_zero

#: How an attempt can end in this process; see ``workers.jobs.runner``.
ATTEMPT_ENDS = ("succeeded", "failed", "cancelled", "handed over", "fenced", "broken")

#: Attempts that this worker runs now.
RUNNING = Gauge("parley_jobs_running", "Attempts that this worker runs.", ["kind"], registry=REGISTRY)
#: Attempts that it may run at once.
SLOTS = Gauge("parley_job_slots", "Attempts that this worker may run at once.", registry=REGISTRY)
#: 1 for each kind of job that it takes up.
SERVED = Gauge(
    "parley_queue_served", "Whether this worker takes up jobs of the kind.", ["kind"], registry=REGISTRY
)
#: Attempts that came to an end here.
ATTEMPTS = Counter(
    "parley_attempts_total",
    "Attempts that ended in this worker, by how.",
    ["kind", "outcome"],
    registry=REGISTRY,
)
#: Jobs whose outcome this process committed.
DECIDED = Counter(
    "parley_jobs_decided_total",
    "Jobs whose outcome this process committed, by what it was.",
    ["kind", "status"],
    registry=REGISTRY,
)
#: Attempts whose lease ran out, and whose job somebody else may now take up.
TAKEOVERS = Counter(
    "parley_lease_takeovers_total",
    "Attempts that were condemned because their lease was not renewed.",
    ["kind"],
    registry=REGISTRY,
)
#: From when a job could be taken up to when it was; of first attempts.
WAIT = Histogram(
    "parley_job_wait_seconds",
    "Time from when a job could be taken up until this worker took it up; first attempts only.",
    ["kind"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800),
    registry=REGISTRY,
)
#: When this process last swept.
SWEPT = Gauge(
    "parley_sweep_timestamp_seconds",
    "When this process last finished a sweep of which no part failed, in seconds since the epoch; 0: never.",
    registry=REGISTRY,
)

_DECISIONS = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)
begin_at_zero(ATTEMPTS, [(kind, outcome) for kind in JobKind for outcome in ATTEMPT_ENDS])
begin_at_zero(DECIDED, [(kind, status) for kind in JobKind for status in _DECISIONS])
begin_at_zero(TAKEOVERS, [(kind,) for kind in JobKind])
