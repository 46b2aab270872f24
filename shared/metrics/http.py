"""Requests to the gateway, and the streams that it holds open."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from shared.metrics.registry import REGISTRY

#: By the route's template, never by the path that was asked for.
REQUESTS = Counter(
    "parley_http_requests_total",
    "Requests that were answered, by the status that the answer began with.",
    ["route", "method", "status"],
    registry=REGISTRY,
)
#: To the beginning of the answer: a stream lasts as long as what it tells of.
SECONDS = Histogram(
    "parley_http_request_seconds",
    "Time from a request's head to the head of its answer.",
    ["route", "method"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=REGISTRY,
)
#: Streams of events that clients read now.
STREAMS = Gauge(
    "parley_streams_open", "Event streams that this gateway holds open for clients.", registry=REGISTRY
)
