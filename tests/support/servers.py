"""The servers that tests run against: their own ones, on no port, in a directory that goes away.

``PARLEY_TEST_BACKEND`` chooses:

- ``embedded`` (default): PostgreSQL and Valkey from the installed wheels, as ``parley up`` starts them;
- ``testcontainers``: ``postgres:17`` and ``redis:8``, skipped with a reason when no Docker answers;
- ``external``: ``PARLEY_TEST_DATABASE_URL`` (a superuser's URL of a database whose server may be filled with
  test databases) and ``PARLEY_TEST_REDIS_URL`` (a database that may be emptied).

The fixtures are registered by ``tests/conftest.py``. Chaos tests take ``own_postgres`` and ``own_valkey``:
servers of that test alone, which it may ``stop``, ``kill``, ``pause`` and ``resume`` (embedded only).
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from psycopg import sql

from deploy.local.postgres import EmbeddedPostgres
from deploy.local.valkey import EmbeddedValkey

BACKENDS = ("embedded", "testcontainers", "external")
_DRIVER = "+psycopg"
_EMPTY = (Path(__file__).parent / "empty_database.sql").read_text()


def backend() -> str:
    """The chosen backend.

    Raises:
        pytest.UsageError: there is no such backend.
    """
    chosen = os.environ.get("PARLEY_TEST_BACKEND", "embedded")
    if chosen not in BACKENDS:
        raise pytest.UsageError(f"PARLEY_TEST_BACKEND is {chosen!r}; it takes one of {', '.join(BACKENDS)}")
    return chosen


@contextmanager
def server_directory() -> Iterator[Path]:
    """A short-lived directory that the account which runs Postgres can pass through, removed at the end."""
    root = Path(tempfile.mkdtemp(prefix="parley-test-"))
    root.chmod(0o711)
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def make_postgres(root: Path, **options: str) -> EmbeddedPostgres:
    """A server below ``root``, not started; it trades durability for speed unless ``fsync="on"`` is said."""
    fast = options.get("fsync") != "on"
    return EmbeddedPostgres(root / "postgres", root, engine_copies=root, options=options, fast=fast)


def make_valkey(
    root: Path, *, persistent: bool = False, maxmemory: int = 256 * 1024 * 1024
) -> EmbeddedValkey:
    """A server below ``root``, not started."""
    directory = root / "valkey"
    directory.mkdir(mode=0o700, exist_ok=True)
    return EmbeddedValkey(directory, root, persistent=persistent, maxmemory=maxmemory)


@dataclass(frozen=True)
class Databases:
    """A PostgreSQL server that makes a database for everyone who asks.

    Attributes:
        maintenance_url: SQLAlchemy URL of the superuser's own database.
    """

    maintenance_url: str

    def url(self, name: str) -> str:
        """SQLAlchemy's URL of one of its databases."""
        parts = urlsplit(self.maintenance_url)
        return parts._replace(path=f"/{name}").geturl()

    def create(self, *, template: str | None = None) -> str:
        """Make a database, empty or a copy of ``template``, and return its name."""
        name = f"parley_test_{uuid.uuid4().hex[:16]}"
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        self._execute(statement)
        return name

    def empty(self, name: str) -> None:
        """Take all rows out of a migrated database, and everyone who is connected."""
        self._execute(sql.SQL(_EMPTY), self.url(name))

    def drop(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _execute(self, statement: sql.Composable, url: str = "") -> None:
        plain = (url or self.maintenance_url).replace(_DRIVER, "", 1)
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(statement)


def _docker_or_skip() -> None:
    docker = pytest.importorskip("docker", reason="testcontainers is not installed")
    problem = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of sockets that a failing client forgets
        try:
            client = docker.from_env()
            client.ping()
            client.close()
        except Exception as error:  # whatever the client library raises: no Docker, no test
            problem = str(error)
        gc.collect()
    if problem:
        pytest.skip(f"PARLEY_TEST_BACKEND=testcontainers: no Docker answers ({problem})")


def _external(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        raise pytest.UsageError(f"PARLEY_TEST_BACKEND=external needs {variable}")
    return value


@contextmanager
def running_databases() -> Iterator[Databases]:
    """A PostgreSQL server of the chosen backend."""
    match backend():
        case "embedded":
            with server_directory() as root:
                server = make_postgres(root)
                server.start()
                try:
                    yield Databases(server.url("postgres"))
                finally:
                    server.kill()
        case "testcontainers":
            _docker_or_skip()
            from testcontainers.community.postgres import PostgresContainer

            with PostgresContainer("postgres:17", driver="psycopg") as container:
                yield Databases(container.get_connection_url())
        case _:
            url = _external("PARLEY_TEST_DATABASE_URL")
            yield Databases(url.replace("postgresql://", f"postgresql{_DRIVER}://", 1))


@contextmanager
def running_redis() -> Iterator[str]:
    """URL of a Redis of the chosen backend."""
    match backend():
        case "embedded":
            with server_directory() as root:
                server = make_valkey(root)
                server.start()
                try:
                    yield server.url
                finally:
                    server.kill()
        case "testcontainers":
            _docker_or_skip()
            from testcontainers.community.redis import RedisContainer

            with RedisContainer("redis:8") as container:
                yield f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(6379)}/0"
        case _:
            yield _external("PARLEY_TEST_REDIS_URL")


# Fixtures ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """The session's PostgreSQL server: ``create()`` makes a database."""
    with running_databases() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_template(databases: Databases) -> Iterator[str]:
    """Name of a database with the whole schema and no rows, for ``databases.create(template=…)``."""
    from shared.database.migrate import upgrade

    name = databases.create()
    upgrade(databases.url(name))
    yield name
    databases.drop(name)


@pytest.fixture
def empty_database_url(databases: Databases) -> Iterator[str]:
    """SQLAlchemy URL of a database of this test with nothing in it."""
    name = databases.create()
    yield databases.url(name)
    databases.drop(name)


@pytest.fixture(scope="session")
def _used_database(databases: Databases, migrated_template: str) -> Iterator[str]:
    name = databases.create(template=migrated_template)
    yield name
    databases.drop(name)


@pytest.fixture
def postgres_url(databases: Databases, _used_database: str) -> str:
    """SQLAlchemy URL of a migrated database, for this test alone, without rows when it begins.

    It is the same one for one test after the other: making one takes longer than most tests.
    """
    databases.empty(_used_database)
    return databases.url(_used_database)


@pytest.fixture(scope="module")
def module_postgres_url(databases: Databases, migrated_template: str) -> Iterator[str]:
    """SQLAlchemy URL of a migrated database that the tests of one module share."""
    name = databases.create(template=migrated_template)
    yield databases.url(name)
    databases.drop(name)


@pytest.fixture(scope="session")
def redis_server_url() -> Iterator[str]:
    """URL of the session's Redis, with whatever other tests left in it."""
    with running_redis() as url:
        yield url


@pytest.fixture
def redis_url(redis_server_url: str) -> str:
    """URL of a Redis that is empty when the test begins."""
    with redis.Redis.from_url(redis_server_url) as client:
        client.flushdb()
        client.script_flush()
    return redis_server_url


@pytest.fixture
def broker_url(redis_url: str) -> str:
    """Celery's URL of ``redis_url``."""
    return redis_url.replace("unix://", "redis+socket://", 1)


@pytest.fixture
def own_postgres() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL of this test, started, durable: it may be killed, stopped, paused and started again."""
    if backend() != "embedded":
        pytest.skip("a test that kills PostgreSQL starts its own: PARLEY_TEST_BACKEND=embedded only")
    with server_directory() as root:
        server = make_postgres(root, fsync="on")
        server.start()
        try:
            yield server
        finally:
            server.resume()
            server.kill()


@pytest.fixture
def own_migrated_postgres(own_postgres: EmbeddedPostgres) -> EmbeddedPostgres:
    """``own_postgres`` with a migrated database ``parley`` (``own_postgres.url("parley")``)."""
    from shared.database.migrate import upgrade

    own_postgres.ensure_database("parley")
    upgrade(own_postgres.url("parley"))
    return own_postgres


@pytest.fixture
def own_valkey() -> Iterator[EmbeddedValkey]:
    """A Valkey of this test, started, with an append-only file: it may be killed, paused, started again."""
    if backend() != "embedded":
        pytest.skip("a test that kills Redis starts its own: PARLEY_TEST_BACKEND=embedded only")
    with server_directory() as root:
        server = make_valkey(root, persistent=True)
        server.start()
        try:
            yield server
        finally:
            server.resume()
            server.kill()


@pytest.fixture(scope="session")
def local_model() -> Iterator[Path]:
    """The local model's file: the installed one, else fetched once for the session."""
    from deploy.local.model import ensure_model

    with server_directory() as root:
        yield ensure_model(root, os.environ)
