"""What Celery's own tools hear of a worker: of jobs only from asking for it to saying that it is enough."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import Celery
from celery.events import EventReceiver
from kombu import Consumer

from shared.jobs.wakeups import configure
from shared.settings import Settings
from tests.integration.flower.watching import ask
from tests.support.stack import Stack, StackUser

_PATIENCE = 30.0  # seconds

Events = list[dict[str, Any]]


@pytest.fixture
def app(stack: Stack) -> Iterator[Celery]:
    """An operator's own Celery application on the stack's broker."""
    made = Celery("operator", set_as_current=False)
    configure(made, Settings(redis_url=stack.redis_url, namespace="stack"))
    yield made
    made.close()


@contextmanager
def hearing(
    app: Celery,
) -> Iterator[Callable[[Callable[[list[dict[str, Any]]], bool]], list[dict[str, Any]]]]:
    """Hears events until those that came are enough."""
    events: Events = []

    def until(enough: Callable[[Events], bool]) -> Events:
        deadline = time.monotonic() + _PATIENCE
        while not enough(events):
            assert time.monotonic() < deadline, events
            try:
                connection.drain_events(timeout=0.5)
            except TimeoutError:
                continue
        return events

    with app.connection_for_read() as connection:
        receiver = EventReceiver(connection, handlers={"*": events.append}, app=app)
        with Consumer(
            connection.default_channel, [receiver.queue], callbacks=[receiver._receive], accept=["json"]
        ):
            yield until


def of_jobs(events: Events) -> list[tuple[str, str]]:
    """The task events among them: job and type."""
    return [(event["uuid"], event["type"]) for event in events if event["type"].startswith("task-")]


def test_jobs_are_told_from_asking_to_saying_enough(app: Celery, stack: Stack, user: StackUser) -> None:
    def done(message: str) -> str:
        session = ask(user, message)
        deadline = time.monotonic() + _PATIENCE
        while user.get(f"/api/jobs/{session}")["active"]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return session

    with hearing(app) as until:
        (answer,) = app.control.disable_events(reply=True, timeout=10.0, limit=1)
        assert next(iter(answer.values()))["ok"].startswith("task events")
        done("unheard")
        since = time.time()
        # Events flow, and those of a turn that was over before would be here.
        heard = until(
            lambda events: (
                Counter(event["type"] for event in events if event["timestamp"] > since)["worker-heartbeat"]
                >= 1
            )
        )
        assert of_jobs(heard) == []

        app.control.enable_events(reply=True, timeout=10.0, limit=1)
        session = done("heard")
        until(lambda events: (session, "task-succeeded") in of_jobs(events))
        assert of_jobs(heard) == [
            (session, f"task-{event}") for event in ("received", "started", "succeeded")
        ]

        app.control.disable_events(reply=True, timeout=10.0, limit=1)
        heard.clear()
        done("unheard again")
        since = time.time()
        until(lambda events: any(event["timestamp"] > since for event in events))
        assert of_jobs(heard) == []


def test_revoking_a_job_as_a_task_leaves_it_alone(app: Celery, user: StackUser) -> None:
    session = ask(user, "hello [[fake tokens=20 tps=20]]")
    deadline = time.monotonic() + _PATIENCE
    while user.get(f"/api/jobs/{session}")["status"] != "running":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    app.control.revoke(session, terminate=True, signal="SIGKILL", reply=True, timeout=10.0, limit=1)
    while user.get(f"/api/jobs/{session}")["active"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    job = user.get(f"/api/jobs/{session}")
    assert (job["status"], job["attempt"]) == ("succeeded", 1)
