"""Whether this process lives, and whether it can serve."""

from __future__ import annotations

from fastapi import Response

from gateway.dependencies import State
from gateway.routing import make_router
from shared.schemas.health import Live, Ready

router = make_router("/health", "operations")


@router.get("/live")
async def live() -> Live:
    """The process answers; nothing else is looked at."""
    return Live()


@router.get("/ready", responses={503: {"model": Ready}})
async def ready(state: State, response: Response) -> Ready:
    """Each dependency by name; 503 when one does not answer, or while the process stops."""
    answer = await state.readiness.look()
    if answer.status != "ready":
        response.status_code = 503
    return answer
