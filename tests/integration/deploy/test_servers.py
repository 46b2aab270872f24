"""The embedded servers do what tests and the supervisor rely on."""

from __future__ import annotations

import os
import stat
import time
from contextlib import closing

import psycopg
import pytest
import redis

from deploy.local.postgres import EmbeddedPostgres
from deploy.local.process import ProcessIdentity
from deploy.local.valkey import EmbeddedValkey
from tests.support.servers import Databases, make_postgres, make_valkey, server_directory


def connect(server: EmbeddedPostgres) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(server.url("postgres").replace("+psycopg", ""), autocommit=True, connect_timeout=2)


def test_each_database_is_new(databases: Databases) -> None:
    first, second = databases.create(), databases.create()
    assert first != second
    for name in (first, second):
        with psycopg.connect(databases.url(name).replace("+psycopg", "")) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == (name,)
        databases.drop(name)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(databases.url(first).replace("+psycopg", ""))


def test_redis_is_empty_at_the_start_of_a_test(redis_server_url: str, request: pytest.FixtureRequest) -> None:
    with redis.Redis.from_url(redis_server_url) as client:
        client.set("left", "over")
        url = request.getfixturevalue("redis_url")
        assert url == redis_server_url
        assert client.dbsize() == 0


def test_postgres_keeps_what_it_committed_through_a_kill(own_postgres: EmbeddedPostgres) -> None:
    with connect(own_postgres) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (1)")
    own_postgres.kill()
    assert not own_postgres.ready()
    own_postgres.start()
    with connect(own_postgres) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(1,)]


def test_postgres_starts_again_although_a_busy_backend_outlived_its_postmaster(
    own_postgres: EmbeddedPostgres,
) -> None:
    with closing(connect(own_postgres)) as connection:
        backend = ProcessIdentity.of(connection.info.backend_pid)
        connection.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 100000000000)")
        child = own_postgres.child
        assert child is not None
        assert backend is not None
        child.reap()  # the postmaster alone; the backend computes on
        own_postgres.child = None
        assert backend.alive()
        own_postgres.start()
        with connect(own_postgres) as again:
            assert again.execute("SELECT 1").fetchone() == (1,)
        assert not backend.alive()


def test_a_paused_postgres_answers_nobody_and_then_everybody(own_postgres: EmbeddedPostgres) -> None:
    own_postgres.pause()
    with pytest.raises(psycopg.OperationalError):
        connect(own_postgres)
    own_postgres.resume()
    with connect(own_postgres) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_postgres_opens_no_port_and_its_socket_is_private(own_postgres: EmbeddedPostgres) -> None:
    assert own_postgres.sql("SHOW listen_addresses") == ""
    assert stat.S_IMODE(own_postgres.socket_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE(own_postgres.data.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try it as another account")
def test_the_log_of_postgres_tells_errors_without_the_values_in_them(own_postgres: EmbeddedPostgres) -> None:
    with closing(connect(own_postgres)) as connection:
        assert connection.execute("SHOW log_error_verbosity").fetchone() == ("terse",)
        assert connection.execute("SHOW log_parameter_max_length_on_error").fetchone() == ("0",)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another account")
def test_the_account_that_runs_postgres_may_not_log_in_to_it(own_postgres: EmbeddedPostgres) -> None:
    assert own_postgres.account is not None
    refused = own_postgres.account.run(
        [str(own_postgres.programs / "psql"), *own_postgres.conninfo(), "-c", ""]
    )
    assert refused.returncode != 0
    assert b"Peer authentication failed" in refused.stdout


def test_valkey_keeps_its_data_through_a_stop_and_empties_nothing(own_valkey: EmbeddedValkey) -> None:
    with redis.Redis.from_url(own_valkey.url) as client:
        client.set("kept", "1")
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    own_valkey.stop()
    assert not own_valkey.ready()
    own_valkey.start()
    with redis.Redis.from_url(own_valkey.url) as client:
        assert client.get("kept") == b"1"


def test_a_paused_valkey_answers_nobody_and_then_everybody(own_valkey: EmbeddedValkey) -> None:
    own_valkey.pause()
    with (
        redis.Redis.from_url(own_valkey.url, socket_timeout=0.2, retry=None) as client,
        pytest.raises(redis.TimeoutError),
    ):
        client.ping()
    own_valkey.resume()
    with redis.Redis.from_url(own_valkey.url) as client:
        assert client.ping()


def test_servers_stop_quickly_and_start_quickly() -> None:
    with server_directory() as root:
        valkey, postgres = make_valkey(root), make_postgres(root)
        valkey.start()
        postgres.start()
        began = time.monotonic()
        valkey.stop()
        postgres.stop()
        assert time.monotonic() - began < 5
        assert not valkey.socket.exists()
