"""What processes tell of the whole cluster: the queue as a new worker would find it."""

from __future__ import annotations

import uuid

import pytest
from prometheus_client.core import Metric
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.local.valkey import EmbeddedValkey
from shared.database.engine import create_engine
from shared.metrics import cluster
from shared.metrics.cluster import FRESH, Cluster
from shared.redis_client import connect

LIMIT = 2

Values = dict[tuple[str, ...], float]


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def asked(engine: AsyncEngine, redis: Redis, clock: Clock) -> Cluster:
    return Cluster(engine, redis, LIMIT, clock)


async def values(asked: Cluster) -> dict[str, Values]:
    """By name, then by the values of the labels."""
    return {family.name: _of(family) for family in await asked.families()}


def _of(family: Metric) -> Values:
    return {tuple(sample.labels.values()): sample.value for sample in family.samples}


async def jobs(
    engine: AsyncEngine,
    owner: str,
    *,
    many: int = 1,
    kind: str = "chat",
    phase: str = "ready",
    status: str = "queued",
    age: float = 0.0,
    marked: bool = False,
) -> None:
    """Put jobs where they could stand; ``age`` in seconds."""
    owner_id = uuid.uuid5(uuid.NAMESPACE_DNS, owner)
    async with engine.begin() as connection:
        await connection.execute(
            text("INSERT INTO users (id, name, is_admin) VALUES (:id, :name, false) ON CONFLICT DO NOTHING"),
            {"id": owner_id, "name": owner},
        )
        await connection.execute(
            text(
                "INSERT INTO jobs (id, kind, owner_id, phase, status, attempt, failures, on_disconnect,"
                " payload, parent_given, ready_at, cancel_requested_at)"
                " SELECT gen_random_uuid(), :kind, :owner_id, :phase, :status, 0, 0, 'continue', '{}', false,"
                " clock_timestamp() - make_interval(secs => :age),"
                " CASE WHEN :marked THEN clock_timestamp() END FROM generate_series(1, :many)"
            ),
            {
                "kind": kind,
                "owner_id": owner_id,
                "phase": phase,
                "status": status,
                "age": age,
                "marked": marked,
                "many": many,
            },
        )


async def test_an_empty_cluster_has_all_its_numbers(asked: Cluster) -> None:
    told = await values(asked)
    assert set(told) == set(cluster.HELP)
    assert told[cluster.DEPTH] == {("chat",): 0, ("experiment",): 0, ("query",): 0}
    assert told[cluster.OLDEST] == told[cluster.DEPTH]
    assert len(told[cluster.JOBS]) == 3 * 5
    assert set(told[cluster.JOBS].values()) == {0}
    assert told[cluster.REDIS_MEMORY][()] > 100_000
    if told[cluster.REDIS_LIMIT]:  # a Redis of somebody else may have none
        assert told[cluster.REDIS_MEMORY][()] < told[cluster.REDIS_LIMIT][()]


async def test_jobs_are_told_by_where_they_stand(engine: AsyncEngine, asked: Cluster) -> None:
    await jobs(engine, "ada", many=3)
    await jobs(engine, "ada", many=2, phase="waiting")
    await jobs(engine, "eve", phase="held", status="running")
    await jobs(engine, "eve", phase="held", status="succeeded")
    await jobs(engine, "eve", phase="held", status="running", marked=True)
    await jobs(engine, "eve", phase="ready", marked=True)
    await jobs(engine, "ada", many=4, kind="experiment")
    await jobs(engine, "ada", many=9, phase="ended", status="succeeded")
    told = await values(asked)
    moving = {labels: count for labels, count in told[cluster.JOBS].items() if count}
    assert moving == {
        ("chat", "queued"): 3,
        ("chat", "waiting"): 2,
        ("chat", "running"): 1,
        ("chat", "finishing"): 1,
        ("chat", "cancelling"): 2,
        ("experiment", "queued"): 4,
    }


async def test_depth_and_age_are_those_of_jobs_that_another_worker_would_take_up(
    engine: AsyncEngine, asked: Cluster
) -> None:
    # Of eve's, who has as many running as she may have, no worker takes one up: adding workers is no help.
    await jobs(engine, "eve", many=LIMIT, phase="held", status="running")
    await jobs(engine, "eve", many=7, age=500)
    await jobs(engine, "ada", many=1, phase="held", status="running")
    await jobs(engine, "ada", many=3, age=40)
    await jobs(engine, "ann", many=1, age=20)
    told = await values(asked)
    assert told[cluster.DEPTH]["chat",] == (LIMIT - 1) + 1
    assert 40 <= told[cluster.OLDEST]["chat",] < 60
    assert told[cluster.HELD_BACK]["chat",] == 7 + 3 - (LIMIT - 1)
    assert told[cluster.DEPTH]["experiment",] == told[cluster.OLDEST]["experiment",] == 0


async def test_an_answer_stands_for_a_while_however_many_ask(
    engine: AsyncEngine, asked: Cluster, clock: Clock
) -> None:
    before = await values(asked)
    await jobs(engine, "ada")
    clock.now += FRESH - 0.1
    assert await values(asked) == before
    clock.now += 0.2
    assert (await values(asked))[cluster.DEPTH]["chat",] == 1


async def test_a_server_that_is_away_leaves_its_own_numbers_out(
    postgres_url: str, own_valkey: EmbeddedValkey, clock: Clock
) -> None:
    engine, redis = create_engine(postgres_url), connect(own_valkey.url, 1.0)
    asked = Cluster(engine, redis, LIMIT, clock)
    try:
        assert set(await values(asked)) == set(cluster.HELP)
        own_valkey.kill()
        clock.now += FRESH
        told = await values(asked)
        assert set(told) == set(cluster.HELP) - {cluster.REDIS_MEMORY, cluster.REDIS_LIMIT}
    finally:
        await redis.aclose()
        await engine.dispose()


async def test_without_postgres_the_memory_of_redis_is_still_told(redis: Redis, clock: Clock) -> None:
    engine = create_engine("postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    try:
        told = await values(Cluster(engine, redis, LIMIT, clock))
        assert set(told) == {cluster.REDIS_MEMORY, cluster.REDIS_LIMIT}
    finally:
        await engine.dispose()


async def test_jobs_that_have_ended_cost_nothing(engine: AsyncEngine) -> None:
    """The page is asked for all the time, and the table grows all the time."""
    await jobs(engine, "ada", many=20_000, phase="ended", status="succeeded")
    await jobs(engine, "ada", many=50)
    await jobs(engine, "ada", many=5, phase="held", status="running")
    async with engine.connect() as connection:
        await connection.execute(text("ANALYZE jobs"))
        for statement, parameters in (
            (cluster.STATES, {}),
            (cluster.RUNNABLE, {"owner_running": LIMIT}),
            (cluster.OLDEST_CLAIMABLE, {"owner_running": LIMIT, "kind": "chat"}),
        ):
            plan = "\n".join(
                row[0] for row in await connection.execute(text(f"EXPLAIN {statement.text}"), parameters)
            )
            assert "Seq Scan on jobs" not in plan, plan
