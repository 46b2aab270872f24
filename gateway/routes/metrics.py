"""The numbers of this process and of the cluster, for Prometheus."""

from __future__ import annotations

from fastapi import Request, Response
from starlette.datastructures import Headers

from gateway.auth import KeyScopeError, authenticate
from gateway.dependencies import State
from gateway.routing import make_router

router = make_router("", "operations")


@router.get("/metrics", response_class=Response)
async def metrics(request: Request, state: State) -> Response:
    """In Prometheus's format; needs a key of scope ``metrics``. ``PARLEY_METRICS_LISTEN`` is an address that
    needs none.
    """
    headers = Headers(scope=request.scope)
    caller = await authenticate(state, headers)
    if "metrics" not in caller.scopes:
        raise KeyScopeError("this needs a key of scope metrics: parley keys create USER --scope metrics")
    page, media_type = await state.exposition.page(headers.get("accept", ""))
    return Response(page, headers={"Content-Type": media_type, "Cache-Control": "no-store"})
