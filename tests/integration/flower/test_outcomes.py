"""Flower shows each job once, under its id, in the state in which it ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.integration.flower.watching import Watcher, running_flower
from tests.support.stack import Stack, StackUser

SLOW = "[[fake tokens=400 tps=20]]"


@pytest.fixture(scope="module")
def watched(stack: Stack) -> Iterator[Watcher]:
    """Flower beside the session's stack."""
    with running_flower(stack) as watcher:
        yield watcher


def ask(user: StackUser, message: str, **fields: Any) -> str:
    """Have a turn accepted; the id of its job."""
    answer = httpx.post(
        f"{user.stack.url}/api/chat/send",
        json={"message": message, **fields},
        headers={"Prefer": "respond-async", "Authorization": f"Bearer {user.key}"},
    )
    return str(answer.raise_for_status().json()["session_id"])


def test_a_turn_that_succeeded(watched: Watcher, user: StackUser) -> None:
    session = ask(user, "a secret question [[fake tokens=5 first=1]]")
    started = watched.until_shown(session, "STARTED")
    shown = watched.until_shown(session, "SUCCESS")
    assert shown["name"] == "parley.chat"
    assert json.loads(shown["kwargs"]) == {"job": session, "kind": "chat", "owner": user.id, "attempt": 1}
    told = json.loads(shown["result"])
    assert told["outcome"] == "succeeded"
    assert told["output_tokens"] == 5
    assert 1.0 <= shown["runtime"] < 5.0
    assert shown["received"] <= shown["started"] <= shown["succeeded"]
    assert shown["started"] == started["started"]
    assert shown["worker"].startswith("worker-0@")
    assert "secret" not in json.dumps(shown)
