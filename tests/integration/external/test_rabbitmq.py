"""RabbitMQ wakes the workers; jobs, events and leases stay where they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from kombu import Connection
from kombu.entity import Queue

from deploy.local.valkey import EmbeddedValkey
from shared.jobs.broker import TIMEOUT
from tests.chaos.system import System, running_system
from tests.integration.external.servers.certificates import Authority
from tests.integration.external.servers.program import until
from tests.integration.external.servers.rabbitmq import RabbitMq
from tests.integration.external.work import a_day, stack_of, streamed
from tests.support.servers import server_directory

#: Other makers' servers take minutes: a command of their own runs these tests.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def broker() -> Iterator[RabbitMq]:
    """A broker; it takes seconds to start, so each test has queues of its own on the same one."""
    with server_directory() as directory:
        made = RabbitMq(directory / "rabbitmq")
        try:
            yield made
        finally:
            made.end()


@pytest.fixture
def rabbitmq(broker: RabbitMq) -> RabbitMq:
    """The broker, running: one that a test started again ended with the thread that did so."""
    if not broker.running():
        broker.start()
    return broker


@pytest.fixture
async def system(postgres_url: str, own_valkey: EmbeddedValkey, rabbitmq: RabbitMq) -> AsyncIterator[System]:
    """Two workers whose sweep is quick to make up for lost wake-ups."""
    async with running_system(
        database_url=postgres_url,
        redis=own_valkey,
        workers=2,
        gateways=1,
        users=2,
        sweep_interval=1.0,
        **rabbitmq.settings,
    ) as made:
        yield made


async def test_a_restart_loses_no_turn(system: System, rabbitmq: RabbitMq) -> None:
    async def harm() -> None:
        await asyncio.sleep(2.0)
        system.history.fault("SIGKILL rabbitmq")
        await asyncio.to_thread(rabbitmq.kill)
        await asyncio.to_thread(rabbitmq.start)
        system.history.fault("start rabbitmq")

    await system.under_load(harm(), seed=41, clients=12, duration=12.0, tokens=(10, 30))
    system.require(not system.retried(), "no healthy turn is tried again")


async def test_a_broker_that_stands_still_costs_no_turn(system: System, rabbitmq: RabbitMq) -> None:
    async def harm() -> None:
        await asyncio.sleep(1.0)
        system.history.fault("SIGSTOP rabbitmq")
        rabbitmq.pause()
        # Longer than a send may take, so that some are given up.
        await asyncio.sleep(TIMEOUT + 2.0)
        rabbitmq.resume()
        system.history.fault("SIGCONT rabbitmq")

    await system.under_load(harm(), seed=42, clients=8, duration=10.0, tokens=(10, 30))
    system.require(not system.retried(), "no healthy turn is tried again")


async def test_every_kind_of_job_is_woken_by_its_own_queue(
    postgres_url: str, redis_url: str, rabbitmq: RabbitMq
) -> None:
    # No sweep makes up for what is not sent.
    settings = {**rabbitmq.settings, "sweep_interval": 3600.0}
    with stack_of(database_url=postgres_url, redis_url=redis_url, **settings) as stack:
        await a_day(stack)
        assert "worker_disable_prefetch" not in stack.workers[0].log.read_text()
        stack.workers[0].end()
        # With nobody to take them they wait, each in the queue of its kind and in no other.
        user = stack.user()
        user.connect()
        async with user.http() as http:
            accepted = await http.post(
                "/api/chat/send", json={"message": "hello"}, headers={"Prefer": "respond-async"}
            )
            assert accepted.status_code == 202, accepted.text
        await _until_waiting(rabbitmq, "parley", chat=1, experiment=0, query=0)


async def test_a_busy_worker_keeps_one_wake_up_at_most(
    postgres_url: str, redis_url: str, rabbitmq: RabbitMq
) -> None:
    settings = {**rabbitmq.settings, "sweep_interval": 3600.0, "concurrency": 2, "namespace": "busy"}
    with stack_of(database_url=postgres_url, redis_url=redis_url, **settings) as stack:
        user = stack.user()
        user.connect()
        async with user.http() as http, asyncio.TaskGroup() as group:
            for _ in range(6):
                group.create_task(_begun(http))
            # Two run, one is taken and waits, three stay with the broker for whoever is idle.
            await asyncio.to_thread(stack.model.wait, "requests", 2)
            await _until_waiting(rabbitmq, "busy", chat=3)
            stack.start_worker()
            await asyncio.to_thread(stack.model.wait, "requests", 4)


async def test_everything_works_under_tls(
    postgres_url: str, redis_url: str, directory: Path, authority: Authority
) -> None:
    broker = RabbitMq(directory / "rabbitmq", authority)
    try:
        broker.start()
        with stack_of(database_url=postgres_url, redis_url=redis_url, **broker.settings) as stack:
            await a_day(stack, experiment=False)
            other = Authority(directory, "another-authority")
            worker = stack.start_worker(wait=False, broker_tls_ca=other.certificate)
            await asyncio.to_thread(worker.wait_logged, "certificate verify failed")
    finally:
        broker.end()


async def _begun(http: httpx.AsyncClient) -> None:
    """A turn of some seconds."""
    await streamed(http, "[[fake tokens=40 tps=10]]")


async def _until_waiting(rabbitmq: RabbitMq, namespace: str, **kinds: int) -> None:
    """Wait until so many wake-ups of each kind wait in the broker."""

    def told() -> dict[str, int]:
        with Connection(rabbitmq.url) as connection:
            channel = connection.default_channel
            return {
                kind: Queue(f"{namespace}.{kind}")(channel).queue_declare(passive=True).message_count
                for kind in kinds
            }

    await asyncio.to_thread(until, lambda: told() == kinds, 20.0, f"{kinds} wait")
