"""Whether this process lives, and whether it can serve."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from fastapi import Response

from gateway.dependencies import State
from gateway.routing import make_router
from shared.schemas.health import Check, Live, Ready

logger = logging.getLogger(__name__)
router = make_router("/health", "operations")

#: Longest wait for one dependency, in seconds.
CHECK_TIMEOUT = 2.0


@router.get("/live")
async def live() -> Live:
    """The process answers; nothing else is looked at."""
    return Live()


@router.get("/ready", responses={503: {"model": Ready}})
async def ready(state: State, response: Response) -> Ready:
    """Each dependency by name; 503 when one does not answer, or while the process stops."""
    names = sorted(state.checks)
    results = await asyncio.gather(*(_check(name, state.checks[name]) for name in names))
    checks = dict(zip(names, results, strict=True))
    if state.stopping.is_set():
        answer = Ready(status="stopping", checks=checks)
    elif all(check.status == "ok" for check in results):
        return Ready(status="ready", checks=checks)
    else:
        answer = Ready(status="not_ready", checks=checks)
    response.status_code = 503
    return answer


async def _check(name: str, check: Callable[[], Awaitable[None]]) -> Check:
    started = time.perf_counter()
    outcome = "ok"
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            await check()
    except TimeoutError:
        outcome = "timeout"
    except Exception as error:
        logger.warning("%s does not answer: %s", name, type(error).__name__)
        outcome = "failed"
    return Check.model_validate(
        {"status": outcome, "milliseconds": round((time.perf_counter() - started) * 1000, 1)}
    )
