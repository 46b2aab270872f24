"""Flower shows each job once, under its id, in the state in which it ended."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.integration.flower.watching import Watcher, ask, running_flower
from tests.support.stack import Stack, StackUser

SLOW = "[[fake tokens=400 tps=20]]"


@pytest.fixture(scope="module")
def watched(stack: Stack) -> Iterator[Watcher]:
    """Flower beside the session's stack."""
    with running_flower(stack) as watcher:
        yield watcher


def test_a_turn_that_succeeded(watched: Watcher, user: StackUser) -> None:
    session = ask(user, "a question for me alone [[fake tokens=5 first=1]]")
    started = watched.until_shown(session, "STARTED")
    shown = watched.until_shown(session, "SUCCESS")
    assert shown["name"] == "parley.chat"
    assert json.loads(shown["kwargs"]) == {"job": session, "kind": "chat", "owner": user.id, "attempt": 1}
    told = json.loads(shown["result"])
    assert (told["outcome"], told["output_tokens"], told["post_response"]) == ("succeeded", 5, "done")
    assert 1.0 <= shown["runtime"] < 5.0
    assert shown["received"] <= shown["started"] <= shown["succeeded"]
    assert shown["started"] == started["started"]
    assert shown["worker"].startswith("worker-0@")
    assert shown["retries"] == 0
    everything = json.dumps(shown)
    assert "for me alone" not in everything
    assert "t0 t1" not in everything


def test_a_turn_whose_provider_fails(watched: Watcher, user: StackUser) -> None:
    session = ask(user, "hello [[fake fault=500]]")
    shown = watched.until_shown(session, "FAILURE")
    assert shown["exception"] == user.get(f"/api/jobs/{session}")["error"]["code"]
    assert shown["traceback"] is None
    assert shown["runtime"] > 0


def test_a_turn_that_is_cancelled_while_it_runs(watched: Watcher, user: StackUser) -> None:
    session = ask(user, SLOW)
    watched.until_shown(session, "STARTED")
    user.post(f"/api/chat/cancel/{session}")
    shown = watched.until_shown(session, "REVOKED")
    assert 0 < shown["runtime"] < 19
    assert shown["revoked"] >= shown["started"]


def test_a_turn_that_is_cancelled_before_anybody_ran_it(watched: Watcher, user: StackUser) -> None:
    first = ask(user, SLOW)
    watched.until_shown(first, "STARTED")
    conversation = user.get(f"/api/jobs/{first}")["conversation_id"]
    second = ask(user, "hello", conversation_id=conversation, on_busy="enqueue")
    assert watched.task(second) is None
    user.post(f"/api/chat/cancel/{second}")
    shown = watched.until_shown(second, "REVOKED")
    assert shown["started"] is None
    assert json.loads(shown["kwargs"])["attempt"] == 1
    user.post(f"/api/chat/cancel/{first}")
    watched.until_shown(first, "REVOKED")


def test_a_cancelled_turn_that_is_retried_by_hand(watched: Watcher, user: StackUser) -> None:
    session = ask(user, "hello [[fake tokens=40 tps=20]]")
    watched.until_shown(session, "STARTED")
    user.post(f"/api/chat/cancel/{session}")
    watched.until_shown(session, "REVOKED")
    user.post(f"/api/jobs/{session}/retry")
    watched.until_shown(session, "STARTED")
    shown = watched.until_shown(session, "SUCCESS")
    assert shown["retries"] == 1
    assert json.loads(shown["kwargs"])["attempt"] == 2


def test_a_short_operation(watched: Watcher, user: StackUser) -> None:
    connection = user.get("/api/connections")["items"][0]["id"]
    before = set(watched.tasks())
    assert user.get(f"/api/connections/{connection}/models")
    (made,) = watched.until(lambda: set(watched.tasks()) - before, lambda shown: len(shown) == 1)
    shown = watched.until_shown(made, "SUCCESS")
    assert shown["name"] == "parley.query"
    assert json.loads(shown["result"]) == {"outcome": "succeeded"}


def test_an_experiment(watched: Watcher, user: StackUser) -> None:
    user.connect("lab", model="fake/agents=agree")
    config = {
        "agents": [
            {"name": name, "personality": "You are careful.", "model": "lab"} for name in ("Alice", "Bob")
        ],
        "utility_agent_model": "lab",
        "phase2_rounds": 1,
    }
    session = user.post("/api/experiments", json={"name": "quick", "config": config})["session_id"]
    shown = watched.until_shown(session, "SUCCESS")
    assert shown["name"] == "parley.experiment"
    assert json.loads(shown["kwargs"])["owner"] == user.id
    assert "Alice" not in json.dumps(shown)


def test_wake_ups_are_no_tasks(watched: Watcher, user: StackUser) -> None:
    before = set(watched.tasks())
    sessions = {ask(user, "hello") for _ in range(3)}
    for session in sessions:
        watched.until_shown(session, "SUCCESS")
    assert set(watched.tasks()) - before == sessions


def test_workers_and_queues_as_they_are(watched: Watcher, user: StackUser, stack: Stack) -> None:
    sessions = {ask(user, SLOW) for _ in range(3)}
    for session in sessions:
        watched.until_shown(session, "STARTED")
    ((name, row),) = watched.counters().items()
    assert name.startswith("worker-0@")
    assert row["status"] is True
    watched.until(lambda: watched.counters()[name]["active"], lambda active: active >= 3)
    worker = watched.until(
        lambda: watched.workers(workername=name).get(name, {}),
        lambda shown: {task["id"] for task in shown.get("active", [])} == sessions,
    )
    assert worker["stats"]["pool"]["max-concurrency"] == stack.concurrency
    assert {task["name"] for task in worker["active"]} == {"parley.chat"}
    queues = watched.http.get("/api/queues/length").raise_for_status().json()["active_queues"]
    assert {queue["name"]: queue["messages"] for queue in queues} == {
        "stack.chat": 0,
        "stack.experiment": 0,
        "stack.query": 0,
    }
    for session in sessions:
        user.post(f"/api/chat/cancel/{session}")
        watched.until_shown(session, "REVOKED")
