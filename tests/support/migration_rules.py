"""What a migration may do while the code before it still runs: expand now, contract one release later.

A release runs on its own schema and on that of the next one. So a migration adds: tables, columns that may be
null or have a default, indexes. What earlier code still reads, writes or relies on goes only when a release
has been out that does without. A migration that removes such a thing says since which release in a mapping of
its module::

    #: No release since this one uses them.
    unused_since = {"jobs.old_column": "0.2.0"}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import StringIO
from types import ModuleType

from alembic.migration import MigrationContext
from alembic.operations import Operations

#: Tables in which an index is built for minutes, while nobody can write.
LARGE = frozenset({"messages", "jobs", "attempts", "experiment_steps", "experiment_events", "turn_traces"})
_NAME = r'"?([\w.]+)"?'
_CREATED = re.compile(rf"CREATE TABLE (?:IF NOT EXISTS )?{_NAME}", re.IGNORECASE)
_ALTERED = re.compile(rf"ALTER TABLE (?:IF EXISTS )?(?:ONLY )?{_NAME} (.*)", re.IGNORECASE | re.DOTALL)
_ADDED = re.compile(rf"ADD COLUMN (?:IF NOT EXISTS )?{_NAME}(.*)", re.IGNORECASE | re.DOTALL)
_INDEXED = re.compile(
    rf"CREATE (UNIQUE )?INDEX (CONCURRENTLY )?(?:IF NOT EXISTS )?{_NAME} ON {_NAME}(.*)",
    re.IGNORECASE | re.DOTALL,
)
_DROPPED = re.compile(
    rf"DROP (TABLE|INDEX|TYPE|VIEW|SEQUENCE|FUNCTION)(?: CONCURRENTLY)?(?: IF EXISTS)? {_NAME}", re.IGNORECASE
)


def statements(migration: ModuleType) -> list[str]:
    """The SQL of a migration's ``upgrade``, one statement after the other."""
    written = StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": written}
    )
    with Operations.context(context):
        migration.upgrade()
    uncommented = re.sub(r"--[^\n]*", "", written.getvalue())
    return [one.strip() for one in uncommented.split(";\n") if one.strip()]


def faults(sql: list[str], unused_since: Mapping[str, str] | None = None) -> list[str]:
    """What in these statements earlier code would not survive, each with its remedy."""
    unused = set(unused_since or {})
    created = {match[1].lower() for one in sql if (match := _CREATED.match(one))}
    added: set[str] = set()
    found: list[str] = []
    for one in sql:
        said = " ".join(one.split())[:120]
        if match := _ALTERED.match(one):
            table, change = match[1].lower(), match[2]
            if table not in created:
                found += _change(table, change, added, unused, said)
        elif match := _INDEXED.match(one):
            table = match[4].lower()
            if table in created:
                continue
            if match[1] and not _names(match[5], added) and match[3] not in unused:
                found.append(f"{said}: earlier code may write what is not unique; list the index")
            if table in LARGE and not match[2]:
                found.append(f"{said}: nobody could write while it is built; build it CONCURRENTLY")
        elif match := _DROPPED.match(one):
            if match[2].lower() not in created | unused:
                found.append(f"{said}: earlier code may use it; list it when no release does")
        elif re.match(r"(TRUNCATE|DELETE|UPDATE)\b", one, re.IGNORECASE) and "alembic_version" not in one:
            found.append(f"{said}: rows are changed some at a time by the sweep, not by a migration")
    return found


def _change(table: str, change: str, added: set[str], unused: set[str], said: str) -> list[str]:
    if match := _ADDED.match(change):
        added.add(match[1].lower())
        if "NOT NULL" in match[2].upper() and "DEFAULT" not in match[2].upper():
            return [f"{said}: earlier code does not fill it; make it nullable, or give it a server default"]
        return []
    if match := re.match(rf"ADD CONSTRAINT {_NAME}(.*)", change, re.IGNORECASE | re.DOTALL):
        if _names(match[2], added) or match[1] in unused:
            return []
        return [f"{said}: earlier code may write what it forbids; list the constraint when no release does"]
    if match := re.match(rf"DROP (COLUMN|CONSTRAINT)(?: IF EXISTS)? {_NAME}", change, re.IGNORECASE):
        name = f"{table}.{match[2]}" if match[1].upper() == "COLUMN" else match[2]
        return (
            [] if name in unused else [f"{said}: earlier code may use it; list {name} when no release does"]
        )
    if match := re.match(rf"ALTER COLUMN {_NAME} (.*)", change, re.IGNORECASE | re.DOTALL):
        name = f"{table}.{match[1]}"
        if match[2].upper().startswith(("SET DEFAULT", "DROP NOT NULL")) or name in unused:
            return []
        return [f"{said}: earlier code reads and writes it as it was; add a new column beside it"]
    return [f"{said}: earlier code knows it as it was; add something new beside it"]


def _names(text: str, columns: set[str]) -> bool:
    """Whether a text names one of these columns."""
    return any(word.lower() in columns for word in re.findall(r"\w+", text))
