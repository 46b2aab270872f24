"""Calls to providers of models."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Histogram

from shared.errors import ModelNotFoundError, OutboundAddressError, ProviderError, ProviderTimeoutError
from shared.metrics.registry import REGISTRY

#: Calls, from the moment in which they may be made to the end of their answer, retries included.
SECONDS = Histogram(
    "parley_provider_call_seconds",
    "Time that a call to a provider took, its retries included, successful or not.",
    ["provider"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600),
    registry=REGISTRY,
)
#: Calls that failed for good, by the code that clients are told.
ERRORS = Counter(
    "parley_provider_errors_total",
    "Calls to providers that failed, after their retries.",
    ["provider", "code"],
    registry=REGISTRY,
)

_FAILURES = (ProviderError, ModelNotFoundError, OutboundAddressError)


@contextmanager
def provider_call(provider: str) -> Iterator[None]:
    """One call to ``provider`` (its kind, not its name): how long it takes, and how it fails."""
    began = time.perf_counter()
    try:
        yield
    except _FAILURES as error:
        ERRORS.labels(provider, error.code).inc()
        raise
    except TimeoutError:
        ERRORS.labels(provider, ProviderTimeoutError.code).inc()
        raise
    finally:
        SECONDS.labels(provider).observe(time.perf_counter() - began)
