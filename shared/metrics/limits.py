"""Limits that were run into: each is set somewhere, and can be set otherwise."""

from __future__ import annotations

from prometheus_client import Counter

from shared.metrics.registry import REGISTRY, begin_at_zero

#: What each limit is, and the setting that moves it.
LIMITS = {
    "request_body": "a request body was too large (max_body)",
    "query_wait": "no worker took up a short operation in time (query_timeout)",
    "client_queue": "a client read so slowly that it went back to replay (client_queue)",
    "pending_events": "a job stopped reading from its provider until Redis took its events (pending_bytes)",
    "connection_calls": "a call waited because its connection had enough in flight (max_in_flight)",
    "attempts": "a job failed because its attempts had failed (max_attempts)",
    "script_cpu": "a script computed for too long (script_cpu)",
    "script_between_calls": "a script was silent for too long (script_between_calls)",
    "script_total": "a script ran for too long (script_total)",
    "script_memory": "a script took too much memory (script_memory)",
    "script_output": "a script printed or published too much (script_output)",
    "script_calls": "a script called too many functions (script_calls)",
    "script_payload": "a script handed too much to a function (script_payload)",
    "script_recursion": "a script's functions called one another too deep",
}

#: How often each was hit. Owners who may not have more running are in ``parley_jobs_held_back``.
HITS = Counter("parley_limits_hit_total", "How often a limit was run into.", ["limit"], registry=REGISTRY)
begin_at_zero(HITS, [(limit,) for limit in LIMITS])


def hit(limit: str) -> None:
    """``limit`` was run into.

    Raises:
        KeyError: there is no such limit.
    """
    LIMITS[limit]
    HITS.labels(limit).inc()


def script_hit(limit: str) -> None:
    """A script says that it ran into ``limit``: what it says is not believed to be a name."""
    if (name := f"script_{limit}") in LIMITS:
        HITS.labels(name).inc()
