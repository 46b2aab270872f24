"""An experiment is one trace as well: its attempts, their steps, and the calls of these."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.experiments.lab import Lab, config, connected, working
from tests.integration.tracing.tree import trace, traceparent
from tests.support.collector import Collector
from tests.support.stack import Stack

START = "POST /api/experiments"


@pytest.fixture
async def lab(traced_stack: Stack) -> AsyncIterator[Lab]:
    user = traced_stack.user()
    async with working(user, connected(user)) as made:
        yield made


async def test_a_run_is_one_trace_of_steps_and_their_calls(lab: Lab, collector: Collector) -> None:
    given = traceparent()
    asked = config("agree", "agree")
    answer = await lab.http.post("/api/experiments", json={"config": asked}, headers={"traceparent": given})
    assert answer.status_code == 202, answer.text
    played = await lab.ended(f"/api/experiments/{answer.json()['experiment_id']}")
    assert played.shown["status"] == "succeeded", played.shown
    found = await trace(collector, given, "attempt experiment", START)
    (request,) = found.roots
    (accept,) = request.below
    assert (request.span.name, accept.span.name) == (START, "accept experiment")
    queue, attempt = accept.below
    assert (queue.shape, attempt.span.name) == ("queue experiment", "attempt experiment")
    assert attempt.span.attributes["parley.outcome"] == "succeeded"
    steps = attempt.below
    assert steps
    assert {node.span.name.partition(" ")[0] for node in steps} == {"step"}
    assert {tuple(below.shape for below in node.below) for node in steps} == {("provider call",)}
    assert len(steps) == len(await lab.requests())
    purposes = {node.span.attributes["parley.step.purpose"] for node in steps}
    assert {node.span.name for node in steps} == {f"step {purpose}" for purpose in purposes}
    assert purposes >= {"statement", "vote/confirmation", "ballot/principle", "ballot/amount"}
    assert {node.span.attributes["parley.step.phase"] for node in steps} == {1, 2}
    sent = b"".join(collector.bodies)
    assert b"Alice" not in sent
    assert b"You are fair" not in sent


async def test_a_replay_is_told_without_a_step(lab: Lab, collector: Collector) -> None:
    played = await lab.play(config("agree", "agree"))
    given = traceparent()
    path = f"{played.path}/replay"
    answer = await lab.http.post(path, json={}, headers={"traceparent": given})
    assert answer.status_code == 202, answer.text
    found = await trace(
        collector, given, "attempt experiment", "POST /api/experiments/{experiment_id}/replay"
    )
    assert not found.named("provider call")
    assert {one.name.partition(" ")[0] for one in found.spans} == {"POST", "accept", "queue", "attempt"}
