"""The migrations lead to the tables of the models, and back to nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, inspect, pool, text
from sqlalchemy.exc import OperationalError

from shared.database import migrate
from shared.database.models import Base


@pytest.fixture
def engine(empty_database_url: str) -> Engine:
    return create_engine(empty_database_url, poolclass=pool.NullPool)


def checks(connection: Connection) -> dict[str, set[tuple[str, str]]]:
    """The check constraints of every table, which Alembic does not compare."""
    inspector = inspect(connection)
    return {
        table: {(str(c["name"]), c["sqltext"]) for c in inspector.get_check_constraints(table)}
        for table in Base.metadata.tables
    }


def test_a_migrated_database_has_the_tables_of_the_models(empty_database_url: str, engine: Engine) -> None:
    migrate.upgrade(empty_database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        migrated = checks(connection)
        # The same from the models, for what Alembic does not look at.
        connection.execute(text("CREATE SCHEMA other"))
        connection.execute(text("SET search_path TO other"))
        Base.metadata.create_all(connection)
        assert checks(connection) == migrated
        connection.rollback()


def test_downgrading_leaves_nothing(empty_database_url: str, engine: Engine) -> None:
    migrate.upgrade(empty_database_url)
    command.downgrade(migrate.config(empty_database_url), "base")
    with engine.connect() as connection:
        assert set(inspect(connection).get_table_names()) == {"alembic_version"}


def test_what_was_there_before_experiments_stays(empty_database_url: str, engine: Engine) -> None:
    command.upgrade(migrate.config(empty_database_url), "0001")
    with engine.begin() as connection:
        assert not inspect(connection).has_table("experiments")
        connection.execute(
            text("INSERT INTO users (id, name, is_admin) VALUES (gen_random_uuid(), 'ada', false)")
        )
    migrate.upgrade(empty_database_url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT name FROM users")).scalars().all() == ["ada"]
        assert connection.execute(text("SELECT count(*) FROM experiments")).scalar() == 0


def test_a_migration_that_waits_for_a_table_lets_others_pass(
    empty_database_url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "LOCK_WAIT", 0.2)
    monkeypatch.setattr(migrate, "_PAUSE", 0.2)
    command.upgrade(migrate.config(empty_database_url), "0002")
    with engine.connect() as long, ThreadPoolExecutor() as threads:
        long.execute(text("SELECT count(*) FROM jobs"))  # 0003 alters what is read here
        migrating = threads.submit(migrate.upgrade, empty_database_url, "0003")
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as other:
            waits = text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND wait_event_type = 'Lock' AND query LIKE 'ALTER TABLE%'"
            )
            for _ in range(2):  # it comes again after it gave way
                while not other.execute(waits).scalar():
                    assert not migrating.done()
                other.execute(text("SET statement_timeout = '30s'"))
                assert other.execute(text("SELECT count(*) FROM jobs")).scalar() == 0  # no deadlock, no end
                while other.execute(waits).scalar():
                    assert not migrating.done()
        long.rollback()
        migrating.result(timeout=60)
    with engine.connect() as connection:
        assert "traceparent" in {column["name"] for column in inspect(connection).get_columns("jobs")}


def test_a_table_that_is_never_free_is_told(
    empty_database_url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("LOCK_WAIT", 0.05), ("_PAUSE", 0.01), ("_TRIES", 2)):
        monkeypatch.setattr(migrate, name, value)
    command.upgrade(migrate.config(empty_database_url), "0002")
    with engine.connect() as long:
        long.execute(text("SELECT count(*) FROM jobs"))
        with pytest.raises(OperationalError, match="lock timeout"):
            migrate.upgrade(empty_database_url, "0003")
        long.rollback()
    migrate.upgrade(empty_database_url, "0003")
