"""A TCP proxy that a test can use to cut, stall, half-close or refuse connections.

It listens on a port of the loopback and passes bytes on to a TCP address or a Unix socket::

    async with Proxy.to(redis_address(own_valkey.url)) as proxy:
        start_worker(redis_url=redis_through(proxy))
        ...
        proxy.cut()
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Address = str | tuple[str, int]

#: Called by the system instead of an orderly end: the other side gets a reset.
_RESET = struct.pack("ii", 1, 0)


@dataclass
class _LostReply:
    """A request whose reply is not passed on: the connection is cut instead."""

    pattern: bytes
    times: int


class _Side(asyncio.Protocol):
    """One end of a proxied connection; what it receives goes to its peer."""

    def __init__(self, proxy: Proxy, *, client: bool) -> None:
        self.proxy = proxy
        self.client = client
        self.transport: asyncio.Transport | None = None
        self.peer: _Side | None = None
        #: What arrived before the peer was there.
        self.early: list[bytes] = []
        self.doomed = False
        self.half_closed = False
        self.said_everything = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self.client:
            self.proxy.accept(self)

    def data_received(self, data: bytes) -> None:
        if self.peer is None or self.peer.transport is None:
            self.early.append(data)
            return
        if self.client and self.proxy.loses_reply(data):
            self.doomed = True
        if not self.client and self.peer.doomed:
            # The server has done what it was asked; nobody hears of it.
            self.proxy.lost_replies += 1
            self.abort()
            return
        self.peer.write(data)

    def write(self, data: bytes) -> None:
        """Pass ``data`` on; what follows a half-close is lost."""
        if self.transport is not None and not self.half_closed:
            self.transport.write(data)

    def half_close(self) -> bool:
        """Tell this end that nothing more follows; whether it could be told."""
        if self.transport is None or self.half_closed or self.transport.is_closing():
            return False
        self.half_closed = True
        with suppress(OSError):
            self.transport.write_eof()
        return True

    def eof_received(self) -> bool:
        self.said_everything = True
        if self.peer is not None:
            self.peer.half_close()
            if self.peer.said_everything and self.peer.transport is not None:
                self.peer.transport.close()
                return False
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self.proxy.forget(self)
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.close()

    def pause_writing(self) -> None:
        self._peer_reads(False)

    def resume_writing(self) -> None:
        self._peer_reads(not self.proxy.stalled)

    def _peer_reads(self, wanted: bool) -> None:
        if self.peer is not None:
            self.peer.read(wanted)

    def read(self, wanted: bool) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        if wanted:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def abort(self) -> None:
        """Reset both ends."""
        for side in (self, self.peer):
            if side is not None and side.transport is not None:
                connection: Any = side.transport.get_extra_info("socket")
                with suppress(OSError):
                    if connection is not None and connection.family != socket.AF_UNIX:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                side.transport.abort()


class Proxy:
    """One listening port and everything that goes through it.

    Attributes:
        port: where it listens.
        stalled: whether connections stay open while nothing gets through.
        refusing: whether new connections are reset at once.
        lost_replies: how many replies :meth:`lose_replies` has swallowed.
    """

    def __init__(self, upstream: Address) -> None:
        self.upstream = upstream
        self.port = 0
        self.stalled = False
        self.refusing = False
        self.lost_replies = 0
        self._clients: set[_Side] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._lost: _LostReply | None = None

    @classmethod
    @asynccontextmanager
    async def to(cls, upstream: Address) -> AsyncIterator[Proxy]:
        """A running proxy to a Unix socket's path or to ``(host, port)``."""
        proxy = cls(upstream)
        server = await asyncio.get_running_loop().create_server(
            lambda: _Side(proxy, client=True), "127.0.0.1", 0, backlog=512
        )
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()
            proxy.resume()
            proxy.cut()
            for task in list(proxy._connecting):
                task.cancel()
            await asyncio.gather(*proxy._connecting, return_exceptions=True)
            await server.wait_closed()

    @property
    def connections(self) -> int:
        """How many connections go through it now."""
        return len(self._clients)

    # Faults -------------------------------------------------------------------------------------------
    def cut(self, choose: Callable[[int], bool] = lambda _: True) -> int:
        """Reset the connections whose number ``choose`` wants (all); returns how many."""
        chosen = [side for number, side in enumerate(list(self._clients)) if choose(number)]
        for side in chosen:
            side.abort()
        return len(chosen)

    def half_close(self) -> int:
        """Tell every server that its client has said everything; returns how many were told."""
        return sum(side.peer is not None and side.peer.half_close() for side in list(self._clients))

    def stall(self) -> None:
        """Let nothing through, in either direction, also on new connections; nobody is told."""
        self.stalled = True
        self._read(False)

    def resume(self) -> None:
        """End of :meth:`stall`: what waited goes on its way."""
        self.stalled = False
        self._read(True)

    def lose_replies(self, pattern: bytes, times: int = 1) -> None:
        """The next ``times`` requests that contain ``pattern`` are carried out, and their replies lost."""
        self._lost = _LostReply(pattern, times)

    # For the connections ------------------------------------------------------------------------------
    def loses_reply(self, data: bytes) -> bool:
        """Whether the reply to ``data`` is to be lost; counts it."""
        if self._lost is None or self._lost.times <= 0 or self._lost.pattern not in data:
            return False
        self._lost.times -= 1
        return True

    def accept(self, side: _Side) -> None:
        """A client has connected."""
        if self.refusing:
            side.abort()
            return
        self._clients.add(side)
        if self.stalled:
            side.read(False)
        task = asyncio.get_running_loop().create_task(self._connect(side))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def forget(self, side: _Side) -> None:
        """A connection has ended."""
        self._clients.discard(side)

    async def _connect(self, side: _Side) -> None:
        loop = asyncio.get_running_loop()
        peer = _Side(self, client=False)
        try:
            if isinstance(self.upstream, str):
                await loop.create_unix_connection(lambda: peer, self.upstream)
            else:
                await loop.create_connection(lambda: peer, *self.upstream)
        except OSError:
            side.abort()
            return
        assert peer.transport is not None
        if side.transport is None or side.transport.is_closing():
            peer.transport.abort()
            return
        peer.peer, side.peer = side, peer
        if self.stalled:
            peer.read(False)
        early, side.early = side.early, []
        for data in early:
            side.data_received(data)

    def _read(self, wanted: bool) -> None:
        for side in self._clients:
            for end in (side, side.peer):
                if end is not None:
                    end.read(wanted)


def redis_address(url: str) -> Address:
    """Where the Redis of ``url`` listens."""
    if url.startswith("unix://"):
        return urlsplit(url).path
    parts = urlsplit(url)
    return (parts.hostname or "127.0.0.1", parts.port or 6379)


def postgres_address(url: str) -> Address:
    """Where the PostgreSQL of SQLAlchemy's ``url`` listens."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    host = unquote(query.get("host", [parts.hostname or "127.0.0.1"])[0])
    port = int(query.get("port", [str(parts.port or 5432)])[0])
    return f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)


def redis_through(proxy: Proxy) -> str:
    """URL of the Redis behind ``proxy``."""
    return f"redis://127.0.0.1:{proxy.port}/0"


def postgres_through(proxy: Proxy, url: str) -> str:
    """``url`` (SQLAlchemy's), led through ``proxy``."""
    parts = urlsplit(url)
    user = f"{parts.username}:{parts.password}" if parts.password else parts.username
    return f"{parts.scheme}://{user}@127.0.0.1:{proxy.port}{parts.path}"
