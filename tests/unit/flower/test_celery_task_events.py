"""Events on their way to the broker: in order, apart from the loop, and never in anybody's way."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.events import EventReceiver
from kombu import Consumer

from workers import task_events
from workers.task_events import CeleryTaskEvents

NAME = "worker-1@here"


@pytest.fixture
def app() -> Iterator[Celery]:
    """An application whose broker is in memory."""
    made = Celery("of-the-test", broker="memory://", set_as_current=False)
    yield made
    made.close()


@pytest.fixture
def sender(app: Celery) -> Iterator[CeleryTaskEvents]:
    made = CeleryTaskEvents(app, NAME)
    yield made
    made.stop()


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def received(app: Celery, count: int, send: Any) -> list[dict[str, Any]]:
    """What a monitor receives of what ``send`` sends."""
    events: list[dict[str, Any]] = []
    with app.connection_for_read() as connection:
        receiver = EventReceiver(connection, handlers={"*": events.append}, app=app)
        channel = connection.default_channel
        with Consumer(channel, [receiver.queue], callbacks=[receiver._receive], accept=["json"]):
            send()
            deadline = time.monotonic() + 10
            while len(events) < count and time.monotonic() < deadline:
                try:
                    connection.drain_events(timeout=0.1)
                except TimeoutError:
                    continue
    return events


def test_it_costs_no_thread_until_somebody_listens(sender: CeleryTaskEvents) -> None:
    assert not sender.listening
    assert "task-events" not in threads()
    sender.heed()
    assert sender.listening
    assert "task-events" in threads()


def test_listening_wears_off(sender: CeleryTaskEvents, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_events, "LASTING", 0.05)
    sender.heed()
    assert sender.listening
    time.sleep(0.06)
    assert not sender.listening


def test_it_ends_when_asked(sender: CeleryTaskEvents) -> None:
    sender.heed()
    sender.ignore()
    assert not sender.listening


def test_events_come_in_their_order_and_under_the_workers_name(app: Celery, sender: CeleryTaskEvents) -> None:
    sender.heed()

    def send() -> None:
        for number in range(250):
            sender.send("task-received", {"uuid": str(number)})

    events = received(app, 250, send)
    assert [event["uuid"] for event in events] == [str(number) for number in range(250)]
    assert {event["hostname"] for event in events} == {NAME}
    assert {event["type"] for event in events} == {"task-received"}


async def test_sent_means_with_the_broker(app: Celery, sender: CeleryTaskEvents) -> None:
    sender.heed()
    sender.send("task-retried", {"uuid": "1"})
    began = time.monotonic()
    await sender.sent()
    assert time.monotonic() - began < task_events.PATIENCE


async def test_a_broker_that_is_away_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(task_events, "WAITING", 3)
    monkeypatch.setattr(task_events, "PATIENCE", 0.1)
    app = Celery("away", broker="redis://127.0.0.1:1/0", set_as_current=False)
    sender = CeleryTaskEvents(app, NAME)
    sender.heed()
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        for number in range(20):
            sender.send("task-received", {"uuid": str(number)})
        await sender.sent()
    assert sender._items.qsize() <= 5
    sender.stop()
    assert time.monotonic() - began < 2
    assert [record.message for record in caplog.records].count(
        "the broker does not take task events: some are not told"
    ) == 1
    app.close()
