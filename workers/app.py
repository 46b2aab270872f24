"""The Celery application: queues, tasks and signals. Run by ``celery -A workers.app worker -P threads``."""

from __future__ import annotations

import logging
import sys
from typing import Any, NoReturn
from uuid import UUID

from celery import Celery, signals

from shared import garbage
from shared.broker_url import is_amqp
from shared.jobs.states import JobKind
from shared.jobs.wakeups import REPORT_TASK, configure, queue_name, task_name
from shared.logging import configure_logging
from shared.metrics.listener import ListenError
from shared.security.secrets import SecretKeyError
from shared.settings import Settings, SettingsError, get_settings
from workers import control
from workers.broker import BrokerProtocol
from workers.consumer import WakeupConsumer
from workers.runtime import Runtime
from workers.task_events import CeleryTaskEvents

log = logging.getLogger(__name__)

#: The kinds of jobs that workers run.
KINDS = (JobKind.CHAT, JobKind.EXPERIMENT, JobKind.QUERY)

#: Exit status of a process whose settings are of no use, and of one that broke: that is to be started anew.
MISCONFIGURED = 2
BROKEN = 70


def _end(said: str, status: int) -> NoReturn:
    """End the process with a line. Celery logs any other error of a signal and goes on, without a runtime."""
    print(f"parley worker: {said}", file=sys.stderr, flush=True)
    sys.exit(status)


def _read_settings() -> Settings:
    """The settings, or the end of the process with a line: Celery would show where it imported this from."""
    try:
        return get_settings()
    except SettingsError as error:
        _end(str(error), MISCONFIGURED)


_settings = _read_settings()
_runtime: Runtime | None = None
_task_events: CeleryTaskEvents | None = None

app = Celery("parley", amqp=BrokerProtocol)
configure(app, _settings)
app.conf.update(
    # A message is only a wake-up: it is acknowledged at once, and taken only when a slot is free.
    task_acks_late=False,
    worker_consumer=f"{WakeupConsumer.__module__}:{WakeupConsumer.__qualname__}",
    # Celery does so with Redis only; the consumer sees to RabbitMQ.
    worker_disable_prefetch=not is_amqp(app.conf.broker_url),
    worker_prefetch_multiplier=1,
    worker_enable_prefetch_count_reduction=False,
    # Monitors are told of jobs, not of wake-ups: see workers/task_events.py.
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    # A broker may be away for as long as it likes: what runs goes on without it.
    broker_connection_max_retries=None,
)


def _register(kind: JobKind) -> None:
    @app.task(name=task_name(kind), ignore_result=True, send_events=False)  # type: ignore[untyped-decorator]
    def run(cause: str | None = None) -> str:
        """Claim and run one job; ``cause`` names the job that sent the wake-up, as a label."""
        assert _runtime is not None
        try:
            return _runtime.run_next(kind)
        except Exception:
            # Celery would log and publish the error as it is, with statements and values.
            log.exception("a wake-up broke")
            return "broken"


for _kind in KINDS:
    _register(_kind)


@app.task(name=REPORT_TASK, ignore_result=True, send_events=False)  # type: ignore[untyped-decorator]
def _report(job_id: str) -> None:
    """Tell monitors how a job stands that was ended without being run."""
    if _runtime is None or _task_events is None or not _task_events.listening:
        return
    try:
        _runtime.report(UUID(job_id))
    except Exception:
        log.exception("a job could not be reported")


@signals.setup_logging.connect  # type: ignore[untyped-decorator]
def _set_up_logging(**_: Any) -> None:
    configure_logging(_settings, service="worker")
    for quiet in ("celery.worker.strategy", "celery.app.trace"):
        # They log a line for each wake-up; the attempt has its own.
        logging.getLogger(quiet).setLevel(logging.WARNING)


@signals.worker_init.connect  # type: ignore[untyped-decorator]
def _start(sender: Any, **_: Any) -> None:
    global _runtime, _task_events
    # Celery sets it up later, and whatever goes wrong here is to be read like everything else.
    _set_up_logging()
    try:
        _task_events = CeleryTaskEvents(app, sender.hostname)
        runtime = Runtime(_settings, _task_events)
        control.install(
            _task_events, sender.hostname, lambda: list(runtime.runner.running.values()), runtime.mark_watched
        )
        runtime.start()
    except (ListenError, SecretKeyError) as error:
        _end(str(error), MISCONFIGURED)
    except Exception as error:
        log.critical("the worker could not start", exc_info=True)
        _end(f"it could not start, its log says why ({type(error).__name__})", BROKEN)
    _runtime = runtime


@signals.worker_ready.connect  # type: ignore[untyped-decorator]
def _settle(sender: Any, **_: Any) -> None:
    garbage.settle()
    if _runtime is not None:
        taken = {queue.name for queue in sender.task_consumer.queues}
        kinds = [kind for kind in KINDS if queue_name(_settings, kind) in taken]
        _runtime.consumes(kinds, sender.controller.concurrency)


@signals.worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _drain(**_: Any) -> None:
    if _runtime is not None:
        _runtime.drain()


@signals.worker_shutdown.connect  # type: ignore[untyped-decorator]
def _stop(**_: Any) -> None:
    if _runtime is not None:
        _runtime.stop()
    if _task_events is not None:
        _task_events.stop()
