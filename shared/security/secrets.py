"""Secrets at rest: encryption under a key that lies outside the database."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from shared.errors import ParleyError
from shared.settings import Settings

_KEY_FILE = "secret.key"
_REMEDY = (
    "set PARLEY_SECRET_KEY, or name a readable file that holds it in PARLEY_SECRET_KEY_FILE (default: "
    "secret.key in PARLEY_DATA_DIR)"
)


class SecretKeyError(Exception):
    """No usable key: a fault of the configuration, told when a process starts."""


class SecretUnreadableError(ParleyError):
    """A stored secret was encrypted with a key that this process does not have."""

    code: ClassVar[str] = "secret_unreadable"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "A stored secret cannot be read"

    def __init__(self) -> None:
        super().__init__(
            "A stored secret was encrypted with another key. Enter the secret again, or start Parley with "
            "the key it was stored with (PARLEY_SECRET_KEY, or the file secret.key of its data directory)."
        )


@dataclass(frozen=True, slots=True)
class KeyedHash:
    """HMAC-SHA-256 of data under keys derived from those of a box; 32 bytes each.

    Attributes:
        value: under the first key, as it is stored.
        others: under the other ones. What was stored before the keys changed places has one of these.
    """

    value: bytes
    others: tuple[bytes, ...] = ()

    def matches(self, stored: bytes) -> bool:
        """Whether ``stored`` is a hash of the same data, under any of the keys."""
        return stored in (self.value, *self.others)


class SecretBox:
    """Encrypts what must be kept but not be read from the database.

    Parameters:
        keys: each 32 bytes in URL-safe base64; the first encrypts, all decrypt.

    Raises:
        SecretKeyError: a key is malformed, or there is none.
    """

    def __init__(self, *keys: str) -> None:
        if not keys:
            raise SecretKeyError("no key to encrypt secrets with")
        try:
            each = [Fernet(key) for key in keys]
            plain = [base64.urlsafe_b64decode(key) for key in keys]
        except ValueError as error:
            raise SecretKeyError(
                "the key that encrypts secrets (PARLEY_SECRET_KEY or its file) is not 32 bytes in URL-safe "
                "base64; make one with: python -c "
                '"import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())"'
            ) from error
        self._first, self._fernet = each[0], MultiFernet(each)
        self._hash_keys = [hmac.digest(key, b"parley keyed hash 1", hashlib.sha256) for key in plain]

    @classmethod
    def from_settings(cls, settings: Settings, *, make: bool = True) -> SecretBox:
        """The box of this installation: from ``secret_key``, else a file, which is made on first start.

        With ``make`` false the file must be there.

        Raises:
            SecretKeyError: there is no key and no place to keep one, or it is malformed or unreadable.
        """
        return cls(*_split(_configured_key(settings, make)))

    def encrypt(self, secret: Mapping[str, Any]) -> bytes:
        """``secret`` as authenticated ciphertext."""
        return self._fernet.encrypt(orjson.dumps(dict(secret)))

    def decrypt(self, token: bytes) -> dict[str, Any]:
        """What :meth:`encrypt` was given.

        Raises:
            SecretUnreadableError: ``token`` was made with another key, or was changed.
        """
        try:
            plain = self._fernet.decrypt(token)
        except InvalidToken as error:
            raise SecretUnreadableError from error
        decoded: dict[str, Any] = orjson.loads(plain)
        return decoded

    def reencrypt(self, token: bytes) -> bytes | None:
        """``token`` encrypted with the first key; ``None`` when it is already.

        Raises:
            SecretUnreadableError: ``token`` was made with a key that is not here, or was changed.
        """
        try:
            self._first.decrypt(token)
        except InvalidToken:
            return self.encrypt(self.decrypt(token))
        return None

    def keyed_hash(self, data: bytes) -> KeyedHash:
        """What tells ``data`` from other data, and nothing of it."""
        first, *others = (hmac.digest(key, data, hashlib.sha256) for key in self._hash_keys)
        return KeyedHash(first, tuple(others))


def _split(keys: str) -> list[str]:
    return [key.strip() for key in keys.split(",") if key.strip()]


def _configured_key(settings: Settings, make: bool) -> str:
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value()
    if settings.secret_key_file is not None:
        return _read(settings.secret_key_file)
    if settings.data_dir is None:
        raise SecretKeyError(
            "no key to encrypt secrets with: set PARLEY_SECRET_KEY or PARLEY_SECRET_KEY_FILE, or give a data "
            "directory (PARLEY_DATA_DIR) in which one can be made"
        )
    path = settings.data_dir / _KEY_FILE
    if make and not path.exists():
        _make(path)
    return _read(path)


def _read(path: Path) -> str:
    """The key in ``path``; one that another process is just writing is waited for, a second at most."""
    for _ in range(50):
        try:
            text = path.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SecretKeyError(
                f"the key that encrypts secrets cannot be read from {path}: {_reason(error)}; {_REMEDY}"
            ) from error
        if text:
            return text
        time.sleep(0.02)
    raise SecretKeyError(f"the file of the key that encrypts secrets is empty: {path}; {_REMEDY}")


def _make(path: Path) -> None:
    """Make the key file whole or not at all; of several processes that try at once, one wins."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made, name = tempfile.mkstemp(dir=path.parent, prefix=".secret-")  # 0600, O_EXCL
        try:
            with os.fdopen(made, "wb") as file:
                file.write(Fernet.generate_key() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                _publish(Path(name), path)
        finally:
            os.unlink(name)
    except OSError as error:
        raise SecretKeyError(f"no key could be made in {path.parent}: {_reason(error)}; {_REMEDY}") from error


def _publish(complete: Path, path: Path) -> None:
    try:
        os.link(complete, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(complete.read_bytes())


def _reason(error: Exception) -> str:
    return error.strerror or "unreadable" if isinstance(error, OSError) else "not text"
