"""Celery's Redis transport keeps its client for as long as its connections last."""

from __future__ import annotations

from kombu import Connection

from shared.jobs import broker_transport
from shared.jobs.broker_transport import KeptClientChannel


def test_one_client_serves_all_commands_until_the_pool_is_another(redis_url: str) -> None:
    broker_transport.install()
    with Connection(redis_url.replace("unix://", "redis+socket://", 1)) as connection:
        channel = connection.default_channel
        assert isinstance(channel, KeptClientChannel)
        with channel.conn_or_acquire() as first, channel.conn_or_acquire() as second:
            assert first is second
        # What the transport does after an error of the connection.
        channel._disconnect_pools()
        with channel.conn_or_acquire() as third:
            assert third is not first
            assert third.ping()
