"""The supervisor in the background: started by a command that watches until everything is ready.

``python -m deploy.local.detached`` is the background process; it tells what happens through a pipe.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from deploy.exit_codes import ExitCode
from deploy.local.errors import LocalStackError
from deploy.local.events import Event, Kind, Report
from deploy.local.lock import StackLock
from deploy.local.logs import open_log, rotate, tail
from deploy.local.options import StackOptions

_PART = "supervisor"
_STOP_TIMEOUT = 15.0  # seconds


class DetachedStartError(LocalStackError):
    """The background process could not start the stack; it said why, and its exit code."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.exit_code = ExitCode(code)  # type: ignore[misc]


def start(options: StackOptions, environment: Mapping[str, str], report: Report) -> None:
    """Start the stack in the background and return when everything is ready.

    Ctrl-C while it starts ends it.

    Raises:
        LocalStackError: the start failed; nothing runs then.
    """
    data = options.data
    data.create()
    if not StackLock(data.lock).held():
        rotate(data.log(_PART))
    reading, writing = os.pipe()
    command = [
        sys.executable,
        "-m",
        "deploy.local.detached",
        "--events",
        str(writing),
        "--options",
        _pack(options),
    ]
    with open_log(data.log(_PART)) as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environment),
            cwd=data.root,
            start_new_session=True,
            pass_fds=(writing,),
        )
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as events:
        try:
            _follow(events, report)
        except KeyboardInterrupt:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_TIMEOUT)
            raise
        except DetachedStartError:
            process.wait()
            raise
        except _SilentEnd:
            last = "\n".join(tail(data.log(_PART), 15))
            status = process.wait()
            raise LocalStackError(
                f"The supervisor ended with status {status}. Its log ({data.log(_PART)}) ends:\n{last}"
            ) from None


class _SilentEnd(Exception):  # noqa: N818 (not an error of its own)
    """The pipe ended without a last word."""


def _follow(events: TextIO, report: Report) -> None:
    for line in events:
        event = Event.parse(line)
        if event.kind is Kind.FAILED and not event.name:
            raise DetachedStartError(event.text, event.code)
        report(event)
        if event.kind is Kind.READY:
            return
    raise _SilentEnd


def _pack(options: StackOptions) -> str:
    return json.dumps({**asdict(options), "data_dir": str(options.data_dir)})


def _unpack(text: str) -> StackOptions:
    raw = json.loads(text)
    return StackOptions(**{**raw, "data_dir": Path(raw["data_dir"])})


class _Teller:
    """Tells through the pipe while somebody listens, and always in the log."""

    def __init__(self, descriptor: int) -> None:
        self._pipe: TextIO | None = os.fdopen(descriptor, "w", encoding="utf-8", buffering=1)

    def __call__(self, event: Event) -> None:
        if event.kind is not Kind.PROGRESS:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            print(now, event.kind.value, event.name, event.text, flush=True)
        if self._pipe is None:
            return
        try:
            self._pipe.write(event.line() + "\n")
        except BrokenPipeError:
            self._drop()
        if event.kind is Kind.READY:
            self._drop()

    def _drop(self) -> None:
        if self._pipe is not None:
            with contextlib.suppress(OSError):
                self._pipe.close()
            self._pipe = None


def main() -> int:
    """Be the background process. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.detached")
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--options", required=True)
    arguments = parser.parse_args()
    os.set_inheritable(arguments.events, False)
    tell = _Teller(arguments.events)
    from deploy.local.supervisor import Supervisor

    try:
        Supervisor(_unpack(arguments.options), os.environ, tell).run()
    except LocalStackError as error:
        tell(Event(Kind.FAILED, text=str(error), code=int(error.exit_code)))
        return int(error.exit_code)
    except Exception as error:
        traceback.print_exc()
        tell(Event(Kind.FAILED, text=f"The supervisor failed: {error!r}", code=int(ExitCode.FAILED)))
        return int(ExitCode.FAILED)
    return int(ExitCode.OK)


if __name__ == "__main__":
    sys.exit(main())
