"""Keys in files: made once, never readable by anybody else, not even for an instant."""

from __future__ import annotations

import base64
import os
import secrets
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from deploy.local.directories import DataDir
from deploy.local.errors import LocalStackError


def write_private(path: Path, content: bytes) -> None:
    """Replace the file by one that only its owner can read, whole or not at all."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def key_in(path: Path, make: Callable[[], str]) -> str:
    """The key that the file holds; made and stored first when there is none.

    Raises:
        LocalStackError: the file is empty, cannot be read, or others can read it.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return read_key(path)
    os.close(descriptor)
    write_private(path, (make() + "\n").encode())
    return read_key(path)


def read_key(path: Path) -> str:
    """The key that the file holds.

    Raises:
        LocalStackError: the file is missing or empty, cannot be read, or others can read it.
    """
    try:
        found = path.stat()
        key = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise LocalStackError(f"Cannot read the key in {path}: {error.strerror}.") from error
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise LocalStackError(f"Others can read the key in {path}: run chmod 600 {path}")
    if not key:
        raise LocalStackError(f"{path} holds no key: remove the file, and a new key is made.")
    return key


def new_secret_key() -> str:
    """A key for secrets at rest: 32 random bytes, URL-safe base64."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def new_admin_key() -> str:
    """An API key in Parley's form."""
    from shared.security.keys import generate

    return generate().key


def admin_key(data: DataDir, environment: Mapping[str, str]) -> str:
    """The administrator's API key: ``PARLEY_ADMIN_KEY``, else the one of the data directory, made once."""
    return environment.get("PARLEY_ADMIN_KEY") or key_in(data.admin_key, new_admin_key)
