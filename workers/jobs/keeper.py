"""What keeps the attempts of a process alive, and lets them be cancelled."""

from __future__ import annotations

import asyncio
import logging

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from shared.jobs.cancellation import cancel_channel
from shared.jobs.job import parse_lease_member
from shared.jobs.leases import Leases
from shared.jobs.permits import Permits
from shared.jobs.store import JobStore
from shared.subscription import keep_subscribed, messages
from workers.jobs.runner import JobRunner
from workers.jobs.running import StopReason

log = logging.getLogger(__name__)

#: Leases are renewed this often, as a part of their TTL.
RENEW_EVERY = 1 / 3


class Keeper:
    """Renews leases and permits, from inside the event loop that runs the jobs: a loop that hangs loses them.

    Args:
        runner: whose attempts are kept.
        store: asked about leases that are missing.
        leases: on a Redis connection of their own.
        permits: renewed with the leases.
        redis: for the subscription to cancels.
        namespace: of the keys and channels.
    """

    def __init__(
        self,
        runner: JobRunner,
        store: JobStore,
        leases: Leases,
        permits: Permits,
        redis: Redis,
        namespace: str,
    ) -> None:
        self._runner = runner
        self._store = store
        self._leases = leases
        self._permits = permits
        self._redis = redis
        self._channel = cancel_channel(namespace)

    async def keep(self) -> None:
        """Renew until cancelled."""
        loop = asyncio.get_running_loop()
        pause = self._leases.ttl * RENEW_EVERY
        while True:
            began = loop.time()
            try:
                await self.renew()
            except (RedisError, OSError) as error:
                # An error changes nothing: whoever is really lost is found by those who watch.
                log.warning("leases could not be renewed", extra={"error": type(error).__name__})
            await asyncio.sleep(max(pause - (loop.time() - began), 0.01))

    async def renew(self) -> None:
        """Renew once, and heed what the renewal tells."""
        asked_at = asyncio.get_running_loop().time()
        renewing = dict(self._runner.running)
        renewal = await self._leases.renew(list(renewing))
        for lease in renewing.keys() - renewal.missing:
            # Whoever takes the job away removes its lease.
            renewing[lease].known_at = asked_at
        for lease in renewal.flagged:
            self._runner.cancel(lease)
        if renewal.missing:
            await self._put_back_or_stop(renewal.missing)
        await self._permits.renew()

    async def _put_back_or_stop(self, missing: list[str]) -> None:
        """Put back what Redis lost, all of it at once: after a Redis that was emptied every lease is missing,
        and those who watch give each a TTL only.
        """
        running = self._runner.running
        try:
            held = set(await self._store.held())
        except (SQLAlchemyError, OSError):
            return
        mine = [lease for lease in missing if lease in running and not running[lease].ended]
        await self._leases.hold([lease for lease in mine if parse_lease_member(lease) in held])
        for lease in mine:
            if parse_lease_member(lease) not in held and lease in running:
                running[lease].stop(StopReason.FENCED)

    async def listen(self) -> None:
        """Hear who cancels what, until cancelled; a lost message is made up by the next renewal."""
        await keep_subscribed(self._redis, self._channel, self._hear)

    async def _hear(self, pubsub: PubSub) -> None:
        async for message in messages(pubsub):
            if message[0] == b"message":
                self._runner.cancel(message[2].decode())
