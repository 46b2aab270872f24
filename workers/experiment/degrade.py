"""Going on without a service that failed: for memory, counterfactuals, manipulation and aggregation only."""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from shared.errors import ParleyError
from shared.schemas.events import EventType
from workers.experiment.steps.journal import Journal
from workers.experiment.steps.key import StepKey

log = logging.getLogger(__name__)

T = TypeVar("T")


async def degrade(
    journal: Journal,
    service: str,
    key: StepKey,
    work: Coroutine[Any, Any, T],
    fallback: T,
    *,
    asks: bool = False,
) -> T:
    """What ``work`` returns, or ``fallback`` when the service fails; the failure is recorded at ``key``.

    With ``asks``, models are asked for the work: it may fail once and not again, so that a failure which is
    recorded is not tried again, and the run stays the one that went on without the service. Any other work
    fails alike each time.

    A :class:`~shared.errors.ParleyError` is no failure of the service: the provider is away, the budget is
    used up, the replay diverged. It passes, and stops the run; so does that the journal cannot be kept.
    """
    at = key.part("degraded")
    told = journal.recorded_note(at) if asks else None
    if told is not None:
        work.close()
    else:
        try:
            return await work
        except ParleyError:
            raise
        except Exception as error:
            if journal.broken:
                raise
            log.warning("a service of an experiment failed", extra={"service": service}, exc_info=True)
            told = f"{type(error).__name__}: {error}"[:500]
    failure = journal.note(at, lambda: told)
    journal.emit(
        at.path,
        EventType.SERVICE_DEGRADED,
        {"service": service, "step": key.path, "message": failure},
    )
    return fallback
