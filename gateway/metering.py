"""Counting requests, by the route that answered and not by the path that was asked for."""

from __future__ import annotations

from functools import lru_cache

from prometheus_client import Counter, Histogram
from starlette.types import Scope

from gateway.route_template import route_template
from shared.metrics.http import REQUESTS, SECONDS

#: What stands for a path that no route has, or that was refused before a route was looked for.
NO_ROUTE = "(none)"
#: What stands for a method that HTTP does not have: a client may send any word.
OTHER_METHOD = "(other)"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def answered(scope: Scope, status: int, seconds: float) -> None:
    """A request got the head of its answer, ``seconds`` after its own."""
    method = scope["method"] if scope["method"] in METHODS else OTHER_METHOD
    requests, times = _series(route_template(scope) or NO_ROUTE, method, status)
    requests.inc()
    times.observe(seconds)


@lru_cache(maxsize=4096)
def _series(route: str, method: str, status: int) -> tuple[Counter, Histogram]:
    """Finding a series by its labels costs more than all the rest."""
    return REQUESTS.labels(route, method, str(status)), SECONDS.labels(route, method)
