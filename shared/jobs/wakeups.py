"""Wake-ups: Celery messages that say "kind K has work", and nothing else."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from celery import Celery

from shared.jobs import broker_transport
from shared.jobs.states import JobKind
from shared.settings import Settings

log = logging.getLogger(__name__)


def queue_name(settings: Settings, kind: JobKind) -> str:
    """The queue of a kind."""
    return f"{settings.namespace}.{kind}"


def task_name(kind: JobKind) -> str:
    """The name of the Celery task that runs a job of a kind."""
    return f"parley.{kind}"


def configure(app: Celery, settings: Settings) -> None:
    """What producers and workers must agree on."""
    broker_transport.install()
    app.conf.update(
        broker_url=settings.broker_url or celery_url(settings.redis_url),
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_default_queue=queue_name(settings, JobKind.CHAT),
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "socket_timeout": 5,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "global_keyprefix": f"{settings.namespace}:celery:",
        },
    )


def celery_url(redis_url: str) -> str:
    """The same Redis, as Celery's transport spells it."""
    if redis_url.startswith("unix://"):
        return "redis+socket://" + redis_url.removeprefix("unix://")
    return redis_url


class Wakeups:
    """Sends wake-ups from threads: Celery's producer is synchronous and would hold up the event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._app = Celery("parley-producer", set_as_current=False)
        configure(self._app, settings)
        self._app.conf.broker_pool_limit = 2
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="wakeups")

    async def send(self, kind: JobKind, job_id: UUID | None, count: int = 1) -> bool:
        """Wake ``count`` slots for jobs of ``kind``; whether the broker took the messages.

        A failure is logged, not raised: the job is committed, and the sweep makes up missing wake-ups.

        Args:
            kind: what has work.
            job_id: the job that caused it, as a label.
            count: how many messages.
        """
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._threads, self._send, kind, job_id, count)
        except Exception as error:
            log.warning(
                "no wake-up could be sent; the sweep will",
                extra={"kind": kind, "error": type(error).__name__},
            )
            return False
        return True

    def _send(self, kind: JobKind, job_id: UUID | None, count: int) -> None:
        for _ in range(count):
            self._app.send_task(
                task_name(kind),
                args=[None if job_id is None else str(job_id)],
                queue=queue_name(self._settings, kind),
                retry=False,
                ignore_result=True,
            )

    async def waiting(self, kind: JobKind) -> int:
        """How many wake-ups of ``kind`` wait in the broker."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._waiting, kind)

    def _waiting(self, kind: JobKind) -> int:
        with self._app.connection_for_write() as connection:
            # Declared as the producer declares it, not passively: with a key prefix Redis's transport looks
            # for a passively declared queue under its bare name, and finds none.
            queue = self._app.amqp.queues[queue_name(self._settings, kind)]
            return int(queue(connection.default_channel).queue_declare().message_count)

    def close(self) -> None:
        """Let go of the broker."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._app.close()
