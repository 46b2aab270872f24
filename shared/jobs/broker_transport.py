"""Celery's Redis transport with a client that is kept, and no receipts for what nobody gave one for.

Kombu makes a client for every command that it sends, and redis-py fills a table of 170 callbacks for each:
0.2 ms of CPU, ten times for every wake-up that a worker takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kombu.transport import TRANSPORT_ALIASES
from kombu.transport.redis import Channel, QoS, SentinelChannel, SentinelTransport, Transport

if TYPE_CHECKING:
    _Base = Channel
else:
    _Base = object


class Receipts(QoS):
    """What a consumer has taken and not acknowledged."""

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message, unless it was taken without a receipt: there is nothing to remove then."""
        if delivery_tag in self._delivered:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]


class _KeptClient(_Base):
    """A channel that sends all its commands through one client."""

    QoS = Receipts
    _kept: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        """The client that is kept, as long as its pool is the channel's."""
        if asynchronous:
            # These are kept by kombu itself.
            return super()._create_client(asynchronous=True)  # type: ignore[no-untyped-call]
        if self._kept is None or self._kept.connection_pool is not self.pool:
            self._kept = super()._create_client()  # type: ignore[no-untyped-call]
        return self._kept

    def _subscribe(self) -> None:
        """Listen to the channels of broadcasts: by their names, which an ACL can allow by what they begin
        with; kombu asks for patterns, which it can allow one by one only.
        """
        names = [topic for queue in self.active_fanout_queues for topic in self._topics(queue)]
        if names:
            client = self.subclient
            if client.connection._sock is None:
                client.connection.connect()
            self._in_listen = client.connection
            client.subscribe(*names)

    def _unsubscribe_from(self, queue: str) -> None:
        client = self.subclient
        if client.connection and client.connection._sock:
            client.unsubscribe(*self._topics(queue))

    def _topics(self, queue: str) -> list[str]:
        return list(self._get_subscribe_topics(queue))  # type: ignore[no-untyped-call]


class KeptClientChannel(_KeptClient, Channel):
    """A channel to one Redis."""


class KeptClientSentinelChannel(_KeptClient, SentinelChannel):
    """A channel to the master that Sentinels name."""


class KeptClientTransport(Transport):
    """The transport of ``redis://``, ``rediss://`` and ``redis+socket://`` URLs."""

    Channel = KeptClientChannel


class KeptClientSentinelTransport(SentinelTransport):
    """The transport of ``sentinel://`` URLs."""

    Channel = KeptClientSentinelChannel


def install() -> None:
    """Use it wherever this process speaks to a broker that is a Redis."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{KeptClientTransport.__name__}"
    TRANSPORT_ALIASES["sentinel"] = f"{__name__}:{KeptClientSentinelTransport.__name__}"
