"""Task events through Celery's dispatcher, from a thread and over a connection of their own."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from celery import Celery

from shared.jobs.watched import LASTING

log = logging.getLogger(__name__)

#: Events that may wait for a broker that is slow or away; what comes beyond is not told.
WAITING = 10_000
#: Events that one message carries.
TOGETHER = 500
#: Seconds for which events are gathered: a message costs the worker more than what is in it.
GATHER = 0.05
#: Seconds that somebody waits for events to be with the broker.
PATIENCE = 1.0

_Item = tuple[str, dict[str, Any]] | Callable[[], object] | None


class CeleryTaskEvents:
    """Sends task events while somebody listens, which is so for a time after they were asked for.

    Args:
        app: the Celery application.
        hostname: the worker's name, as its monitors know it.
    """

    def __init__(self, app: Celery, hostname: str) -> None:
        self._app = app
        self._hostname = hostname
        self._until = 0.0
        self._items: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._full = False

    @property
    def listening(self) -> bool:
        """Whether somebody asked for events lately."""
        return time.monotonic() < self._until

    def heed(self) -> None:
        """Somebody asks for events: they are sent from now on, for a time."""
        self._until = time.monotonic() + LASTING
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="task-events", daemon=True)
            self._thread.start()

    def ignore(self) -> None:
        """Nobody wants events any more."""
        self._until = 0.0

    def send(self, event: str, fields: dict[str, Any]) -> None:
        """Send an event soon; from any thread."""
        if self._items.qsize() >= WAITING:
            if not self._full:
                log.warning("the broker does not take task events: some are not told")
            self._full = True
            return
        self._full = False
        fields.setdefault("timestamp", time.time())
        self._items.put((event, fields))

    async def sent(self) -> None:
        """Return when what was sent before is with the broker, or after a second."""
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        self._items.put(lambda: loop.call_soon_threadsafe(done.set))
        try:
            async with asyncio.timeout(PATIENCE):
                await done.wait()
        except TimeoutError:
            log.warning("the broker is slow to take task events")

    def stop(self) -> None:
        """Send what waits, for a moment, and end."""
        self._until = 0.0
        if self._thread is not None:
            self._items.put(None)
            self._thread.join(PATIENCE)

    # In the thread --------------------------------------------------------------------------------------

    def _run(self) -> None:
        going_on = True
        while going_on:
            try:
                with (
                    self._app.connection_for_write() as connection,
                    self._app.events.Dispatcher(
                        connection,
                        hostname=self._hostname,
                        buffer_while_offline=False,
                        buffer_group=["task"],
                        buffer_limit=TOGETHER + 1,
                    ) as dispatcher,
                ):
                    while going_on:
                        going_on = self._send_some(dispatcher)
            except Exception as error:
                # What was under way is lost; the next events get a new connection.
                log.warning("task events could not be sent", extra={"error": type(error).__name__})
                time.sleep(PATIENCE)

    def _send_some(self, dispatcher: Any) -> bool:
        """Send what waits as one message; whether there is to be more."""
        item = self._items.get()
        time.sleep(GATHER)
        events = 0
        callbacks: list[Callable[[], object]] = []
        going_on = True
        while True:
            if item is None:
                going_on = False
            elif isinstance(item, tuple):
                dispatcher.send(item[0], **item[1])
                events += 1
            else:
                callbacks.append(item)
            if not going_on or events >= TOGETHER:
                break
            try:
                item = self._items.get_nowait()
            except queue.Empty:
                break
        if events:
            dispatcher.flush()
        for callback in callbacks:
            callback()
        return going_on
