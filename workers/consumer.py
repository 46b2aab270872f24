"""The part of a Celery worker that takes messages from the broker."""

from __future__ import annotations

from typing import Any

from celery.worker.consumer import Consumer

from shared.broker_url import is_amqp


class WakeupConsumer(Consumer):  # type: ignore[misc]
    """Takes from RabbitMQ one wake-up at a time.

    Celery would take as many as there are slots, and a worker whose slots are all in use would keep them from
    workers that are idle. (With Redis none is taken unless a slot is free: ``worker_disable_prefetch``.)
    """

    def __init__(self, *arguments: Any, app: Any, **options: Any) -> None:
        self._one_at_a_time = is_amqp(app.conf.broker_url)
        super().__init__(*arguments, app=app, **options)
        if self._one_at_a_time:
            self.initial_prefetch_count = 1

    @property
    def max_prefetch_count(self) -> int:
        """How many messages may be taken and not acknowledged."""
        return 1 if self._one_at_a_time else int(super().max_prefetch_count)
