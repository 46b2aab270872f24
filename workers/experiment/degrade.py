"""Going on without a service that failed: for memory, counterfactuals, manipulation and aggregation only."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import TypeVar

from shared.errors import ParleyError
from shared.schemas.events import EventType
from workers.experiment.steps.journal import Journal
from workers.experiment.steps.key import StepKey

log = logging.getLogger(__name__)

T = TypeVar("T")


async def degrade(journal: Journal, service: str, key: StepKey, work: Awaitable[T], fallback: T) -> T:
    """What ``work`` returns, or ``fallback`` when the service fails; the failure is recorded at ``key``.

    A :class:`~shared.errors.ParleyError` is no failure of the service: the provider is away, the budget is
    used up, the replay diverged. It passes, and stops the run.
    """
    try:
        return await work
    except ParleyError:
        raise
    except Exception as error:
        log.warning("a service of an experiment failed", extra={"service": service}, exc_info=True)
        told = f"{type(error).__name__}: {error}"[:500]
        failure = journal.note(key.part("degraded"), lambda: told)
        journal.emit(
            key.part("degraded").path,
            EventType.SERVICE_DEGRADED,
            {"service": service, "step": key.path, "message": failure},
        )
        return fallback
