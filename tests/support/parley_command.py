"""The ``parley`` command as its users run it: a process of its own, over a data directory of the test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from deploy.local.account import Account
from deploy.local.directories import DataDir
from deploy.local.process import ProcessIdentity
from deploy.local.state import StackState

#: Generous: a busy machine is no failure.
TIMEOUT = 180.0  # seconds


@dataclass
class ParleyCommand:
    """Runs ``parley`` with one data directory.

    Attributes:
        data_dir: the data directory.
        environment: variables beyond those of this process, whose own ``PARLEY_*`` are left out.
        account: whom to run it as, other than ourselves.
    """

    data_dir: Path
    environment: dict[str, str] = field(default_factory=dict)
    account: Account | None = None

    @property
    def data(self) -> DataDir:
        """The layout of the data directory."""
        return DataDir(self.data_dir)

    def command(self, *arguments: str) -> list[str]:
        """The whole command line."""
        return [sys.executable, "-m", "deploy.cli.main", *arguments]

    def _as_whom(self) -> dict[str, Any]:
        if self.account is None:
            return {}
        return {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}

    def env(self) -> dict[str, str]:
        """The whole environment."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
        return {**inherited, "PARLEY_DATA_DIR": str(self.data_dir), **self.environment}

    def run(self, *arguments: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run it to its end; with ``check`` a failure is an assertion that shows what it said."""
        done = subprocess.run(
            self.command(*arguments),
            env=self.env(),
            cwd="/",
            input=stdin,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
            **self._as_whom(),
        )
        assert not check or done.returncode == 0, (
            f"parley {arguments}: {done.returncode}\n{done.stderr}{done.stdout}"
        )
        return done

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it; it is the caller's to end."""
        return subprocess.Popen(
            self.command(*arguments),
            env=self.env(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # Whoever runs the tests in the background has them ignore Ctrl-C, and all that they start.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def status(self) -> dict[str, Any]:
        """``parley status --json``."""
        answer: dict[str, Any] = json.loads(self.run("status", "--json", check=False).stdout)
        return answer

    def part(self, name: str) -> dict[str, Any]:
        """One part of ``status``."""
        return next(part for part in self.status()["parts"] if part["name"] == name)

    def supervisor(self) -> ProcessIdentity:
        """The supervisor that runs."""
        state = StackState.load(self.data.state)
        assert state is not None
        return state.supervisor

    def processes(self) -> list[str]:
        """Command lines of all processes that have to do with this data directory."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                shown = " ".join(process.cmdline())
                if str(self.data_dir) in shown or process.environ().get("PARLEY_DATA_DIR") == str(
                    self.data_dir
                ):
                    found.append(shown)
            except psutil.Error:
                continue
        return found
