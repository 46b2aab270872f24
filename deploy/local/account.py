"""Whom Postgres runs as: it refuses to run as root, so root lends it an account that the machine has."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import LocalStackError

#: In this order; the first that exists runs Postgres when we are root.
CANDIDATES = ("parley", "postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """An account of this machine."""

    name: str
    uid: int
    gid: int

    def run(self, command: Sequence[str], **options: object) -> subprocess.CompletedProcess[bytes]:
        """Run a short command as this account, with no further groups, from ``/``; its output is kept."""
        return subprocess.run(
            list(command),
            user=self.uid,
            group=self.gid,
            extra_groups=[],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )

    def can_enter(self, directory: Path) -> bool:
        """Whether this account may enter the directory, by every parent on the way."""
        return self.run(["/bin/sh", "-c", 'cd -- "$1"', "sh", str(directory)]).returncode == 0

    def can_run(self, program: Path) -> bool:
        """Whether this account may execute the program (asked for its version)."""
        try:
            return self.run([str(program), "--version"]).returncode == 0
        except OSError:
            return False


def postgres_account() -> Account | None:
    """The account to run Postgres as; None when we are not root, and it runs as we do.

    Raises:
        LocalStackError: we are root and none of ``CANDIDATES`` exists.
    """
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise LocalStackError(
        f"PostgreSQL does not run as root, and none of the accounts {', '.join(CANDIDATES)} exists. "
        "Create one (useradd --system --no-create-home parley), run parley as another user, "
        "or set PARLEY_DATABASE_URL to a server of yours."
    )


def current_user() -> str:
    """The name of the account that this process runs as.

    Raises:
        LocalStackError: its uid is in no passwd entry, which PostgreSQL needs.
    """
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise LocalStackError(
            f"The user id {os.geteuid()} has no name on this machine, and PostgreSQL needs one: add it to "
            "/etc/passwd, or set PARLEY_DATABASE_URL to a server of yours."
        ) from None
