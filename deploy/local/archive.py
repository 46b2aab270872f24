"""A backup as one file: the database as PostgreSQL dumps it, and the keys. Redis is not in it.

What lies in Redis may be lost by design: a job that was accepted is in the database and runs again.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import shutil
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from deploy.local.directories import DataDir
from deploy.local.errors import AlreadyRunningError, ExistsError, LocalStackError
from deploy.local.key_files import write_private
from deploy.local.lock import StackLock
from deploy.local.postgres import EmbeddedPostgres
from deploy.local.process import run_command
from deploy.local.stack import DATABASE
from deploy.local.state import end_leftovers
from shared import __version__

_FORMAT = 1
_MANIFEST = "parley.json"
_DUMP = "database.dump"
_KEYS = ("secret.key", "admin.key")


def back_up(data: DataDir, target: Path, *, force: bool = False) -> int:
    """Write a backup of the embedded data, whether the stack runs or not; returns its size in bytes.

    The file appears whole or not at all, and only its owner can read it: it holds the keys.

    Raises:
        ExistsError: the file exists, and ``force`` is not set.
        LocalStackError: there is nothing to back up, or the dump failed.
    """
    if target.exists() and not force:
        raise ExistsError(f"{target} exists; --force overwrites it.")
    if not (data.postgres / "PG_VERSION").exists():
        raise LocalStackError(
            f"There is no embedded database in {data.root}. "
            "A server of yours (PARLEY_DATABASE_URL) is backed up with its own tools."
        )
    fresh = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    dump = data.run / f"dump-{os.getpid()}"
    try:
        with _server(data) as server:
            status, told = run_command(
                [str(server.programs / "pg_dump"), "-Fc", "-f", str(dump), *server.conninfo(DATABASE)]
            )
            version = server.version()
        if status:
            raise LocalStackError(f"pg_dump failed: {told.strip()}")
        manifest = {
            "format": _FORMAT,
            "parley": __version__,
            "postgres": version,
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w") as archive:
            _add(archive, _MANIFEST, json.dumps(manifest, indent=1).encode())
            for name in _KEYS:
                if (data.root / name).is_file():
                    _add(archive, name, (data.root / name).read_bytes())
            archive.add(dump, _DUMP, filter=_anonymous)
            file.flush()
        with fresh.open("rb") as written:
            os.fsync(written.fileno())
        fresh.replace(target)
    except OSError as error:
        raise LocalStackError(f"Cannot write {target}: {error.strerror}") from error
    finally:
        fresh.unlink(missing_ok=True)
        dump.unlink(missing_ok=True)
    return target.stat().st_size


def restore(data: DataDir, source: Path, *, force: bool = False) -> None:
    """Put a backup in the place of the embedded data. The stack must be stopped.

    The new database is complete before the old one goes; a restore that fails changes nothing.

    Raises:
        AlreadyRunningError: the stack runs.
        ExistsError: there is data, and ``force`` is not set.
        LocalStackError: the file is no backup, or is damaged.
    """
    data.create()
    with StackLock(data.lock):
        end_leftovers(data, lambda _: None)
        if (data.postgres / "PG_VERSION").exists() and not force:
            raise ExistsError(f"{data.root} holds data; --force replaces it by the backup.")
        scratch = data.run / f"restore-{os.getpid()}"
        fresh = data.root / "postgres.restored"
        shutil.rmtree(fresh, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        try:
            keys = _unpack(source, scratch)
            _fill(data, fresh, scratch / _DUMP)
            _swap(data, fresh, keys)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            shutil.rmtree(fresh, ignore_errors=True)
            data.remove_far_sockets()


def _fill(data: DataDir, cluster: Path, dump: Path) -> None:
    server = EmbeddedPostgres(cluster, data.sockets(), engine_copies=data.engine)
    server.start()
    try:
        server.ensure_database(DATABASE)
        status, told = run_command(
            [
                str(server.programs / "pg_restore"),
                *("--exit-on-error", "--single-transaction", "--no-owner"),
                *server.conninfo(DATABASE),
                str(dump),
            ]
        )
    finally:
        server.stop()
    if status:
        raise LocalStackError(f"The backup cannot be restored: {told.strip()[-800:]}")


def _swap(data: DataDir, fresh: Path, keys: dict[str, bytes]) -> None:
    old = data.root / f"postgres.old-{time.time_ns()}"
    if data.postgres.exists():
        data.postgres.rename(old)
    fresh.rename(data.postgres)
    for name, content in keys.items():
        write_private(data.root / name, content)
    shutil.rmtree(
        data.valkey, ignore_errors=True
    )  # leases and streams of jobs that this database does not know
    data.create()
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _server(data: DataDir) -> Iterator[EmbeddedPostgres]:
    """The running server of the stack, or one that runs for this block only."""
    lock = StackLock(data.lock)
    server = EmbeddedPostgres(data.postgres, data.sockets(), engine_copies=data.engine)
    try:
        lock.acquire()
    except AlreadyRunningError:
        if not server.ready():
            raise LocalStackError(
                "A stack runs, and its PostgreSQL does not answer: see parley status, parley logs postgres."
            ) from None
        yield server
        return
    with contextlib.ExitStack() as after:
        after.callback(lock.release)
        after.callback(data.remove_far_sockets)
        end_leftovers(data, lambda _: None)
        server.start()
        after.callback(server.stop)
        yield server


def _unpack(source: Path, scratch: Path) -> dict[str, bytes]:
    """Take the known members out of a backup: the dump into a file, the keys as bytes."""
    try:
        with tarfile.open(source, mode="r:") as archive:
            manifest = json.loads(_read(archive, _MANIFEST))
            if manifest.get("format") != _FORMAT:
                raise LocalStackError(
                    f"{source} has format {manifest.get('format')}, and this Parley reads {_FORMAT}: "
                    "restore it with the version that wrote it."
                )
            keys = {name: _read(archive, name) for name in _KEYS if name in archive.getnames()}
            member = archive.extractfile(_DUMP)
            if member is None:
                raise KeyError(_DUMP)
            with (scratch / _DUMP).open("xb") as file:
                shutil.copyfileobj(member, file)
    except (tarfile.TarError, KeyError, ValueError, EOFError) as error:
        raise LocalStackError(f"{source} is no backup of Parley, or is damaged: {error}") from error
    except OSError as error:
        raise LocalStackError(f"Cannot read {source}: {error.strerror or error}") from error
    return keys


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(name)
    if member is None:
        raise KeyError(name)
    return member.read()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    entry.mtime = int(time.time())
    archive.addfile(_anonymous(entry), io.BytesIO(content))


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o600
    return entry
