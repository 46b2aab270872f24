"""A job whose worker goes away is shown where it went on, and in the state to which it came."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from deploy.local.valkey import EmbeddedValkey
from tests.integration.flower.watching import Watcher, ask, running_flower
from tests.support.servers import running_redis
from tests.support.stack import Process, Stack, StackUser, running_stack

#: Workers and servers go and come again, seconds each time: a command of its own runs these tests.
pytestmark = pytest.mark.slow

#: A turn that takes two seconds.
TURN = "hello [[fake tokens=40 tps=20]]"


@dataclass
class Crew:
    """A stack whose workers come and go, and Flower beside it."""

    stack: Stack
    watched: Watcher
    user: StackUser

    def hire(self, **settings: object) -> Process:
        """One more worker, which finds it noted that it is watched."""
        return self.stack.start_worker(**settings)

    def started(self, message: str) -> tuple[str, Process, dict[str, Any]]:
        """A turn that runs, the worker that runs it, and how it is shown."""
        session = ask(self.user, message)
        shown = self.watched.until_shown(session, "STARTED")
        number = int(shown["worker"].partition("@")[0].removeprefix("worker-"))
        return session, self.stack.workers[number], shown


@pytest.fixture(scope="module")
def crew(module_postgres_url: str) -> Iterator[Crew]:
    """A stack without workers."""
    with (
        running_redis() as redis_url,
        running_stack(
            database_url=module_postgres_url,
            redis_url=redis_url,
            namespace="crew",
            workers=0,
            lease_ttl=1.0,
            drain_grace=0.2,
            sweep_interval=0.5,
        ) as stack,
        running_flower(stack) as watched,
    ):
        user = stack.user()
        user.connect()
        yield Crew(stack, watched, user)


@pytest.fixture(autouse=True)
def _nobody_stays(crew: Crew) -> Iterator[None]:
    yield
    for worker in crew.stack.workers:
        worker.kill()


def test_a_turn_whose_worker_is_killed(crew: Crew) -> None:
    crew.hire()
    crew.hire()
    session, victim, before = crew.started(TURN)
    victim.kill()
    shown = crew.watched.until_shown(session, "SUCCESS")
    assert shown["worker"] != before["worker"]
    assert shown["retries"] == 1
    assert shown["retried"] is not None
    assert json.loads(shown["kwargs"])["attempt"] == 2
    assert shown["started"] > before["started"]
    assert 1.5 < shown["runtime"] < 4.0


def test_a_turn_that_is_handed_over(crew: Crew) -> None:
    crew.hire()
    session, leaving, before = crew.started(TURN)
    leaving.send(signal.SIGTERM)
    # Told by the one that leaves, when nobody else is there.
    shown = crew.watched.until_shown(session, "RETRY")
    assert shown["worker"] == before["worker"]
    assert shown["exception"] == "handed over"
    crew.hire()
    shown = crew.watched.until_shown(session, "SUCCESS")
    assert shown["worker"] != before["worker"]
    assert json.loads(shown["kwargs"])["attempt"] == 2


def test_a_turn_that_no_attempt_brings_to_an_end(crew: Crew) -> None:
    crew.hire(max_attempts=1)
    session, victim, _ = crew.started(TURN)
    victim.kill()
    crew.hire(max_attempts=1)
    shown = crew.watched.until_shown(session, "FAILURE")
    assert shown["exception"] == "attempts_exhausted"


def test_a_turn_that_is_cancelled_when_its_worker_is_gone(crew: Crew) -> None:
    crew.hire()
    session, victim, _ = crew.started("[[fake tokens=400 tps=20]]")
    victim.kill()
    crew.user.post(f"/api/chat/cancel/{session}")
    # Ended by whoever finds the mark; told by the next worker.
    crew.hire()
    shown = crew.watched.until_shown(session, "REVOKED")
    assert shown["revoked"] > shown["started"]
    assert shown["runtime"] is None


def test_queues_are_shown_as_long_as_they_are(crew: Crew) -> None:
    sessions = [ask(crew.user, "hello") for _ in range(3)]
    queues = crew.watched.http.get("/api/queues/length").raise_for_status().json()["active_queues"]
    assert {queue["name"]: queue["messages"] for queue in queues} == {
        "crew.chat": 3,
        "crew.experiment": 0,
        "crew.query": 0,
    }
    crew.hire()
    for session in sessions:
        shown = crew.watched.until_shown(session, "SUCCESS")
        # It waited for a worker to be started.
        assert shown["started"] - shown["received"] > 0.5


def test_events_go_on_after_the_broker_was_away(module_postgres_url: str, own_valkey: EmbeddedValkey) -> None:
    with (
        running_stack(
            database_url=module_postgres_url, redis_url=own_valkey.url, namespace="broken", lease_ttl=1.0
        ) as stack,
        running_flower(stack) as watched,
    ):
        user = stack.user()
        user.connect()
        first = ask(user, "hello")
        watched.until_shown(first, "SUCCESS")
        own_valkey.kill()
        own_valkey.start()

        def another() -> str:
            session = ask(user, "hello")
            return session if watched.task(session) or _soon(watched, session) else ""

        session = watched.until(another, bool)
        watched.until_shown(session, "SUCCESS")


def _soon(watched: Watcher, session: str) -> bool:
    try:
        return bool(watched.until(lambda: watched.task(session), bool, patience=2.0))
    except AssertionError:
        return False
