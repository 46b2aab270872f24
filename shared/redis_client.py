"""Connections to Redis (or Valkey), all made alike."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.redis_master import Sentinels
from shared.redis_server import RedisServer

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection as _Base
else:
    _Base = object


class _Cancellable(_Base):
    """Sends so that a cancellation is never lost.

    redis-py sends under ``asyncio.wait_for``, which before Python 3.12 returns as if nothing had happened
    when the cancellation comes in the moment after the send has ended: the cancelled task just goes on.
    """

    async def send_packed_command(
        self, command: bytes | str | Iterable[bytes], check_health: bool = True
    ) -> None:
        """Send a command that is already packed.

        Raises:
            RedisTimeoutError: Redis did not take it in time.
            RedisConnectionError: the connection broke.
        """
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        if check_health:
            await self.check_health()  # type: ignore[no-untyped-call]
        if isinstance(command, str):
            command = command.encode()
        parts = [command] if isinstance(command, bytes) else command
        try:
            async with asyncio.timeout(self.socket_timeout):
                await self._send_packed_command(parts)
        except TimeoutError:
            await self.disconnect(nowait=True)
            raise RedisTimeoutError("Timeout writing to socket") from None
        except (OSError, RuntimeError) as error:
            # uvloop says RuntimeError when the transport was closed by a reset.
            await self.disconnect(nowait=True)
            raise RedisConnectionError(f"Error while writing to socket: {error}") from error
        except BaseException:
            # A command may have been sent in part.
            await self.disconnect(nowait=True)
            raise


class _TcpConnection(_Cancellable, Connection):
    pass


class _TlsConnection(_Cancellable, SSLConnection):
    pass


class _UnixConnection(_Cancellable, UnixDomainSocketConnection):
    pass


class _ToMaster(_Base):
    """Leads to the master that the Sentinels name at the moment when it is made."""

    def __init__(self, *, sentinels: Sentinels, **options: Any) -> None:
        self._sentinels = sentinels
        super().__init__(**options)

    async def _connect(self) -> None:
        self.host, self.port = await self._sentinels.master()
        await super()._connect()  # type: ignore[no-untyped-call,safe-super]

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        """Log in, and make sure that it is a master: Sentinels learn of a new one a moment later."""
        await super().on_connect_check_health(check_health)
        await self.send_command("ROLE")
        role, *_ = await self.read_response()
        if role not in (b"master", "master"):
            raise RedisConnectionError(f"{self.host}:{self.port} is no master any more")

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        """Read a reply; a master that became a replica is left."""
        try:
            return await super().read_response(*arguments, **options)
        except ReadOnlyError as error:
            await self.disconnect(nowait=True)
            raise RedisConnectionError(f"{self.host}:{self.port} is no master any more") from error


class _MasterTcpConnection(_ToMaster, _TcpConnection):
    pass


class _MasterTlsConnection(_ToMaster, _TlsConnection):
    pass


_CANCELLABLE: dict[type, type] = {
    Connection: _TcpConnection,
    SSLConnection: _TlsConnection,
    UnixDomainSocketConnection: _UnixConnection,
}
_TO_MASTER: dict[type, type] = {_TcpConnection: _MasterTcpConnection, _TlsConnection: _MasterTlsConnection}


def connect(server: RedisServer | str, timeout: float, *, max_connections: int = 50) -> Redis:
    """A client that answers or fails within ``timeout`` seconds.

    It never repeats a command by itself: who calls knows whether that is safe. Replies are bytes. When all
    ``max_connections`` are in use a caller waits for one, ``timeout`` seconds at most: a burst is no fault.

    Args:
        server: where to; a bare URL is a server without Sentinels and without files for TLS.
        timeout: in seconds.
        max_connections: of this client.
    """
    if isinstance(server, str):
        server = RedisServer(server)
    pool = BlockingConnectionPool.from_url(
        server.url,
        timeout=timeout,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        max_connections=max_connections,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        **server.tls_options(),
    )
    pool.connection_class = _CANCELLABLE[pool.connection_class]
    if server.sentinels:
        pool.connection_class = _TO_MASTER[pool.connection_class]
        pool.connection_kwargs["sentinels"] = Sentinels(server, timeout)
    return Redis.from_pool(pool)
