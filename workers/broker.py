"""The worker's connection to its broker: it survives what a broker does to it."""

from __future__ import annotations

import logging
from typing import Any

from celery.app.amqp import AMQP
from kombu.connection import Connection

log = logging.getLogger(__name__)

#: Seconds between two tries to reach a broker that is away: the first time, what is added, and at most.
FIRST_PAUSE = 0.2
LONGER_PAUSE = 0.2
LONGEST_PAUSE = 1.0


class BrokerConnection(Connection):
    """A connection that can be closed whatever state it is in, and that is soon there again.

    After a loss Celery collects the connection and then closes it; when a channel is still registered it
    raises, on a transport that has let go of its connection, what no handler expects, and the worker ends.
    """

    def maybe_close_channel(self, channel: Any) -> None:
        """Close ``channel``; it goes away with its connection in any case."""
        try:
            channel.close()
        except Exception as error:
            log.debug("a channel was closed after its connection", extra={"error": type(error).__name__})

    def ensure_connection(
        self, errback: Any = None, max_retries: int | None = None, **options: Any
    ) -> BrokerConnection:
        """Connect, however long the broker is away; wake-ups wait in it when it is back."""
        intervals = {
            "interval_start": FIRST_PAUSE,
            "interval_step": LONGER_PAUSE,
            "interval_max": LONGEST_PAUSE,
        }
        super().ensure_connection(errback, max_retries, **{**intervals, **options})  # type: ignore[no-untyped-call]
        return self


class BrokerProtocol(AMQP):  # type: ignore[misc]
    """Celery's messaging over :class:`BrokerConnection`."""

    Connection = BrokerConnection

    def TaskConsumer(  # noqa: N802
        self, channel: Any, queues: Any = None, accept: Any = None, **options: Any
    ) -> Any:
        """Take wake-ups from Redis without a receipt.

        They are acknowledged before they are heeded in any case, and the sweep makes up lost ones. What kombu
        keeps of each until then costs two transactions, in the one thread that all wake-ups go through.
        """
        if channel.transport.driver_type == "redis":
            options["no_ack"] = True
        return super().TaskConsumer(channel, queues, accept, **options)
