"""Whether this process lives, and whether it can serve."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from gateway.dependencies import State
from gateway.routing import make_router
from shared.schemas.health import Live, Ready

router = make_router("/health", "operations")


@router.get("/live")
async def live() -> Live:
    """The process answers; nothing else is looked at."""
    return Live()


@router.get("/ready", responses={503: {"model": Ready}})
async def ready(
    state: State,
    response: Response,
    exclude: Annotated[
        list[str],
        Query(
            default_factory=list,
            description="`redis`: answer 200 and `degraded` when it is Redis alone that fails. For load "
            "balancers: turns are accepted without it, and answered when it is back.",
        ),
    ],
) -> Ready:
    """Each dependency by name; 503 when one does not answer, or while the process stops."""
    answer = await state.readiness.look(exclude)
    if not answer.serves:
        response.status_code = 503
    return answer
