"""Following runs to their ends, one or several at once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from deploy.cli.api import Api, ApiError, ServerEvent
from deploy.cli.experiment.events import RunEvents
from deploy.cli.experiment.screens import FollowedRun, Screen

#: When nothing came for so long, everything that had happened before was told.
_QUIET = 0.5  # seconds


@dataclass(frozen=True)
class _News:
    run: FollowedRun
    event: ServerEvent | None = None
    #: The run as it is at its end.
    experiment: dict[str, Any] | None = None
    error: Exception | None = None


def watch(
    api: Api,
    runs: Iterable[FollowedRun],
    screen: Screen,
    *,
    begin: Callable[[], FollowedRun | None] = lambda: None,
    ended: Callable[[FollowedRun], None] = lambda _: None,
    last_id: str | None = None,
) -> None:
    """Show what happens in ``runs``, until all have ended.

    Args:
        api: where they run.
        runs: that have begun.
        screen: what shows them.
        ended: called with each run that has ended.
        begin: called then; gives the next one to follow, if there is one.
        last_id: of the last event that is known already.

    Raises:
        ApiError: a run cannot be followed any more, or the next one was refused.
        KeyboardInterrupt: the runs go on.
    """
    news: queue.SimpleQueue[_News] = queue.SimpleQueue()

    def add(run: FollowedRun) -> None:
        threading.Thread(target=_read, args=(api, run, news, last_id), daemon=True).start()

    following = 0
    for run in runs:
        add(run)
        following += 1
    while following:
        try:
            told = news.get(timeout=_QUIET)
        except queue.Empty:
            screen.caught_up()
            continue
        if told.error is not None:
            raise told.error
        if told.event is not None:
            told.run.take(told.event)
            screen.event(told.run, told.event)
            continue
        told.run.experiment = told.experiment
        screen.ended(told.run)
        ended(told.run)
        following -= 1
        following_run = begin()
        if following_run is not None:
            add(following_run)
            following += 1


def _read(api: Api, run: FollowedRun, news: queue.SimpleQueue[_News], last_id: str | None) -> None:
    """Pass on the events of a run; in a thread of its own, which nothing waits for."""
    try:
        events = RunEvents(api, run.id, last_id)
        for event in events:
            news.put(_News(run, event=event))
        news.put(_News(run, experiment=events.experiment))
    except ApiError as error:
        news.put(_News(run, error=error))
    except Exception as error:  # shown by the thread that waits for it
        news.put(_News(run, error=error))
