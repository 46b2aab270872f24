"""Postgres under TLS, and behind a pooler in transaction mode."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from deploy.local.postgres import EmbeddedPostgres
from deploy.local.valkey import EmbeddedValkey
from shared.database.migrate import upgrade
from shared.settings import Settings
from tests.chaos.system import running_system
from tests.integration.external.servers.certificates import Authority
from tests.integration.external.servers.postgres_servers import EncryptedPostgres, PgBouncer
from tests.integration.external.servers.program import require_program
from tests.integration.external.work import a_day, stack_of
from tests.support.servers import make_postgres

#: Other makers' servers take minutes: a command of their own runs these tests.
pytestmark = pytest.mark.slow


@pytest.fixture
def encrypted(directory: Path, authority: Authority) -> Iterator[EncryptedPostgres]:
    """A PostgreSQL that takes logins under TLS only, with an empty database ``parley``."""
    made = EncryptedPostgres(directory, authority)
    try:
        made.start()
        with psycopg.connect(made.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE parley")
        yield made
    finally:
        made.program.stop()


@pytest.fixture
def pooled(directory: Path) -> Iterator[tuple[EmbeddedPostgres, PgBouncer]]:
    """A PostgreSQL with an empty database ``parley``, and a pooler with few connections before it."""
    require_program("pgbouncer")
    server = make_postgres(directory)
    server.start()
    pooler = PgBouncer(directory, server)
    try:
        server.ensure_database("parley")
        pooler.program.start()
        yield server, pooler
    finally:
        pooler.program.kill()
        server.kill()


async def test_everything_works_under_tls(encrypted: EncryptedPostgres, redis_url: str) -> None:
    url = encrypted.url("parley")
    upgrade(Settings(database_url=url).database_url)
    with stack_of(database_url=url, redis_url=redis_url) as stack:
        await a_day(stack)
        with psycopg.connect(url) as connection:
            rows = connection.execute(
                "SELECT DISTINCT ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) "
                "WHERE datname = 'parley'"
            ).fetchall()
        assert rows == [(True,)]


def test_who_is_not_vouched_for_is_not_told_the_password(
    encrypted: EncryptedPostgres, directory: Path
) -> None:
    other = Authority(directory, "another-authority")
    for url, reason in (
        (encrypted.url("parley", ca=other.certificate), "certificate verify failed"),
        (encrypted.url("parley").replace("verify-full", "disable"), "no encryption"),
    ):
        with pytest.raises(psycopg.OperationalError, match=reason):
            psycopg.connect(url)


async def test_turns_and_runs_go_through_a_pooler(
    pooled: tuple[EmbeddedPostgres, PgBouncer], own_valkey: EmbeddedValkey
) -> None:
    server, pooler = pooled
    settings = Settings(database_url=pooler.url("parley"), migration_database_url=server.url("parley"))
    assert settings.migration_database_url is not None
    upgrade(settings.migration_database_url)
    with stack_of(database_url=pooler.url("parley"), redis_url=own_valkey.url, workers=2) as stack:
        await a_day(stack)
        with psycopg.connect(pooler.url("pgbouncer"), autocommit=True) as console:
            # More clients than connections: they take turns.
            [clients] = [row for row in console.execute("SHOW POOLS").fetchall() if row[0] == "parley"]
        assert clients[2] > 4, clients


async def test_a_pooler_under_load_mixes_nobody_up(
    pooled: tuple[EmbeddedPostgres, PgBouncer], own_valkey: EmbeddedValkey
) -> None:
    server, pooler = pooled
    upgrade(server.url("parley"))
    url = Settings(database_url=pooler.url("parley")).database_url
    async with running_system(database_url=url, redis=own_valkey, workers=2, gateways=2, users=2) as system:

        async def harm() -> None:
            victim = system.workers[0]
            system.kill(victim)

        await system.under_load(harm(), seed=51, clients=16, duration=6.0, tokens=(10, 30))
