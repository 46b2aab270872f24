"""Redis under TLS, with a user that may do what Parley does and nothing else."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from celery import Celery
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from shared.jobs.wakeups import configure
from shared.redis_client import connect
from shared.redis_server import RedisServer
from shared.settings import Settings
from shared.tls import TlsFiles
from tests.integration.external.servers.certificates import Authority
from tests.integration.external.servers.program import free_port
from tests.integration.external.servers.redis_servers import PASSWORD, RedisProgram
from tests.integration.external.work import a_day, stack_of

#: Other makers' servers take minutes: a command of their own runs these tests.
pytestmark = pytest.mark.slow

#: The user that the documentation tells operators to make.
_GUIDE = Path(__file__).parents[3] / "docs" / "external-services.md"
_PASSWORD = "change-me"


def documented_user(name: str) -> str:
    """The line of an ACL file that the guide shows."""
    found = re.search(rf"^user {name} on .*$", _GUIDE.read_text(), re.MULTILINE)
    assert found, f"the guide shows no ACL line of a user {name}"
    return found.group(0)


@pytest.fixture
def server(directory: Path, authority: Authority) -> Iterator[RedisProgram]:
    """A Redis that takes clients with a certificate only, with the guide's user."""
    made = RedisProgram(
        directory / "redis", authority=authority, acl=(documented_user("parley"),), ask_clients=True
    )
    made.start()
    try:
        yield made
    finally:
        made.kill()


async def test_everything_works_with_exactly_the_documented_user(
    postgres_url: str, server: RedisProgram, authority: Authority
) -> None:
    settings = {
        "redis_url": f"rediss://parley:{_PASSWORD}@localhost:{server.port}/0",
        "redis_tls_ca": authority.certificate,
        "redis_tls_cert": authority.client.certificate,
        "redis_tls_key": authority.client.key,
    }
    with stack_of(database_url=postgres_url, **settings) as stack:
        await a_day(stack)
        metrics = f"127.0.0.1:{free_port()}"
        stack.start_gateway(metrics_listen=metrics)
        page = await asyncio.to_thread(httpx.get, f"http://{metrics}/metrics")
        assert "parley_redis_memory_bytes" in page.text
        assert await asyncio.to_thread(_pings, settings) == 1
        stack.workers[0].end()
        stack.start_worker()
        await a_day(stack, experiment=False)
        logs = "".join(path.read_text(errors="replace") for path in stack.directory.glob("*.log"))
    with server.client() as redis:
        denied = redis.execute_command("ACL LOG")
        foreign = [key for key in redis.scan_iter("*") if not key.startswith("parley:")]
    assert denied == [], "the guide's user may not do something that Parley does"
    assert foreign == [], "every key begins with the namespace"
    assert "NOPERM" not in logs
    assert _PASSWORD not in logs


def _pings(settings: dict[str, Any]) -> int:
    """How many workers answer a broadcast, as Flower sends it."""
    app = Celery("parley-test", set_as_current=False)
    configure(app, Settings(**settings))
    try:
        return len(app.control.ping(timeout=5.0, limit=1))
    finally:
        app.close()


async def test_the_documented_user_may_do_nothing_else(server: RedisProgram, authority: Authority) -> None:
    url = server.url.replace(f"://:{quote(PASSWORD, safe='')}@", f"://parley:{_PASSWORD}@")
    client = connect(RedisServer(url, files(authority)), 2.0)
    assert await client.set("parley:mine", "1")
    for forbidden in (
        ("GET", "other:theirs"),
        ("SET", "other:theirs", "1"),
        ("PUBLISH", "other:channel", "1"),
        ("KEYS", "*"),
        ("CONFIG", "GET", "*"),
        ("ACL", "LIST"),
        ("FLUSHALL",),
        ("MONITOR",),
        ("REPLICAOF", "NO", "ONE"),
        ("EVAL", "return redis.call('GET', 'other:theirs')", "0"),
    ):
        with pytest.raises(ResponseError, match=r"permission|can.t access"):
            await client.execute_command(*forbidden)
    await client.aclose()


def files(authority: Authority, *, client: bool = True) -> TlsFiles:
    """What a client of ``authority``'s servers needs."""
    own = authority.client if client else None
    return TlsFiles(authority.certificate, own and own.certificate, own and own.key)


async def test_another_redis_is_the_broker(
    postgres_url: str, redis_url: str, server: RedisProgram, authority: Authority
) -> None:
    settings = {
        "broker_url": f"rediss://parley:{_PASSWORD}@localhost:{server.port}/0",
        "broker_tls_ca": authority.certificate,
        "broker_tls_cert": authority.client.certificate,
        "broker_tls_key": authority.client.key,
    }
    # No sweep makes up for what is not sent.
    with stack_of(database_url=postgres_url, redis_url=redis_url, sweep_interval=3600.0, **settings) as stack:
        await a_day(stack, experiment=False)
    with server.client() as redis:
        assert redis.execute_command("ACL LOG") == []
        assert all(key.startswith("parley:celery:") for key in redis.scan_iter("*"))


async def test_who_is_not_vouched_for_is_not_spoken_to(
    server: RedisProgram, authority: Authority, directory: Path
) -> None:
    other = Authority(directory, "another-authority")
    trusting_another = TlsFiles(other.certificate, authority.client.certificate, authority.client.key)
    stranger = connect(RedisServer(server.url, trusting_another), 2.0)
    with pytest.raises(RedisConnectionError, match="certificate verify failed"):
        await stranger.ping()
    await stranger.aclose()
    # The system's authorities do not know it, either.
    bare = connect(server.url, 2.0)
    with pytest.raises(RedisConnectionError, match="certificate verify failed"):
        await bare.ping()
    await bare.aclose()


async def test_a_server_that_asks_for_a_certificate_gets_one(
    server: RedisProgram, authority: Authority
) -> None:
    with_one = connect(RedisServer(server.url, files(authority)), 2.0)
    assert await with_one.ping()
    await with_one.aclose()
    without = connect(RedisServer(server.url, files(authority, client=False)), 2.0)
    with pytest.raises((RedisConnectionError, OSError)):
        await without.ping()
    await without.aclose()


async def test_a_certificate_of_another_name_is_refused_unless_told_otherwise(
    directory: Path, authority: Authority
) -> None:
    authority.server = authority.issue("elsewhere", ("redis.example",))  # type: ignore[misc]
    server = RedisProgram(directory / "redis", authority=authority)
    server.start()
    try:
        strict = connect(RedisServer(server.url, files(authority, client=False)), 2.0)
        with pytest.raises(RedisConnectionError, match=r"IP address mismatch|Hostname mismatch"):
            await strict.ping()
        await strict.aclose()
        lax = connect(RedisServer(server.url, files(authority, client=False), check_hostname=False), 2.0)
        assert await lax.ping()
        await lax.aclose()
    finally:
        server.kill()
