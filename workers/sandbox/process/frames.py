"""The messages between the worker and a script's process: 4 bytes of length, then JSON in UTF-8.

Both sides import this. A value that crosses is one that every reader behind the worker can hold, too:
integers of 64 bits, finite numbers, text without lone surrogates, and not nested without end.
"""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

HEADER = struct.Struct("!I")
#: How deep lists and objects may nest in a message.
DEPTH = 100
#: How many lists and objects a message may hold: what bounds the time that reading it takes.
CONTAINERS = 50_000
#: The most that one script's compiled code may take, in bytes.
CODE_LIMIT = 1024 * 1024
#: The most that the worker sends to begin a run, in bytes.
REQUEST_LIMIT = 16 * 1024 * 1024
#: Room for what surrounds the payload of a message, in bytes.
ENVELOPE = 4096

_INTEGERS = range(-(2**63), 2**64)


class FrameError(Exception):
    """The other side sent what is no message, or went away within one."""


def pack(body: bytes) -> bytes:
    """``body`` as one frame."""
    return HEADER.pack(len(body)) + body


def encode(message: Any) -> bytes:
    """The JSON of ``message``, checked.

    Raises ``TypeError`` or ``ValueError``, in words for the author of a script, when a value cannot cross.
    """
    try:
        body = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise ValueError("text with half a surrogate pair cannot be passed on") from None
    except RecursionError:
        raise ValueError(f"values may nest {DEPTH} levels deep, not more") from None
    containers = crowd(body)
    if containers > CONTAINERS:
        raise ValueError(f"a value may hold {CONTAINERS} lists and objects, not more")
    _check(message)
    return body


def crowd(body: bytes) -> int:
    """At least as many lists and objects as the JSON in ``body`` holds; brackets within text count, too."""
    return body.count(b"[") + body.count(b"{")


def _check(message: Any) -> None:
    """Depth and integers, which ``json`` writes and other readers refuse or round."""
    level = [message]
    depth = 0
    while level:
        depth += 1
        if depth > DEPTH:
            raise ValueError(f"values may nest {DEPTH} levels deep, not more")
        below: list[Any] = []
        for value in level:
            kind = type(value)
            if kind is str or kind is bool or value is None or kind is float:
                continue
            if isinstance(value, int):
                if value not in _INTEGERS:
                    raise ValueError("an integer of more than 64 bits cannot be passed on")
            elif isinstance(value, dict):
                below.extend(value.values())
            elif isinstance(value, (list, tuple)):
                below.extend(value)
        level = below


def too_deep(message: Any) -> bool:
    """Whether lists and objects nest deeper than :data:`DEPTH`; takes time with every value."""
    level = [message]
    for _ in range(DEPTH):
        level = [
            value
            for outer in level
            for value in (outer.values() if type(outer) is dict else outer)
            if type(value) is dict or type(value) is list
        ]
        if not level:
            return False
    return True


def receive(connection: socket.socket, limit: int) -> bytes:
    """The next frame of at most ``limit`` bytes; blocks."""
    (length,) = HEADER.unpack(_exactly(connection, HEADER.size))
    if length > limit:
        raise FrameError(f"a frame of {length} bytes where {limit} are allowed")
    return _exactly(connection, length)


def _exactly(connection: socket.socket, count: int) -> bytes:
    parts = []
    while count:
        part = connection.recv(min(count, 1 << 18))
        if not part:
            raise FrameError("the other side closed the connection")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
