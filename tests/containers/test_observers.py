"""Flower and Prometheus see the composed installation."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import pytest

from tests.containers.installation import Installation, patiently
from tests.containers.turns import Turns


def _flower(installation: Installation, path: str, password: str | None) -> Any:
    request = urllib.request.Request(installation.url("TEST_FLOWER_PUBLISH") + path)
    if password is not None:
        word = base64.b64encode(f"admin:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {word}")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@pytest.mark.parametrize("password", [None, "", "wrong"])
def test_flower_asks_for_the_password(installation: Installation, password: str | None) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        _flower(installation, "/api/tasks", password)

    assert refused.value.code == 401
    refused.value.close()


def test_flower_shows_workers_and_jobs(installation: Installation, turns: Turns) -> None:
    password = installation.secret("flower_password")

    def slots() -> dict[str, int]:
        """Of each kind of worker that has answered Flower."""
        found = _flower(installation, "/api/workers?refresh=1", password)
        return {
            name.split("@")[0]: one["stats"]["pool"]["max-concurrency"]
            for name, one in found.items()
            if one.get("stats")
        }

    patiently(slots, lambda seen: seen == {"worker-chat": 500, "worker-experiment": 500})

    turn = turns.ask(tokens=5)
    turns.none_is_lost()

    seen = patiently(
        lambda: _flower(installation, "/api/tasks", password).get(turn["session_id"]),
        lambda task: task is not None and task["state"] == "SUCCESS",
    )
    assert seen["name"] == "parley.chat"
    assert "[[fake" not in json.dumps(_flower(installation, "/api/tasks", password)), "content was shown"


def _prometheus(installation: Installation, path: str, **query: str) -> Any:
    url = f"{installation.url('TEST_PROMETHEUS_PUBLISH')}/api/v1/{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)["data"]


def _ask(installation: Installation, query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _prometheus(installation, "query", query=query)["result"]
    return found


def test_prometheus_reaches_every_process(installation: Installation) -> None:
    """One target for each of our processes, by the name of its service, and each of them up.

    Asked is what it scrapes now: the series of a process that ended while Prometheus itself was killed tell
    of it for five minutes more.
    """
    wanted = {
        service: len(installation.containers(service))
        for service in ("gateway", "worker-chat", "worker-experiment", "maintenance")
    }

    def health() -> dict[str, list[str]]:
        """Of each service, what Prometheus says of its addresses."""
        found: dict[str, list[str]] = {}
        for one in _prometheus(installation, "targets", state="active")["activeTargets"]:
            service = one["labels"]["job"].removeprefix("parley-")
            found.setdefault(service, []).append(one["health"] + one["lastError"])
        return found

    every = {service: ["up"] * number for service, number in wanted.items()} | {"prometheus": ["up"]}
    patiently(health, lambda seen: seen == every, seconds=120)


def test_the_numbers_move(installation: Installation, turns: Turns) -> None:
    def tokens() -> dict[str, float]:
        return {
            json.dumps(one["metric"], sort_keys=True): float(one["value"][1])
            for one in _ask(installation, "parley_tokens_total")
        }

    before = patiently(tokens, lambda _: True)
    turns.ask(tokens=50)
    turns.none_is_lost()

    # Series by series: those of processes that an earlier test ended go in the meantime.
    def moved(now: dict[str, float]) -> bool:
        return any(value >= before.get(name, 0.0) + 50 for name, value in now.items())

    patiently(tokens, moved, seconds=90)
    assert _ask(installation, "parley_redis_memory_bytes > 0")


def test_the_rules_are_loaded(installation: Installation) -> None:
    groups = _prometheus(installation, "rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert rules
    assert all(rule["health"] in ("ok", "unknown") for rule in rules), rules
