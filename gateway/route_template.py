"""The route of a request as it is written down, so that all its requests have one name."""

from __future__ import annotations

from starlette.routing import Route
from starlette.types import Scope


def route_template(scope: Scope) -> str | None:
    """``/api/chat/status/{session_id}``, once the request was routed; ``None`` when it has no route."""
    route = scope.get("route")
    if not isinstance(route, Route):
        return None
    # A route knows its path below the routers that it is in; what comes before it is a constant of ours.
    before, path = "", scope["path"]
    while not route.path_regex.match(path):
        segment, slash, rest = path[1:].partition("/")
        if not slash:
            return None
        before, path = f"{before}/{segment}", f"/{rest}"
    return before + route.path_format
