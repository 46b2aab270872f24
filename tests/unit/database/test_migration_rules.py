"""Migrations keep to their rule: the code of the release before goes on working on the new schema."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy as sa
from alembic import op
from alembic.script import Script, ScriptDirectory

from shared.database.migrate import config
from shared.database.models import Base
from tests.support.migration_rules import LARGE, faults, statements

_ROOT = Path(__file__).resolve().parents[3]
#: These are older than every release: nothing runs beside them.
BEFORE_RELEASES = {"0001", "0002"}
MIGRATIONS = list(ScriptDirectory.from_config(config("postgresql://")).walk_revisions())


def releases() -> set[str]:
    """The versions that the changelog gives a date."""
    return set(
        re.findall(r"^## (\d+\.\d+\.\d+) \(\d{4}-", (_ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    )


@pytest.mark.parametrize("migration", MIGRATIONS, ids=lambda one: one.revision)
def test_no_migration_takes_from_earlier_code_what_it_needs(migration: Script) -> None:
    if migration.revision in BEFORE_RELEASES:
        return
    module = migration.module
    unused = getattr(module, "unused_since", {})
    assert faults(statements(module), unused) == []
    assert set(unused.values()) <= releases(), "unused_since names releases that are out"


def test_every_migration_has_one_before_it_and_a_way_back() -> None:
    assert [one.revision for one in reversed(MIGRATIONS)] == [
        f"{n:04}" for n in range(1, len(MIGRATIONS) + 1)
    ]
    for one in MIGRATIONS:
        assert callable(one.module.downgrade)


def test_large_tables_are_tables() -> None:
    assert set(Base.metadata.tables) >= LARGE


def migration(upgrade: Callable[[], None]) -> ModuleType:
    made = ModuleType("migration")
    made.upgrade = upgrade  # type: ignore[attr-defined]
    return made


def bad_column() -> None:
    op.add_column("jobs", sa.Column("size", sa.Integer(), nullable=False))


def renamed() -> None:
    op.alter_column("jobs", "payload", new_column_name="content")


def narrowed() -> None:
    op.alter_column("messages", "content", type_=sa.String(100))


def required() -> None:
    op.alter_column("messages", "parent_id", nullable=False)


def dropped() -> None:
    op.drop_column("jobs", "payload")


def table() -> None:
    op.drop_table("attempts")


def table_renamed() -> None:
    op.rename_table("attempts", "tries")


def rule() -> None:
    op.create_check_constraint("short", "messages", "length(content) < 10")


def unique() -> None:
    op.create_index("ux_messages", "messages", ["content"], unique=True)


def locking() -> None:
    op.create_index("ix_jobs_new", "jobs", ["created_at"])


def rewritten() -> None:
    op.execute("UPDATE messages SET content = ''")


def emptied() -> None:
    op.execute("TRUNCATE messages")


@pytest.mark.parametrize(
    "change",
    [
        bad_column, renamed, narrowed, required, dropped, table, table_renamed, rule, unique, locking,
        rewritten, emptied,
    ],
    ids=lambda change: change.__name__,
)  # fmt: skip
def test_what_breaks_earlier_code_is_refused_with_a_remedy(change: Callable[[], None]) -> None:
    (fault, *_) = faults(statements(migration(change)))
    assert ": " in fault


def expanded() -> None:
    op.create_table("labels", sa.Column("id", sa.UUID(), primary_key=True), sa.Column("name", sa.Text()))
    op.create_index("ix_labels", "labels", ["name"], unique=True)
    op.add_column("jobs", sa.Column("trace", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("size", sa.Integer(), server_default="0", nullable=False))
    op.create_check_constraint("size", "jobs", "size >= 0")
    op.create_index("ix_personas_name", "personas", ["name"])
    op.alter_column("messages", "content", nullable=True)


def test_what_only_adds_passes() -> None:
    assert faults(statements(migration(expanded))) == []


def test_what_no_release_uses_may_go() -> None:
    assert faults(statements(migration(dropped)), {"jobs.payload": "0.2.0"}) == []
    assert faults(statements(migration(table)), {"attempts": "0.2.0"}) == []
    assert faults(statements(migration(dropped)), {"jobs.other": "0.2.0"}) != []
