"""An address of its own for those who watch a process: ``/metrics``, ``/health/live`` and ``/health/ready``.

It needs no key and tells nothing of what users do, but of how much; it belongs on a network that only
operators reach. It runs in the process's own event loop: one that hangs is seen to hang.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from urllib.parse import parse_qs

from shared.errors import ValidationError
from shared.listen_address import split_address
from shared.metrics.exposition import Exposition
from shared.readiness import Readiness
from shared.schemas.health import Live

log = logging.getLogger(__name__)

#: Seconds that a client has to send its request and to take the answer.
CLIENT_TIMEOUT = 5.0
#: Most bytes of a request, and most clients at once.
MAX_HEAD = 16 * 1024
MAX_CLIENTS = 64

_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"


class ListenError(Exception):
    """The address cannot be listened on."""


class _Listener:
    def __init__(self, exposition: Exposition, readiness: Readiness) -> None:
        self._exposition = exposition
        self._readiness = readiness
        self._clients = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request; the connection ends with it."""
        self._clients += 1
        try:
            if self._clients <= MAX_CLIENTS:
                with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                    async with asyncio.timeout(CLIENT_TIMEOUT):
                        head = await reader.readuntil(b"\r\n\r\n")
                    answer = await self._answer(head.decode("latin-1"))
                    async with asyncio.timeout(CLIENT_TIMEOUT):
                        writer.write(answer)
                        await writer.drain()
        finally:
            self._clients -= 1
            writer.close()

    async def _answer(self, head: str) -> bytes:
        lines = head.split("\r\n")
        method, _, rest = lines[0].partition(" ")
        path, _, query = rest.partition(" ")[0].partition("?")
        try:
            status, media_type, body = await self._page(method, path, query, lines[1:])
        except Exception:
            log.exception("a page for operators failed")
            status, media_type, body = HTTPStatus.INTERNAL_SERVER_ERROR, _TEXT, b"see the log\n"
        sent = b"" if method == "HEAD" else body
        return (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {media_type}\r\n"
            f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
        ).encode() + sent

    async def _page(
        self, method: str, path: str, query: str, headers: list[str]
    ) -> tuple[HTTPStatus, str, bytes]:
        if path not in {"/metrics", "/health/live", "/health/ready"}:
            there = b"there are /metrics, /health/live and /health/ready\n"
            return HTTPStatus.NOT_FOUND, _TEXT, there
        if method not in {"GET", "HEAD"}:
            return HTTPStatus.METHOD_NOT_ALLOWED, _TEXT, b"GET is what is answered here\n"
        if path == "/metrics":
            body, media_type = await self._exposition.page(_header(headers, "accept"))
            return HTTPStatus.OK, media_type, body
        if path == "/health/live":
            return HTTPStatus.OK, _JSON, Live().model_dump_json().encode()
        try:
            ready = await self._readiness.look(parse_qs(query).get("exclude", []))
        except ValidationError as error:
            return HTTPStatus.UNPROCESSABLE_ENTITY, _TEXT, f"{error}\n".encode()
        status = HTTPStatus.OK if ready.serves else HTTPStatus.SERVICE_UNAVAILABLE
        return status, _JSON, ready.model_dump_json().encode()


@asynccontextmanager
async def listening(
    address: str | None, exposition: Exposition, readiness: Readiness
) -> AsyncIterator[tuple[str, int] | None]:
    """Answer operators on ``address`` (``host:port``; port 0: a free one); nothing without one.

    Yields:
        where it listens.

    Raises:
        ListenError: the address is taken, or not of this machine.
    """
    if address is None:
        yield None
        return
    host, port = split_address(address)
    listener = _Listener(exposition, readiness)
    try:
        server = await asyncio.start_server(listener.serve, host, port, limit=MAX_HEAD)
    except OSError as error:
        raise ListenError(
            f"PARLEY_METRICS_LISTEN: cannot listen on {address}: {error.strerror or error}. Give every "
            "process of a machine an address of its own, or none."
        ) from error
    bound: tuple[str, int] = server.sockets[0].getsockname()[:2]
    log.info("metrics and health on http://%s:%s", *bound)
    try:
        yield bound
    finally:
        server.close()


def _header(lines: list[str], name: str) -> str:
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip().lower() == name:
            return value.strip()
    return ""
