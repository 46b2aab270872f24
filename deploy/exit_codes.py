"""Exit codes of the ``parley`` command."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the exit code of ``parley`` says."""

    #: It did what it was asked to.
    OK = 0
    #: It failed; the message says why.
    FAILED = 1
    #: The command line makes no sense.
    USAGE = 2
    #: A stack runs on this data directory already.
    ALREADY_RUNNING = 3
    #: No stack runs on this data directory.
    NOT_RUNNING = 4
    #: The gateway cannot be reached.
    UNREACHABLE = 5
    #: Another program listens on the gateway's address.
    PORT_TAKEN = 6
    #: The gateway does not accept the key.
    UNAUTHORIZED = 7
    #: It would overwrite something; ``--force`` does.
    EXISTS = 8
    #: Ctrl-C.
    INTERRUPTED = 130
