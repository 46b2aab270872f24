"""The load client's half of HTTP: one connection, one request, an event stream whose tokens are timed.

It parses as little as it can: tokens carry the time of their sending (``t7@123456789``): receive minus
send is what lay between, whichever process was in the way.
"""

from __future__ import annotations

import asyncio
import re
import time
from array import array
from collections.abc import Callable
from typing import Any

import httptools

TOKEN = re.compile(rb'[" ]t(\d+)@(\d+)')
EVENT_ID = re.compile(rb"^id: (\d+)-(\d+)$", re.MULTILINE)
EVENT_TYPE = re.compile(rb"^event: ([a-z_]+)$", re.MULTILINE)
_FINAL = {b"post_response_complete", b"cancelled", b"error"}


class Stream(asyncio.Protocol):
    """One streamed answer.

    Attributes:
        session_id: of the turn, when Parley answers.
        asked_at: monotonic nanoseconds when the request was written; ``first_at`` when the first token came.
        added: nanoseconds from the sending of each token to its arrival here.
        received: tokens that came in their place; ``doubled`` came again, ``lost`` were skipped.
        fault: what went wrong, in a few words.
    """

    def __init__(self, *, ids: bool, on_token: Callable[[Stream], None] | None = None) -> None:
        self._ids = ids
        self._on_token = on_token
        self._parser: Any = httptools.HttpResponseParser(self)
        self._transport: Any = None
        self._rest = b""
        self._now = 0
        self._next_event: tuple[int, int] | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.session_id = ""
        self.status = 0
        self.asked_at = 0
        self.first_at = 0
        self.headers_at = 0
        self.added = array("q")
        self.received = 0
        self.doubled = 0
        self.lost = 0
        self.final = b""
        self.fault = ""

    def ask(self, request: bytes) -> None:
        """Send the request; the clock starts."""
        self.asked_at = time.monotonic_ns()
        self._transport.write(request)

    def hang_up(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def missing(self, tokens: int) -> int:
        """How many of ``tokens`` did not come."""
        return max(tokens - self.received, 0)

    # The transport's calls ---------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._now = time.monotonic_ns()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._end(f"not HTTP: {type(error).__name__}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._end("the connection was lost")

    # The parser's calls ------------------------------------------------------------------------------
    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-session-id":
            self.session_id = value.decode()

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self.headers_at = self._now

    def on_body(self, body: bytes) -> None:
        if self.status != 200:
            self._rest += body
            return
        # Frames end with an empty line; what follows the last one waits for the rest of it.
        cut = body.rfind(b"\n\n")
        if cut < 0:
            self._rest += body
            return
        whole, self._rest = self._rest + body[: cut + 2], body[cut + 2 :]
        for number, sent_at in TOKEN.findall(whole):
            self._take(int(number), int(sent_at))
        if self._ids:
            self._check(whole)

    def on_message_complete(self) -> None:
        if self.status != 200:
            self._end(f"status {self.status}: {self._rest[:200].decode(errors='replace')}")
        elif self._ids and self.final not in _FINAL:
            self._end(f"ended after {self.final.decode() or 'nothing'}")
        elif self.final == b"error":
            self._end("the turn failed")
        else:
            self._end("")

    # -------------------------------------------------------------------------------------------------
    def _take(self, number: int, sent_at: int) -> None:
        expected = self.received + self.lost
        if number < expected:
            self.doubled += 1
            return
        self.lost += number - expected
        self.received += 1
        self.added.append(self._now - sent_at)
        if not self.first_at:
            self.first_at = self._now
        if self._on_token is not None:
            self._on_token(self)

    def _check(self, whole: bytes) -> None:
        """Every event under its id, without holes."""
        for raw in EVENT_ID.findall(whole):
            event_id = (int(raw[0]), int(raw[1]))
            if self._next_event is not None and event_id != self._next_event:
                self.fault = self.fault or f"event {event_id} came where {self._next_event} was due"
            self._next_event = (event_id[0], event_id[1] + 1)
        kinds = EVENT_TYPE.findall(whole)
        if kinds:
            self.final = kinds[-1]
            if b"restart" in kinds:
                self.fault = self.fault or "restarted"

    def _end(self, fault: str) -> None:
        if not self.ended.done():
            self.fault = self.fault or fault
            self.ended.set_result(None)
            self.hang_up()


async def connect(address: tuple[str, int], make: Callable[[], Stream]) -> Stream:
    """A connection, nothing sent yet."""
    _, stream = await asyncio.get_running_loop().create_connection(make, *address)
    return stream


def post(address: tuple[str, int], path: str, body: bytes, key: str = "") -> bytes:
    """The bytes of a POST with a JSON body."""
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {address[0]}:{address[1]}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    if key:
        lines.append(f"Authorization: Bearer {key}")
    return "\r\n".join([*lines, "", ""]).encode() + body
