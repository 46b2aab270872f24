"""Flower on every broker that Parley takes: TLS with an ACL user, Sentinels, RabbitMQ."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.external.servers.certificates import Authority
from tests.integration.external.servers.rabbitmq import RabbitMq
from tests.integration.external.servers.redis_servers import RedisProgram, WatchedRedis
from tests.integration.external.test_redis_tls import _PASSWORD, documented_user
from tests.integration.flower.watching import PASSWORD, Watcher, ask, running_flower
from tests.support.stack import Stack, running_stack

#: Workers and servers go and come again, seconds each time: a command of its own runs these tests.
pytestmark = pytest.mark.slow


def follow_turns(stack: Stack, watched: Watcher) -> None:
    """A turn that is answered, and one that is cancelled."""
    user = stack.user()
    user.connect()
    answered = ask(user, "hello")
    watched.until_shown(answered, "SUCCESS")
    cancelled = ask(user, "[[fake tokens=400 tps=20]]")
    watched.until_shown(cancelled, "STARTED")
    user.post(f"/api/chat/cancel/{cancelled}")
    watched.until_shown(cancelled, "REVOKED")
    workers = watched.until(watched.workers, lambda shown: any("stats" in one for one in shown.values()))
    assert {worker["stats"]["pool"]["max-concurrency"] for worker in workers.values()} == {stack.concurrency}


def wait_in_line(stack: Stack, watched: Watcher) -> None:
    """Turns that nobody takes are shown as the length of their queue."""
    user = stack.user()
    user.connect()
    stack.workers[0].end()
    for _ in range(2):
        ask(user, "hello")
    told = {"parley.chat": 2, "parley.experiment": 0, "parley.query": 0}
    watched.until(lambda: lengths(watched), lambda shown: shown == told)
    assert "not available" not in watched.http.get("/broker").raise_for_status().text


def lengths(watched: Watcher) -> dict[str, int | None]:
    """The queues that are shown; RabbitMQ counts a queue some seconds after it was made."""
    shown = watched.http.get("/api/queues/length").raise_for_status().json()
    assert "unavailable" not in shown, shown
    return {queue["name"]: queue.get("messages") for queue in shown["active_queues"]}


def test_redis_under_tls_as_the_documented_user(
    postgres_url: str, directory: Path, authority: Authority
) -> None:
    server = RedisProgram(
        directory / "redis", authority=authority, acl=(documented_user("parley"),), ask_clients=True
    )
    server.start()
    try:
        with (
            running_stack(
                database_url=postgres_url,
                redis_url=f"rediss://parley:{_PASSWORD}@localhost:{server.port}/0",
                redis_tls_ca=authority.certificate,
                redis_tls_cert=authority.client.certificate,
                redis_tls_key=authority.client.key,
            ) as stack,
            running_flower(stack) as watched,
        ):
            follow_turns(stack, watched)
            wait_in_line(stack, watched)
            assert "NOPERM" not in watched.log.read_text()
        with server.client() as redis:
            assert redis.execute_command("ACL LOG") == []
    finally:
        server.kill()


def test_sentinels(postgres_url: str, directory: Path) -> None:
    redis = WatchedRedis(directory)
    try:
        redis.start_all()
        with (
            running_stack(database_url=postgres_url, **redis.settings) as stack,
            running_flower(stack) as watched,
        ):
            follow_turns(stack, watched)
            wait_in_line(stack, watched)
    finally:
        redis.kill_all()


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
def test_rabbitmq(
    postgres_url: str, redis_url: str, directory: Path, authority: Authority, *, encrypted: bool
) -> None:
    broker = RabbitMq(directory / "rabbitmq", authority if encrypted else None, managed=True)
    try:
        broker.start()
        with running_stack(database_url=postgres_url, redis_url=redis_url, **broker.settings) as stack:
            with running_flower(stack) as watched:
                follow_turns(stack, watched)
                shown = watched.http.get("/api/queues/length").raise_for_status().json()
                assert shown["active_queues"] == []
                assert "PARLEY_FLOWER_BROKER_API names no management interface" in shown["unavailable"]
                page = watched.http.get("/broker").raise_for_status().text
                assert "PARLEY_FLOWER_BROKER_API names no management interface" in page
                assert "guest:guest" not in page
            named = {"PARLEY_FLOWER_PASSWORD": PASSWORD, "PARLEY_FLOWER_BROKER_API": broker.management_url}
            with running_flower(stack, settings=named) as watched:
                wait_in_line(stack, watched)
            wrong = {**named, "PARLEY_FLOWER_BROKER_API": broker.management_url.replace("//", "//me:wrong@")}
            with running_flower(stack, settings=wrong) as watched:
                shown = watched.http.get("/api/queues/length").raise_for_status().json()
                assert "HTTP 401" in shown["unavailable"]
                assert "HTTP 401" in watched.http.get("/broker").raise_for_status().text
                assert "me:wrong" not in f"{shown}{watched.log.read_text()}"
    finally:
        broker.end()
