"""Encrypt what is stored under older keys with the first one: ``python -m shared.security.reencrypt``.

Any processes may run beside it: a row is replaced only if it still holds what was read. What is written
meanwhile by a process that still encrypts with an older key is found by the next run.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.engine import create_engine
from shared.security.secrets import SecretBox, SecretKeyError, SecretUnreadableError
from shared.settings import SettingsError, get_settings

#: Rows that are read at once; each is written in a transaction of its own.
BATCH = 100

_NOWHERE = UUID(int=0)


class Outcome(IntEnum):
    """What the exit status says."""

    #: Nothing is stored under an older key: it may go, if its time is over.
    DONE = 0
    #: Something still is.
    LEFT = 1
    #: The settings or the command line are of no use.
    MISCONFIGURED = 2
    #: Nothing is stored under an older key, but something under keys that are not among those given.
    UNREADABLE = 3
    #: Postgres does not answer, or has no tables of Parley.
    NO_DATABASE = 4


_ADVICE = {
    Outcome.DONE: "Nothing is left under older keys. Drop them when PARLEY_IDEMPOTENCY_RETENTION has passed "
    "since the last gateway that encrypted with one of them ended.",
    Outcome.LEFT: "Something is left under older keys: run this (without --check) when every gateway "
    "encrypts with the first one.",
    Outcome.UNREADABLE: "Nothing is left under older keys, but something under a key that is not among them: "
    "put it behind the others in PARLEY_SECRET_KEY, or enter those secrets again.",
}


@dataclass(frozen=True)
class _Place:
    """Where ciphertext is stored.

    Attributes:
        page: the rows with ciphertext (``token``) behind a row, in the order of the table's key.
        start: a key before all others.
        replace: sets ``fresh`` where a row still has ``token``.
        read: a stored token as it was encrypted.
        write: the other way round.
    """

    page: TextClause
    start: Mapping[str, Any]
    replace: TextClause
    read: Callable[[Any], bytes] = bytes
    write: Callable[[bytes], Any] = bytes


def _column(table: str, column: str) -> _Place:
    page = (
        f"SELECT id, {column} AS token FROM {table} "  # noqa: S608 - names from below
        f"WHERE {column} IS NOT NULL AND id > :id ORDER BY id LIMIT :size"
    )
    replace = f"UPDATE {table} SET {column} = :fresh WHERE id = :id AND {column} = :token"  # noqa: S608
    return _Place(text(page), {"id": _NOWHERE}, text(replace))


_PLACES = {
    "connections": _column("connections", "secrets"),
    "jobs": _column("jobs", "secret"),
    # Answers that hold a secret: new API keys, for requests that are repeated.
    "idempotency_keys": _Place(
        text(
            "SELECT owner_id, route, key, answer ->> 'sealed' AS token FROM idempotency_keys "
            "WHERE answer ->> 'sealed' IS NOT NULL AND (owner_id, route, key) > (:owner_id, :route, :key) "
            "ORDER BY owner_id, route, key LIMIT :size"
        ),
        {"owner_id": _NOWHERE, "route": "", "key": ""},
        text(
            "UPDATE idempotency_keys "
            "SET answer = answer || jsonb_build_object('sealed', CAST(:fresh AS text)) "
            "WHERE owner_id = :owner_id AND route = :route AND key = :key AND answer ->> 'sealed' = :token"
        ),
        base64.b64decode,
        lambda token: base64.b64encode(token).decode(),
    ),
}


@dataclass
class Count:
    """What was found in one table.

    Attributes:
        reencrypted: rows that were written anew.
        current: rows under the first key, afterwards.
        remaining: rows under an older key, afterwards.
        unreadable: keys of rows under none of the given keys.
    """

    reencrypted: int = 0
    current: int = 0
    remaining: int = 0
    unreadable: list[str] = field(default_factory=list)


async def reencrypt(
    engine: AsyncEngine, box: SecretBox, *, change: bool = True, batch: int = BATCH
) -> dict[str, Count]:
    """Encrypt everything with the first key of ``box``, then look what is left; by table.

    Args:
        engine: Postgres.
        box: with the new key, then all older ones.
        change: ``False``: only look.
        batch: rows that are read at once.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: Postgres does not answer; what was done until then is done.
    """
    counts = {}
    for name, place in _PLACES.items():
        count = counts[name] = Count()
        if change:
            count.reencrypted = await _rewrite(engine, box, place, batch)
        async for row, token in _rows(engine, place, batch):
            try:
                older = box.reencrypt(token) is not None
            except SecretUnreadableError:
                count.unreadable.append(" ".join(str(row[column]) for column in place.start))
                continue
            count.remaining += older
            count.current += not older
    return counts


async def _rewrite(engine: AsyncEngine, box: SecretBox, place: _Place, batch: int) -> int:
    """How many rows were encrypted anew."""
    written = 0
    async for row, token in _rows(engine, place, batch):
        try:
            fresh = box.reencrypt(token)
        except SecretUnreadableError:
            continue
        if fresh is not None:
            # A row a transaction: no lock is held while another one is waited for.
            async with engine.begin() as connection:
                done = await connection.execute(place.replace, {**row, "fresh": place.write(fresh)})
            written += done.rowcount
    return written


async def _rows(
    engine: AsyncEngine, place: _Place, batch: int
) -> AsyncIterator[tuple[Mapping[str, Any], bytes]]:
    """Each row that holds ciphertext, with it."""
    behind = place.start
    while True:
        async with engine.connect() as connection:
            page = (await connection.execute(place.page, {**behind, "size": batch})).mappings().all()
        for row in page:
            yield dict(row), place.read(row["token"])
        if len(page) < batch:
            return
        behind = {column: page[-1][column] for column in place.start}


def outcome(counts: Mapping[str, Count]) -> Outcome:
    """What they come to."""
    if any(count.remaining for count in counts.values()):
        return Outcome.LEFT
    return Outcome.UNREADABLE if any(count.unreadable for count in counts.values()) else Outcome.DONE


def told(counts: Mapping[str, Count]) -> str:
    """The counts, and what they mean, for people."""
    lines = []
    for name, count in counts.items():
        lines.append(
            f"{name}: {count.reencrypted} encrypted anew, {count.current} under the first key, "
            f"{count.remaining} under older ones, {len(count.unreadable)} unreadable"
        )
        lines += [f"  unreadable: {row}" for row in count.unreadable[:20]]
    return "\n".join([*lines, _ADVICE[outcome(counts)]])


def _size(given: str) -> int:
    if not given.isdecimal() or not 1 <= int(given) <= 10_000:
        raise argparse.ArgumentTypeError("is not a number from 1 to 10000")
    return int(given)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run with the settings of the environment; the exit status, an :class:`Outcome`."""
    parser = argparse.ArgumentParser(
        prog="python -m shared.security.reencrypt",
        description="Encrypt what is stored under older keys with the first one of PARLEY_SECRET_KEY.",
    )
    parser.add_argument("--check", action="store_true", help="only look, and change nothing")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--batch", type=_size, default=BATCH, help="rows read at once (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        settings = get_settings()
        box = SecretBox.from_settings(settings, make=False)
        counts = asyncio.run(_run(settings.database_url, box, change=not options.check, batch=options.batch))
    except (SettingsError, SecretKeyError) as error:
        print(f"parley reencrypt: {error}", file=sys.stderr)
        return Outcome.MISCONFIGURED
    except SQLAlchemyError as error:
        state = getattr(getattr(error, "orig", None), "sqlstate", None)
        print(
            "parley reencrypt: Postgres (PARLEY_DATABASE_URL) does not answer, or was never migrated "
            f"({type(error).__name__}, sqlstate {state}); what was encrypted until now stays so",
            file=sys.stderr,
        )
        return Outcome.NO_DATABASE
    if options.json:
        result = outcome(counts)
        tables = {name: asdict(count) for name, count in counts.items()}
        print(json.dumps({"outcome": result.name.lower(), "tables": tables}, indent=2))
    else:
        print(told(counts))
    return outcome(counts)


async def _run(url: str, box: SecretBox, *, change: bool, batch: int) -> dict[str, Count]:
    engine = create_engine(url)
    try:
        return await reencrypt(engine, box, change=change, batch=batch)
    finally:
        await engine.dispose()


if __name__ == "__main__":
    sys.exit(main())
