"""Asking again: for how long a gateway may be away before a command gives up."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import TypeVar

from deploy.cli.api import ApiError

T = TypeVar("T")

#: Answers that pass: none, or one of a gateway that goes down or of a proxy before it.
_PASSING = (0, 502, 503, 504)
#: With the pauses, a good minute: a gateway that is restarted is back by then.
_RETRIES = 15
_FIRST_PAUSE = 0.2  # seconds
_LONGEST_PAUSE = 5.0  # seconds


def passes(error: ApiError) -> bool:
    """Whether the same request may be answered a little later."""
    return error.status in _PASSING


def nobody_there(error: ApiError) -> bool:
    """Whether the request certainly reached nobody."""
    return isinstance(error.__cause__, ConnectionRefusedError | socket.gaierror)


def wait_after(failures: int) -> bool:
    """Wait as long as it takes after so many failures in a row; ``False`` at once when they are too many."""
    if failures > _RETRIES:
        return False
    time.sleep(min(_FIRST_PAUSE * 2**failures, _LONGEST_PAUSE))
    return True


def persistently(ask: Callable[[], T], *, failed: Callable[[ApiError, int], None] = lambda *_: None) -> T:
    """What ``ask`` returns, asked again while the gateway is away. It must do no harm when it is done twice.

    Args:
        ask: makes the request.
        failed: told of each failure that passes, and how many there were; what it raises ends the asking.

    Raises:
        ApiError: it was refused, or the gateway stays away.
    """
    failures = 0
    while True:
        try:
            return ask()
        except ApiError as error:
            if not passes(error):
                raise
            failures += 1
            failed(error, failures)
            if not wait_after(failures):
                raise
