"""Celery's Redis transport keeps its client for as long as its connections last."""

from __future__ import annotations

import redis
from kombu import Connection, Queue

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


def test_only_what_was_taken_with_a_receipt_is_acknowledged(redis_url: str) -> None:
    broker_transport.install()
    client = redis.Redis.from_url(redis_url)
    with Connection(redis_url.replace("unix://", "redis+socket://", 1)) as connection:
        producer = connection.SimpleQueue("wakeups")
        for number in range(2):
            producer.put(number)
        channel = connection.default_channel
        queue = Queue("wakeups")(channel)
        kept = queue.get(no_ack=False)
        assert client.hlen("unacked") == 1
        free = queue.get(no_ack=True)
        assert client.hlen("unacked") == 1
        free.ack()
        assert client.hlen("unacked") == 1
        kept.ack()
        assert client.hlen("unacked") == 0
        producer.close()
    client.close()
