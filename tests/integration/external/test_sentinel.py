"""The Sentinels make another Redis the master while turns run: what was accepted is answered all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.redis_client import connect
from shared.redis_server import RedisServer
from shared.settings import Settings
from tests.chaos.runs import config, runs_of
from tests.chaos.system import System, running_system
from tests.integration.external.servers.certificates import Authority
from tests.integration.external.servers.program import until
from tests.integration.external.servers.redis_servers import PASSWORD, WatchedRedis
from tests.integration.external.work import a_day, stack_of

#: Other makers' servers take minutes: a command of their own runs these tests.
pytestmark = pytest.mark.slow


@pytest.fixture
def watched(directory: Path) -> Iterator[WatchedRedis]:
    """A master, a replica and three Sentinels."""
    made = WatchedRedis(directory)
    try:
        made.start_all()
        yield made
    finally:
        made.kill_all()


@asynccontextmanager
async def system_on(watched: WatchedRedis, database_url: str) -> AsyncIterator[System]:
    settings = {**watched.settings, "lease_ttl": 1.5, "sweep_interval": 1.0}
    async with running_system(
        database_url=database_url,
        redis=watched,  # type: ignore[arg-type]
        workers=2,
        gateways=1,
        users=2,
        **settings,  # type: ignore[arg-type]
    ) as system:
        yield system


async def failed_over(watched: WatchedRedis) -> None:
    await asyncio.to_thread(until, lambda: watched.master() is watched.second, 30.0, "another master")


async def test_a_master_that_dies_loses_no_turn(postgres_url: str, watched: WatchedRedis) -> None:
    async with system_on(watched, postgres_url) as system:

        async def harm() -> None:
            await asyncio.sleep(2.0)
            await system.kill_redis()
            await failed_over(watched)
            system.history.fault("another master")
            # It comes back as a replica of the other.
            await system.start_redis()

        await system.under_load(harm(), seed=31, clients=12, duration=10.0, tokens=(20, 50))
        logs = "".join(path.read_text(errors="replace") for path in system.stack.directory.glob("*.log"))
    with watched.second.client() as redis:
        assert redis.info("replication")["role"] == "master"
        assert redis.zcard("chaos:leases") == 0, "every lease was given back on the new master"
    assert PASSWORD not in logs


async def test_a_master_that_stands_still_loses_no_turn(postgres_url: str, watched: WatchedRedis) -> None:
    async with system_on(watched, postgres_url) as system:

        async def harm() -> None:
            await asyncio.sleep(2.0)
            system.pause_redis()
            await failed_over(watched)
            system.history.fault("another master")
            await asyncio.sleep(2.0)
            # It still takes itself for the master, until the Sentinels tell it otherwise.
            system.resume_redis()

        await system.under_load(harm(), seed=32, clients=12, duration=12.0, tokens=(20, 50))


async def test_a_run_comes_to_the_same_without_its_master(postgres_url: str, watched: WatchedRedis) -> None:
    async with system_on(watched, postgres_url) as system, runs_of(system, seed=33) as runs:
        whole = await runs.whole(config(33))
        run = await runs.begin(whole.config)
        assert await run.far(len(whole.left.steps) // 3), "it had ended before anything happened"
        await system.kill_redis()
        await failed_over(watched)
        system.history.fault("another master")
        left = await run.ended()
        whole.compare(run, left)
        assert left.outcomes == ["succeeded"], "no healthy run is tried again"


async def test_everything_works_under_tls(postgres_url: str, directory: Path, authority: Authority) -> None:
    watched = WatchedRedis(directory, authority)
    try:
        watched.start_all()
        with stack_of(database_url=postgres_url, **watched.settings) as stack:
            await a_day(stack)
    finally:
        watched.kill_all()


async def test_who_is_a_replica_is_not_taken_for_the_master(watched: WatchedRedis) -> None:
    server = Settings(**watched.settings).redis  # type: ignore[arg-type]
    client = connect(server, 2.0)
    assert await client.set("who", "the master")
    with watched.first.client() as first, watched.second.client() as second:
        assert first.get("who") == "the master"
        until(lambda: second.get("who") == "the master", 10.0, "the replica has it")
        # Nobody told the Sentinels: they go on naming it for a moment.
        first.execute_command("REPLICAOF", "127.0.0.1", watched.second.port)
    # The connection that it has, and a new one.
    for _ in range(2):
        with pytest.raises(RedisConnectionError, match="no master any more"):
            await client.set("who", "lost")
    await client.aclose()


async def test_without_an_answer_from_a_sentinel_there_is_a_clear_error() -> None:
    nowhere = RedisServer("redis://127.0.0.1/0", sentinels=(("127.0.0.1", 1), ("127.0.0.1", 2)), master="it")
    client = connect(nowhere, 1.0)
    with pytest.raises(RedisConnectionError, match="no Sentinel tells who is the master 'it'"):
        await client.ping()
    await client.aclose()
