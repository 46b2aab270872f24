"""Experiments, their steps, events and results, as the repositories find them."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError

from shared.database import direct
from shared.database.models import (
    Experiment,
    ExperimentEvent,
    ExperimentResult,
    ExperimentStep,
    Job,
    User,
)
from shared.database.repositories import experiment_events, experiment_steps, experiments
from shared.errors import ExperimentNotFoundError
from tests.integration.database.conftest import Owner


async def experiment(owner: Owner, *, phase: str = "ready", **values: Any) -> Experiment:
    job = await owner.add(Job(kind="experiment", owner_id=owner.id, phase=phase, status="queued", payload={}))
    made: Experiment = await owner.add(
        Experiment(
            **{
                "owner_id": owner.id,
                "job_id": job.id,
                "name": "e",
                "profile": "human",
                "config": {"b": 1, "a": [1.5, None]},
                "config_hash": "0" * 64,
                "seed": 2**31 - 1,
                "models": {},
                **values,
            }
        )
    )
    return made


async def step(owner: Owner, of: Experiment, path: str, **values: Any) -> ExperimentStep:
    row: ExperimentStep = await owner.add(
        ExperimentStep(
            **{
                "experiment_id": of.id,
                "path": path,
                "phase": int(path[1]),
                "round": int(path[4]) if path[3] == "r" else None,
                "purpose": "x",
                "kind": "call",
                "outcome": "answered",
                "attempt": 3,
                **values,
            }
        )
    )
    return row


async def test_what_is_not_given_is_counted_from_nothing(owner: Owner) -> None:
    made = await experiment(owner)
    async with owner.session() as session:
        row = await experiments.get(session, owner.id, made.id)
        assert (row.kind, row.phase, row.round, row.progress, row.calls, row.degraded) == (
            "run",
            0,
            0,
            0,
            0,
            0,
        )
        assert (row.config, row.source_id, row.cost) == ({"b": 1, "a": [1.5, None]}, None, None)
        assert row.created_at is not None


async def test_a_job_runs_one_experiment(owner: Owner) -> None:
    made = await experiment(owner)
    with pytest.raises(IntegrityError, match="uq_experiments_job_id"):
        await experiment(owner, job_id=made.job_id)


@pytest.mark.parametrize("values", [{"kind": "dream"}, {"kind": "fork"}])
async def test_a_kind_that_cannot_be(owner: Owner, values: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match="ck_experiments"):
        await experiment(owner, **values)


async def test_only_the_owner_finds_it_until_it_is_deleted(owner: Owner) -> None:
    other = Owner(owner.engine)
    await other.add(User(id=other.id, name="eve"))
    made, running = await experiment(owner, phase="ended"), await experiment(owner)
    async with owner.session() as session, session.begin():
        with pytest.raises(ExperimentNotFoundError):
            await experiments.get(session, other.id, made.id)
        assert await experiments.page(session, other.id, limit=9) == []
        assert await experiments.hide(session, made)
        assert not await experiments.hide(session, running)
    async with owner.session() as session:
        with pytest.raises(ExperimentNotFoundError):
            await experiments.get(session, owner.id, made.id)
        assert [row.id for row in await experiments.page(session, owner.id, limit=9)] == [running.id]
        assert (await experiments.get(session, owner.id, made.id, deleted=True)).id == made.id


async def test_steps_come_in_the_order_of_their_beginnings(owner: Owner) -> None:
    made, other = await experiment(owner), await experiment(owner)
    paths = ["p2/r1/B/x", "p1/A/x", "p2/r2/A/x"]
    rows = [await step(owner, made, path, value={"n": n}) for n, path in enumerate(paths)]
    await step(owner, other, paths[0])
    async with owner.session() as session:
        assert [row.path for row in await experiment_steps.load(session, made.id)] == paths
        first = await experiment_steps.page(session, made.id, limit=2)
        assert [row.path for row in first] == paths[:2]
        rest = await experiment_steps.page(session, made.id, limit=2, after=first[-1].id)
        assert [(row.path, row.value) for row in rest] == [(paths[2], {"n": 2})]
        assert await experiment_steps.count(session, made.id) == len(rows)
    with pytest.raises(IntegrityError, match="uq_experiment_steps_experiment_id_path"):
        await step(owner, made, paths[1])
    for wrong in ({"kind": "guess"}, {"outcome": "lost"}):
        with pytest.raises(IntegrityError, match="ck_experiment_steps"):
            await step(owner, made, "p2/r9/A/x", **wrong)


async def test_what_is_complete_before_a_round_is_copied(owner: Owner) -> None:
    source, fork = await experiment(owner), await experiment(owner, kind="fork", fork_round=2)
    kept = ["p1/A/x", "p1/r4/A/x", "p2/r1/A/x", "p2/r1/-/order"]
    for path in kept[:3]:
        await step(owner, source, path, answer="a", value=[1], notes=["n"], sends=2, input_tokens=5)
    await step(owner, source, kept[3], kind="draw", outcome=None, value=["A"])
    await step(owner, source, "p2/r1/B/x", outcome=None)  # in flight
    await step(owner, source, "p2/r2/A/x")
    # Before the first round and behind the last one.
    for purpose in ("memory/phase_transition", "manipulator/tiebreak", "memory/phase_transition/degraded"):
        await step(owner, source, f"p2/A/{purpose}", purpose=purpose)
        kept.append(f"p2/A/{purpose}")
    for purpose in ("memory/results", "manipulator/effects/degraded", "payoff/multiplier", "ranking/final"):
        await step(owner, source, f"p2/A/{purpose}", purpose=purpose)
    async with direct.begin(owner.engine) as connection:
        assert await experiment_steps.last_round(connection, source.id) == 2
        assert await experiment_steps.last_round(connection, fork.id) == 0
        await experiment_steps.copy(connection, source.id, fork.id, before_round=2)
    async with owner.session() as session:
        rows = await experiment_steps.load(session, fork.id)
    assert [row.path for row in rows] == kept
    assert {row.attempt for row in rows} == {0}
    assert (rows[0].answer, rows[0].value, rows[0].notes, rows[0].sends) == ("a", [1], ["n"], 2)
    assert (rows[3].kind, rows[3].outcome, rows[3].value) == ("draw", None, ["A"])


async def event(owner: Owner, of: Experiment, number: int, key: str | None = None) -> None:
    await owner.add(
        ExperimentEvent(
            experiment_id=of.id,
            number=number,
            key=key or f"k{number}",
            attempt=1,
            type="statement",
            data={"n": number},
        )
    )


async def test_events_are_read_behind_a_number(owner: Owner) -> None:
    made, other = await experiment(owner), await experiment(owner, phase="ended")
    assert await experiment_events.last_number(owner.engine, made.id) == 0
    for number in (1, 2, 3):
        await event(owner, made, number)
    await event(owner, other, 1, "k1")
    news = await experiment_events.after(owner.engine, made.id, 1, limit=9)
    assert [(one.number, one.data) for one in news.events] == [(2, {"n": 2}), (3, {"n": 3})]
    assert news.ended is False
    assert len((await experiment_events.after(owner.engine, made.id, 0, limit=2)).events) == 2
    assert await experiment_events.last_number(owner.engine, made.id) == 3
    nothing = await experiment_events.after(owner.engine, other.id, 1, limit=9)
    assert (nothing.events, nothing.ended) == ([], True)
    assert (await experiment_events.after(owner.engine, uuid.uuid4(), 0, limit=9)).ended is True
    with pytest.raises(IntegrityError, match="uq_experiment_events_experiment_id_key"):
        await event(owner, made, 4, "k3")
    with pytest.raises(IntegrityError, match="pk_experiment_events"):
        await event(owner, made, 3, "k4")


async def test_a_result_stays_as_it_was_written(owner: Owner) -> None:
    made = await experiment(owner)
    content = '{"b": 1.10,  "a": "\\u0000"}\n'
    async with owner.session() as session:
        assert await experiments.result(session, made.id) is None
        assert await experiments.result_hash(session, made.id) is None
    await owner.add(ExperimentResult(experiment_id=made.id, result=content, sha256="f" * 64))
    async with owner.session() as session:
        row = await experiments.result(session, made.id)
        assert row is not None
        assert (row.result, await experiments.result_hash(session, made.id)) == (content, "f" * 64)


async def test_with_its_owner_goes_all_of_it(owner: Owner) -> None:
    made = await experiment(owner)
    later = await experiment(owner, kind="replay", source_id=made.id)
    await step(owner, made, "p1/A/x")
    await event(owner, made, 1)
    await owner.add(ExperimentResult(experiment_id=made.id, result="{}", sha256="f" * 64))
    async with owner.session() as session, session.begin():
        await session.execute(delete(Job).where(Job.id == made.job_id))
    async with owner.session() as session:
        assert await experiment_steps.count(session, made.id) == 0
        assert await experiments.result(session, made.id) is None
        assert (await experiments.get(session, owner.id, later.id)).source_id is None
    assert await experiment_events.last_number(owner.engine, made.id) == 0
