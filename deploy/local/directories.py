"""Directories: where the data lies, how it is laid out, and what must be private is checked to be."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import LocalStackError, UnsafeDirectoryError

#: Kernels take about 104–108 bytes for the path of a Unix socket.
SOCKET_PATH_LIMIT = 100  # bytes
_LONGEST_SOCKET = "postgres/.s.PGSQL.5432"


def default_data_dir(environment: Mapping[str, str] | None = None) -> Path:
    """Where the data lies unless told otherwise: ``PARLEY_DATA_DIR``, or a place that suits the user."""
    environment = os.environ if environment is None else environment
    if named := environment.get("PARLEY_DATA_DIR"):
        return Path(named).expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/parley")
    if (shared := environment.get("XDG_DATA_HOME")) and Path(shared).is_absolute():
        return Path(shared) / "parley"
    return Path.home() / ".local" / "share" / "parley"


@dataclass(frozen=True)
class DataDir:
    """The layout of one data directory."""

    root: Path

    @property
    def postgres(self) -> Path:
        """The database cluster."""
        return self.root / "postgres"

    @property
    def valkey(self) -> Path:
        """Valkey's append-only file."""
        return self.root / "valkey"

    @property
    def engine(self) -> Path:
        """Copies of server binaries, where the installed ones are out of reach of their account."""
        return self.root / "engine"

    @property
    def models(self) -> Path:
        """Models that were fetched."""
        return self.root / "models"

    @property
    def logs(self) -> Path:
        """One log for each part, and older ones."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """What belongs to the running stack: lock, state, sockets."""
        return self.root / "run"

    @property
    def lock(self) -> Path:
        """Held by the supervisor while it lives."""
        return self.run / "lock"

    @property
    def state(self) -> Path:
        """What runs, for ``parley status`` and for the next start."""
        return self.run / "state.json"

    @property
    def secret_key(self) -> Path:
        """The key that encrypts secrets at rest."""
        return self.root / "secret.key"

    @property
    def flower_password(self) -> Path:
        """The password of Flower."""
        return self.root / "flower.password"

    @property
    def admin_key(self) -> Path:
        """The first administrator's API key."""
        return self.root / "admin.key"

    def log(self, part: str) -> Path:
        """The newest log of a part."""
        return self.logs / f"{part}.log"

    def create(self) -> None:
        """Make what is missing, each part private.

        Root lends Postgres an account, which must be able to pass through (not list) the upper directories.

        Raises:
            UnsafeDirectoryError: a directory belongs to somebody else.
            LocalStackError: the place cannot be written.
        """
        passage = 0o711 if os.geteuid() == 0 else 0o700
        try:
            self.root.parent.mkdir(parents=True, exist_ok=True)
            for directory, mode in (
                (self.root, passage),
                (self.run, passage),
                (self.engine, passage),
                (self.valkey, 0o700),
                (self.models, 0o700),
                (self.logs, 0o700),
            ):
                private_directory(directory, mode)
        except OSError as error:
            raise LocalStackError(
                f"Cannot make the data directory {self.root}: {error.strerror}. "
                "Choose another one with --data-dir or PARLEY_DATA_DIR."
            ) from error

    def sockets(self) -> Path:
        """The directory of the sockets, made private: below ``run``, or in /tmp when that path is too long.

        Raises:
            UnsafeDirectoryError: somebody else made it first.
        """
        passage = 0o711 if os.geteuid() == 0 else 0o700
        return private_directory(self._socket_path(), passage)

    def _socket_path(self) -> Path:
        near = self.run / "sockets"
        if len(os.fsencode(near / _LONGEST_SOCKET)) < SOCKET_PATH_LIMIT:
            return near
        digest = hashlib.sha256(os.fsencode(self.root.resolve())).hexdigest()[:16]
        base = Path(tempfile.gettempdir())
        if len(os.fsencode(base)) > SOCKET_PATH_LIMIT - 64:
            base = Path("/tmp")  # noqa: S108 (private_directory checks what is there)
        return base / f"parley-{os.geteuid()}-{digest}"

    def remove_far_sockets(self) -> None:
        """Leave nothing outside the data directory."""
        far = self._socket_path()
        if far.parent != self.run:
            shutil.rmtree(far, ignore_errors=True)


def private_directory(path: Path, mode: int = 0o700, *, uid: int | None = None) -> Path:
    """Make the directory, or make sure that the one there is a real one of ours that nobody else can change.

    Raises:
        UnsafeDirectoryError: it is a link, no directory, or belongs to somebody else.
        OSError: it cannot be made.
    """
    owner = os.geteuid() if uid is None else uid
    try:
        path.mkdir(mode=mode)
        if uid is not None and uid != os.geteuid():
            os.chown(path, uid, -1, follow_symlinks=False)
    except FileExistsError:
        pass
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafeDirectoryError(f"{path} is not a directory; remove it, or choose another data directory.")
    if found.st_uid != owner:
        raise UnsafeDirectoryError(
            f"{path} belongs to user id {found.st_uid}, not to {owner}: somebody else made it. "
            "Remove it, give it to the right user, or choose another data directory (--data-dir)."
        )
    if stat.S_IMODE(found.st_mode) != mode:
        path.chmod(mode)
    return path
