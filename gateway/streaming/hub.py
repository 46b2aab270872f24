"""One pub/sub connection for everything that the clients of a gateway process watch."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import UUID

from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from shared.jobs.event_log import Entry, EventLog, parse_published
from shared.metrics.limits import hit
from shared.subscription import keep_subscribed, messages

#: Seconds that Redis gets to confirm that a channel was left.
LEAVE_TIMEOUT = 1.0


class Inbox:
    """What has come in live for one client. It is bounded: who overflows it goes back to replay."""

    __slots__ = ("_arrived", "_bound", "_closed", "_entries", "_gap")

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._entries: deque[Entry] = deque()
        self._arrived = asyncio.Event()
        self._gap = False
        self._closed = False

    def put(self, entries: list[Entry]) -> None:
        """Take in live entries."""
        if len(self._entries) + len(entries) > self._bound:
            hit("client_queue")
            self.gap()
        else:
            self._entries.extend(entries)
            self._arrived.set()

    def gap(self) -> None:
        """Something was missed: what is here is worth nothing without a replay."""
        self._entries.clear()
        self._gap = True
        self._arrived.set()

    def close(self) -> None:
        """The gateway shuts down."""
        self._closed = True
        self._arrived.set()

    @property
    def closed(self) -> bool:
        """Whether the gateway shuts down."""
        return self._closed

    async def take(self, timeout: float) -> list[Entry] | None:
        """Everything that has come in; ``None`` after a gap, or when nothing came for ``timeout`` seconds."""
        if not self._entries and not self._gap and not self._closed:
            self._arrived.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._arrived.wait()
            except TimeoutError:
                return None
        if self._gap:
            self._gap = False
            return None
        taken = list(self._entries)
        self._entries.clear()
        return taken


class _Channel:
    """One job's channel: whether Redis has confirmed it, and who listens."""

    __slots__ = ("confirmed", "inboxes")

    def __init__(self) -> None:
        self.confirmed = asyncio.Event()
        self.inboxes: list[Inbox] = []


class Hub:
    """Fans the channels of jobs out to the clients of this process."""

    def __init__(self, redis: Redis, log_: EventLog, queue_bound: int) -> None:
        self._redis = redis
        self._log = log_
        self._bound = queue_bound
        self._channels: dict[bytes, _Channel] = {}
        self._changed: asyncio.Queue[tuple[bool, bytes]] = asyncio.Queue()
        #: Channels that were left, until Redis has confirmed it.
        self._leaving: dict[bytes, asyncio.Event] = {}
        self._closed = False

    @asynccontextmanager
    async def watch(self, job_id: UUID) -> AsyncIterator[Inbox]:
        """Listen to a job; the inbox is filled from the moment when :meth:`confirmed` returns."""
        async with self.listen(self._log.channel(job_id)) as inbox:
            yield inbox

    @asynccontextmanager
    async def listen(self, name_: str) -> AsyncIterator[Inbox]:
        """Listen to a channel. One that tells numbers, as those of experiments do, only wakes its inboxes:
        each of its messages is a gap, for what is told lies in Postgres.
        """
        name = name_.encode()
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = _Channel()
            self._left(name)
            self._changed.put_nowait((True, name))
        inbox = Inbox(self._bound)
        if self._closed:
            inbox.close()
        channel.inboxes.append(inbox)
        try:
            yield inbox
        finally:
            channel.inboxes.remove(inbox)
            if not channel.inboxes and self._channels.get(name) is channel:
                del self._channels[name]
                self._leaving[name] = asyncio.Event()
                self._changed.put_nowait((False, name))

    async def confirmed(self, job_id: UUID, timeout: float) -> bool:
        """Wait until Redis has confirmed the subscription to a job; whether it did in time."""
        return await self.heard(self._log.channel(job_id), timeout)

    async def heard(self, name: str, timeout: float) -> bool:
        """Wait until Redis has confirmed the subscription to a channel; whether it did in time."""
        channel = self._channels.get(name.encode())
        if channel is None:
            return False
        if channel.confirmed.is_set():
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await channel.confirmed.wait()
        return channel.confirmed.is_set()

    def watchers(self, job_id: UUID) -> int:
        """How many clients of this process watch a job."""
        channel = self._channels.get(self._log.channel(job_id).encode())
        return 0 if channel is None else len(channel.inboxes)

    async def watched_elsewhere(self, job_id: UUID) -> bool:
        """Whether a client of this or another gateway process watches a job."""
        if self.watchers(job_id):
            return True
        name = self._log.channel(job_id)
        leaving = self._leaving.get(name.encode())
        if leaving is not None:
            # Until then this process would be counted, although it does not watch any more.
            with suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_TIMEOUT):
                    await leaving.wait()
        [(_, subscribers)] = await self._redis.pubsub_numsub(name)
        return int(subscribers) > 0

    async def run(self) -> None:
        """Keep the subscription until cancelled; every loss of it is a gap for everybody."""
        # A channel of its own, so that there is always something to listen to.
        always = f"{self._log.namespace}:gateway"
        await keep_subscribed(self._redis, always, self._receive, self._send_changes, lost=self._lost)

    def close(self) -> None:
        """End every stream, because the gateway shuts down."""
        self._closed = True
        for channel in self._channels.values():
            for inbox in channel.inboxes:
                inbox.close()

    def _left(self, name: bytes) -> None:
        leaving = self._leaving.pop(name, None)
        if leaving is not None:
            leaving.set()

    def _lost(self) -> None:
        for name in list(self._leaving):
            self._left(name)
        for channel in self._channels.values():
            channel.confirmed.clear()
            for inbox in channel.inboxes:
                inbox.gap()

    async def _send_changes(self, pubsub: PubSub) -> None:
        while not self._changed.empty():
            _, name = self._changed.get_nowait()
            self._left(name)
        for name in self._channels:
            self._changed.put_nowait((True, name))
        while True:
            wanted, name = await self._changed.get()
            if wanted and name in self._channels:
                await pubsub.subscribe(name)
            elif not wanted and name not in self._channels:
                await pubsub.unsubscribe(name)

    async def _receive(self, pubsub: PubSub) -> None:
        async for kind, name, data in messages(pubsub):
            if kind == b"unsubscribe":
                self._left(name)
            channel = self._channels.get(name)
            if channel is None:
                continue
            if kind == b"message":
                entries = parse_published(data)
                for inbox in channel.inboxes:
                    if entries:
                        inbox.put(entries)
                    else:
                        inbox.gap()
            elif kind == b"subscribe":
                if channel.confirmed.is_set():
                    # The client library reconnected silently: what was told meanwhile is missing.
                    for inbox in channel.inboxes:
                        inbox.gap()
                channel.confirmed.set()
