"""Celery's remote control, where what it says of tasks is to be said of jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from celery.worker import control

from workers.jobs.running import RunningAttempt
from workers.jobs.task_events import described
from workers.task_events import CeleryTaskEvents


def install(
    events: CeleryTaskEvents,
    hostname: str,
    running: Callable[[], Iterable[RunningAttempt]],
    mark: Callable[[bool], None],
) -> None:
    """Answer monitors about jobs. Before the worker's consumer starts.

    Args:
        events: what monitors switch on and off.
        hostname: the worker's name.
        running: the attempts that run now.
        mark: notes for other processes that somebody watches, or watches no more.
    """
    enable, disable = control.Panel.data["enable_events"], control.Panel.data["disable_events"]

    @control.control_command(name="enable_events")  # type: ignore[untyped-decorator]
    def enable_events(state: Any) -> Any:
        """Tell worker(s) to send task-related events."""
        events.heed()
        mark(True)
        return enable(state)

    @control.control_command(name="disable_events")  # type: ignore[untyped-decorator]
    def disable_events(state: Any) -> Any:
        """Tell worker(s) to stop sending task-related events."""
        events.ignore()
        mark(False)
        return disable(state)

    @control.inspect_command(name="active", alias="dump_active")  # type: ignore[untyped-decorator]
    def active(state: Any, safe: bool = False, **_: Any) -> list[dict[str, Any]]:
        """List of tasks currently being executed."""
        return [_active(attempt, hostname) for attempt in running()]


def _active(attempt: RunningAttempt, hostname: str) -> dict[str, Any]:
    """A running job as Celery describes a request."""
    told = described(attempt.job)
    return {
        "id": told["uuid"],
        "name": told["name"],
        "args": told["args"],
        "kwargs": told["kwargs"],
        "type": told["name"],
        "hostname": hostname,
        "time_start": attempt.began,
        "acknowledged": True,
        "delivery_info": {},
        "worker_pid": None,
    }
