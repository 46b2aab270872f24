"""Wake-ups: Celery messages that say "kind K has work", and nothing else."""

from __future__ import annotations

import asyncio
import functools
import logging
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from celery import Celery
from kombu.entity import Exchange, Queue
from redis.asyncio import Redis

from shared.jobs.broker import TIMEOUT, broker_options, key_prefix
from shared.jobs.states import JobKind
from shared.jobs.wakeup_message import WakeupMessage
from shared.jobs.watched import Watched
from shared.settings import Settings

log = logging.getLogger(__name__)

#: A broker that has gone and come back is noticed by the first message: it is sent again, once.
_AGAIN = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}

#: Seconds that a caller waits for a broker that is reached through Celery.
PATIENCE = 2.0
#: Calls that may wait for such a broker. What comes beyond them is dropped: the sweep makes it up.
MOST_WAITING = 1000
#: Messages that go in one call.
AT_ONCE = 100

#: The Celery task that tells monitors of a job which was ended without being run.
REPORT_TASK = "parley.report"


def queue_name(settings: Settings, kind: JobKind) -> str:
    """The queue of a kind."""
    return f"{settings.namespace}.{kind}"


def task_name(kind: JobKind) -> str:
    """The name of the Celery task that runs a job of a kind."""
    return f"parley.{kind}"


def queue(settings: Settings, kind: JobKind) -> Queue:
    """The queue of a kind as Celery declares it: with an exchange of its own, so that on a broker which has
    exchanges no message goes to two queues.
    """
    name = queue_name(settings, kind)
    return Queue(name, Exchange(name, type="direct"), routing_key=name)


def configure(app: Celery, settings: Settings) -> None:
    """What producers and workers must agree on."""
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_queues=[queue(settings, kind) for kind in JobKind],
        task_default_queue=queue_name(settings, JobKind.CHAT),
        broker_connection_retry_on_startup=True,
        **broker_options(settings),
    )


class Wakeups:
    """Sends wake-ups.

    Args:
        settings: where the broker is.
        redis: a client of ``redis_url``. If that is the broker too, messages go there straight from the event
            loop; else through Celery's producer, which is synchronous, in a thread.

    Note:
        A broker may take connections and say nothing. Who sends then waits a moment, and nobody does after
        that until the broker has taken something; the messages that wait are few, and go when it is back.
    """

    def __init__(self, settings: Settings, redis: Redis | None = None) -> None:
        self._settings = settings
        self._redis = redis if settings.broker_url is None else None
        self._watched = Watched(redis, settings.namespace) if redis is not None else None
        self._messages: dict[JobKind, WakeupMessage] = {}
        if self._redis is not None:
            for kind in JobKind:
                self._messages[kind] = WakeupMessage(task_name(kind), queue_name(settings, kind))
        self._app = Celery("parley-producer", set_as_current=False)
        configure(self._app, settings)
        self._app.conf.broker_pool_limit = 2
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="wakeups")
        # How many wait is not asked behind the messages that do.
        self._asking = ThreadPoolExecutor(max_workers=1, thread_name_prefix="wakeups-waiting")
        self._under_way = 0
        #: Whether somebody waited in vain, and nothing was taken since.
        self._silent = False
        self._dropping = False

    async def send(self, kind: JobKind, job_id: UUID | None, count: int = 1) -> bool:
        """Wake ``count`` slots for jobs of ``kind``; whether the broker is known to have taken the messages.

        A failure is logged, not raised: the job is committed, and the sweep makes up missing wake-ups. It
        takes :data:`PATIENCE` at most while a broker takes nothing that is reached through Celery.

        Args:
            kind: what has work.
            job_id: the job that caused it, as a label.
            count: how many messages.
        """
        try:
            if self._redis is not None:
                messages = [self._messages[kind].encode(job_id) for _ in range(count)]
                await self._redis.execute_command(
                    "LPUSH", key_prefix(self._settings) + queue_name(self._settings, kind), *messages
                )
                return True
            for sent in range(0, count, AT_ONCE):
                if not await self._publish(task_name(kind), kind, job_id, min(AT_ONCE, count - sent)):
                    return False
        except Exception as error:
            _not_sent(kind, error)
            return False
        return True

    async def report(self, kind: JobKind, job_id: UUID) -> None:
        """Have a worker tell monitors how a job stands that was ended without being run, if any are there.

        It is told by a worker because monitors take whoever tells something of a task for one.
        """
        try:
            if self._watched is not None and await self._watched.watched():
                await self._publish(REPORT_TASK, kind, job_id, 1)
        except Exception as error:
            log.warning("the end of a job is not reported", extra={"error": type(error).__name__})

    async def _publish(self, task: str, kind: JobKind, job_id: UUID | None, count: int) -> bool:
        """Send messages by Celery, in a thread; whether they were taken while somebody waited for it."""
        if self._under_way >= MOST_WAITING:
            if not self._dropping:
                self._dropping = True
                log.warning("the broker takes nothing: wake-ups are dropped; the sweep makes them up")
            return False
        loop = asyncio.get_running_loop()
        sending = loop.run_in_executor(self._threads, self._send, task, kind, job_id, count)
        self._under_way += 1
        sending.add_done_callback(functools.partial(self._ended, kind))
        if self._silent:
            return False
        await asyncio.wait([sending], timeout=PATIENCE)
        if not sending.done():
            self._silent = True
            log.warning("the broker does not answer; nobody waits for it until it does")
            return False
        return not sending.cancelled() and sending.exception() is None

    def _ended(self, kind: JobKind, sending: asyncio.Future[None]) -> None:
        self._under_way -= 1
        if sending.cancelled():
            return
        if (error := sending.exception()) is not None:
            _not_sent(kind, error)
        else:
            self._silent = self._dropping = False

    def _send(self, task: str, kind: JobKind, job_id: UUID | None, count: int) -> None:
        for _ in range(count):
            self._app.send_task(
                task,
                args=[None if job_id is None else str(job_id)],
                queue=queue_name(self._settings, kind),
                retry=True,
                retry_policy=_AGAIN,
                confirm_timeout=TIMEOUT,
                ignore_result=True,
            )

    async def waiting(self, kind: JobKind) -> int:
        """How many wake-ups of ``kind`` wait in the broker."""
        return await asyncio.get_running_loop().run_in_executor(self._asking, self._waiting, kind)

    def _waiting(self, kind: JobKind) -> int:
        with self._app.connection_for_write() as connection:
            # Declared as the producer declares it, not passively: with a key prefix Redis's transport looks
            # for a passively declared queue under its bare name, and finds none.
            declared = queue(self._settings, kind)
            return int(declared(connection.default_channel).queue_declare().message_count)

    def close(self) -> None:
        """Let go of the broker."""
        for threads in (self._threads, self._asking):
            threads.shutdown(wait=False, cancel_futures=True)
        self._app.close()


def _not_sent(kind: JobKind, error: BaseException) -> None:
    log.warning(
        "no wake-up could be sent; the sweep will", extra={"kind": kind, "error": type(error).__name__}
    )
