"""Server-Sent Events on the token path: bytes that were encoded once, joined when several wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.streaming.hang_up import hang_up
from shared.jobs.event_log import Entry
from shared.metrics.http import STREAMS

#: A comment: keeps proxies and clients from giving up on a silent stream.
KEEPALIVE = b": keep-alive\n\n"


class Encode(Protocol):
    """Spells a batch of events in a client's format."""

    def __call__(self, batch: list[Entry]) -> bytes:
        """The bytes; empty when nothing of the batch is shown."""


def frames(batch: list[Entry]) -> bytes:
    """The events as API clients get them."""
    return b"".join([entry.frame() for entry in batch if entry.shown])


class EventStream(Response):
    """Streams the events of a job until its last one, until the client hangs up, or until the gateway stops.

    Args:
        batches: the events; an empty batch is a sign of life, told as a comment when none is due.
        close: called at the end; with ``hung_up=True`` when the client went away first.
        keepalive: seconds of silence after which a comment is sent.
        encode: spells the events.
        before: bytes to send first.
        after: makes the bytes to send when the events have ended.
        status_code: of the answer.
        headers: further headers.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        batches: AsyncIterator[list[Entry]],
        close: Callable[..., Awaitable[None]],
        keepalive: float,
        *,
        encode: Encode = frames,
        before: bytes = b"",
        after: Callable[[], bytes] = bytes,
        status_code: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:
        self._batches = batches
        self._close = close
        self._keepalive = keepalive
        self._encode = encode
        self._before = before
        self._after = after
        self.status_code = status_code
        self.background = None
        self.body = b""
        self.init_headers({"Cache-Control": "no-cache", "X-Accel-Buffering": "no", **(headers or {})})
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream, and watch whether the client is still there."""
        with STREAMS.track_inprogress():
            await self._serve(receive, send)

    async def _serve(self, receive: Receive, send: Send) -> None:
        streaming = asyncio.ensure_future(self._stream(send))
        watching = asyncio.ensure_future(hang_up(receive))
        try:
            await asyncio.wait({streaming, watching}, return_when=asyncio.FIRST_COMPLETED)
            hung_up = watching.done() and not streaming.done()
            if streaming.done():
                streaming.result()
        except BaseException:
            hung_up = False
            raise
        finally:
            for task in (streaming, watching):
                task.cancel()
                with suppress(BaseException):
                    await task
            await self._close(hung_up=hung_up)

    async def _stream(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        # The first bytes go at once: clients wait for the headers before they read.
        await send({"type": "http.response.body", "body": self._before or KEEPALIVE, "more_body": True})
        loop = asyncio.get_running_loop()
        last = loop.time()
        async for batch in self._batches:
            body = self._encode(batch)
            if not body:
                if loop.time() - last < self._keepalive / 2:
                    continue
                body = KEEPALIVE
            last = loop.time()
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": self._after(), "more_body": False})
