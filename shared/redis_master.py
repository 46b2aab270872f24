"""Asking the Sentinels which Redis is the master now."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from shared.redis_server import Address, RedisServer

log = logging.getLogger(__name__)

#: Seconds that a Sentinel gets at least.
SHORTEST = 0.25


class MasterUnknownError(RedisConnectionError):
    """No Sentinel answered, or none of them knows the master."""


class Sentinels:
    """The Sentinels of one master.

    Every new connection asks anew, the one first that answered last. Sentinels are asked one after the other:
    one that is away costs a part of the time that a connection may take, and goes to the end of the line.

    Args:
        server: with ``sentinels`` and ``master``.
        timeout: seconds that asking all of them may take.
    """

    def __init__(self, server: RedisServer, timeout: float) -> None:
        self._server = server
        self._timeout = timeout
        self._line = list(server.sentinels)

    async def master(self) -> Address:
        """Address of the master.

        Raises:
            MasterUnknownError: nobody could tell it.
        """
        each = max(self._timeout / len(self._line), SHORTEST)
        for address in list(self._line):
            try:
                # Not the client's own time-out alone: a connection takes several steps, each with one.
                async with asyncio.timeout(each):
                    told = await self._ask(address, each)
            except (RedisError, OSError, TimeoutError) as error:
                log.info("a Sentinel did not answer", extra={"error": type(error).__name__})
                told = None
            if told is not None:
                return told
            self._line.remove(address)
            self._line.append(address)
        raise MasterUnknownError(f"no Sentinel tells who is the master {self._server.master!r}")

    async def _ask(self, address: Address, timeout: float) -> Address | None:
        host, port = address
        client = Redis(
            host=host,
            port=port,
            ssl=self._server.encrypted,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            decode_responses=True,
            **self._server.sentinel_options(),
        )
        try:
            found = await client.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", self._server.master)
        finally:
            with suppress(RedisError, OSError):
                await client.aclose()
        if not found:
            return None
        return str(found[0]), int(found[1])
