"""Following a run over connections that break."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from deploy.cli.api import ApiError
from deploy.cli.experiment import patience
from deploy.cli.experiment.choosing import chosen_experiment
from deploy.cli.experiment.events import RunEvents
from tests.unit.deploy.test_cli_stream import Gateway, problem, serving, sse

ONE = "0197c1de-0000-4000-8000-000000000001"
TWO = "0197c1de-0000-4000-8000-000000000002"
OTHER = "abcdef01-0000-4000-8000-000000000003"


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    monkeypatch.setattr(patience, "_FIRST_PAUSE", 0.001)
    with serving() as server:
        yield server


def run_is(*, active: bool) -> Any:
    return problem(200, "-", "-", active=active, id=ONE)


def test_a_run_is_followed_over_broken_connections_each_event_once(gateway: Gateway) -> None:
    gateway.replies = [
        sse(("1-1", "phase", {"n": 1}), ("1-2", "phase", {"n": 2}), cut=True),
        problem(503, "shutting_down", "the gateway is shutting down"),
        sse(("2-3", "resumed", {"n": 3})),
        run_is(active=True),
        sse(("2-4", "experiment_finished", {"n": 4})),
        run_is(active=False),
    ]
    events = RunEvents(gateway.api, ONE)
    assert [event.data["n"] for event in events] == [1, 2, 3, 4]
    assert events.last_id == "2-4"
    assert events.experiment is not None
    asked = [headers.get("Last-Event-ID") for _, path, headers, _ in gateway.asked if path.endswith("events")]
    assert asked == [None, "1-2", "2-3"]


def test_the_end_of_an_attempt_does_not_end_the_following(gateway: Gateway) -> None:
    gateway.replies = [
        sse(("1-1", "cancelled", {}), ("2-2", "resumed", {}), ("2-3", "experiment_finished", {})),
        run_is(active=False),
    ]
    assert [event.type for event in RunEvents(gateway.api, ONE)] == [
        "cancelled",
        "resumed",
        "experiment_finished",
    ]


def test_what_is_not_there_is_told_at_once(gateway: Gateway) -> None:
    gateway.replies = [problem(404, "experiment_not_found", "There is no such experiment.")]
    with pytest.raises(ApiError, match="no such experiment"):
        list(RunEvents(gateway.api, ONE))
    assert len(gateway.asked) == 1


def test_a_gateway_that_stays_away_is_given_up(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_RETRIES", 2)
    gateway.replies = [problem(503, "shutting_down", "going down")] * 3
    with pytest.raises(ApiError, match="going down"):
        list(RunEvents(gateway.api, ONE))
    assert len(gateway.asked) == 3


def listed(*ids: str) -> Any:
    return problem(200, "-", "-", items=[{"id": one, "name": "x"} for one in ids], next_cursor=None)


def test_the_beginning_of_an_id_is_enough_when_it_is_clear(gateway: Gateway) -> None:
    gateway.replies = [listed(ONE, OTHER), listed(ONE, TWO), listed(ONE)]
    assert chosen_experiment(gateway.api, "ABCD") == OTHER
    with pytest.raises(ApiError, match=f"2 experiments begin with '0197': {ONE}"):
        chosen_experiment(gateway.api, "0197")
    with pytest.raises(ApiError, match="begins with 'ffff'"):
        chosen_experiment(gateway.api, "ffff")
    with pytest.raises(ApiError, match="too short"):
        chosen_experiment(gateway.api, "abc")
    assert len(gateway.asked) == 3
    assert chosen_experiment(gateway.api, TWO.upper()) == TWO
    assert len(gateway.asked) == 3
