"""What a check found."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

#: The checkout that is judged.
ROOT = Path(__file__).resolve().parents[2]
_TIMEOUT = 120.0  # seconds


class Status(Enum):
    """How a check ended."""

    #: It ran and found nothing.
    PASSED = "passed"
    #: It ran and found what must be mended.
    FAILED = "FAILED"
    #: Its tool is not installed; nothing is known.
    MISSING = "MISSING"


@dataclass(frozen=True)
class Outcome:
    """What one check found.

    Attributes:
        what: the files and the tool that judged them.
        status: how it ended.
        details: what was found, or how to install what is missing.
    """

    what: str
    status: Status
    details: tuple[str, ...] = ()


def judged(what: str, faults: Sequence[str]) -> Outcome:
    """The outcome of a check that ran."""
    return Outcome(what, Status.FAILED if faults else Status.PASSED, tuple(faults))


def missing(what: str, remedy: str) -> Outcome:
    """The outcome of a check whose tool is not there."""
    return Outcome(what, Status.MISSING, (remedy,))


def ran(what: str, command: Sequence[str | Path], *, environment: dict[str, str] | None = None) -> Outcome:
    """The outcome of a command that says by its exit status whether all is well."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
    )
    said = tuple(line for line in (done.stdout + done.stderr).splitlines() if line.strip())
    if done.returncode == 0:
        return Outcome(what, Status.PASSED)
    return Outcome(what, Status.FAILED, said or (f"exit status {done.returncode}",))
