"""Counting requests, by the route that answered and not by the path that was asked for."""

from __future__ import annotations

from starlette.types import Scope

from gateway.auth import PROTECTED
from shared.metrics.http import REQUESTS, SECONDS

#: What stands for a path that no route has, or that was refused before a route was looked for.
NO_ROUTE = "(none)"
#: What stands for a method that HTTP does not have: a client may send any word.
OTHER_METHOD = "(other)"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def answered(scope: Scope, status: int, seconds: float) -> None:
    """A request got the head of its answer, ``seconds`` after its own."""
    method = scope["method"] if scope["method"] in METHODS else OTHER_METHOD
    route = route_of(scope)
    REQUESTS.labels(route, method, str(status)).inc()
    SECONDS.labels(route, method).observe(seconds)


def route_of(scope: Scope) -> str:
    """The template of the route that answers, as ``/api/jobs/{job_id}``."""
    path: str | None = getattr(scope.get("route"), "path", None)
    if path is None:
        return NO_ROUTE
    # A route knows the prefix of its own router, and not the one under which that is included.
    for prefix in PROTECTED:
        if scope["path"].startswith(prefix + "/") and not path.startswith(prefix + "/"):
            return prefix + path
    return path
