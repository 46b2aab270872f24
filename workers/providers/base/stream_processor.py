"""Bytes off the network → lines → server-sent events.

Everything works on bytes, so that a character split over two reads is never decoded in halves: a line
feed is one byte in UTF-8 and never part of another character.
"""

from __future__ import annotations

from typing import NamedTuple

from shared.errors import ProviderResponseError

#: A line without an end may grow this far, in bytes.
MAX_LINE = 8 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"


class LineSplitter:
    r"""Splits bytes into lines at ``\n``, ``\r\n`` and ``\r``, wherever the reads were cut."""

    __slots__ = ("_after_cr", "_held", "_max_line", "_parts")

    def __init__(self, max_line: int = MAX_LINE) -> None:
        self._parts: list[bytes] = []
        self._held = 0
        self._after_cr = False
        self._max_line = max_line

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that ``data`` completes, without their ends.

        Raises:
            ProviderResponseError: a line is longer than ``max_line``.
        """
        if not data:
            return []
        if self._after_cr:
            self._after_cr = False
            if data[0] == 10:
                data = data[1:]
        if b"\r" in data:
            self._after_cr = data[-1] == 13
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines and self._parts:
            self._parts.append(lines[0])
            lines[0] = b"".join(self._parts)
            self._parts.clear()
            self._held = 0
        if rest:
            self._held += len(rest)
            if self._held > self._max_line:
                raise ProviderResponseError(f"the provider sent a line of more than {self._max_line} bytes")
            self._parts.append(rest)
        return lines

    def flush(self) -> bytes:
        """What came after the last line end."""
        rest = b"".join(self._parts)
        self._parts.clear()
        self._held = 0
        return rest


class ServerSentEvent(NamedTuple):
    """One event; ``event`` is empty for the default type."""

    data: bytes
    event: bytes = b""


class SSEParser:
    """Server-sent events out of bytes, by the rules of the HTML standard, with three allowances.

    An event that the stream's end cuts off before its empty line is still given; a line that begins with
    ``{`` is taken as data, since servers answer errors that way in the middle of a stream; and so is the
    field ``error``.
    """

    __slots__ = ("_begun", "_data", "_event", "_held", "_max_line", "_splitter")

    def __init__(self, max_line: int = MAX_LINE) -> None:
        self._splitter = LineSplitter(max_line)
        self._max_line = max_line
        self._held = 0
        self._data: list[bytes] = []
        self._event = b""
        self._begun = False

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """The events that ``data`` completes.

        Raises:
            ProviderResponseError: a line, or the data of an event, is longer than ``max_line``.
        """
        events: list[ServerSentEvent] = []
        for line in self._splitter.feed(data):
            self._take(line, events)
        return events

    def flush(self) -> list[ServerSentEvent]:
        """The event that the end of the stream completes."""
        events: list[ServerSentEvent] = []
        rest = self._splitter.flush()
        if rest:
            self._take(rest, events)
        self._take(b"", events)
        return events

    def _take(self, line: bytes, events: list[ServerSentEvent]) -> None:
        if not self._begun:
            self._begun = True
            line = line.removeprefix(_BOM)
        if not line:
            if self._data:
                data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
                events.append(ServerSentEvent(data, self._event))
                self._data.clear()
                self._held = 0
            self._event = b""
        elif line.startswith(b"data:"):
            self._hold(line[6:] if line[5:6] == b" " else line[5:])
        elif line.startswith(b"event:"):
            self._event = line[6:].removeprefix(b" ")
        elif line.startswith(b"error:"):
            self._event = b"error"
            self._hold(line[6:].removeprefix(b" "))
        elif line[0] == 123:  # {
            events.append(ServerSentEvent(line))
        elif line == b"data":
            self._hold(b"")

    def _hold(self, data: bytes) -> None:
        self._held += len(data) + 1
        if self._held > self._max_line + 1:
            raise ProviderResponseError(f"the provider sent an event of more than {self._max_line} bytes")
        self._data.append(data)
