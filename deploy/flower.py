"""Flower on the broker of the workers: read-only, and never without a password. ``python -m deploy.flower``.

It shows jobs as tasks, because that is what workers tell (see ``workers/jobs/task_events.py``). Jobs are
cancelled through the API, which knows whose they are.
"""

from __future__ import annotations

import argparse
import importlib.util
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

from redis.exceptions import RedisError

from deploy import broker_queues
from shared.jobs.watched import Watched
from shared.redis_client import connect
from shared.settings import Settings, SettingsError, read_settings

#: Who logs in.
USER = "admin"
#: Characters that a password has at least.
SHORTEST_PASSWORD = 8
#: Jobs that are kept in memory.
MOST_TASKS = 10_000
#: Seconds after which a worker that went away is shown no more.
FORGET_WORKERS = 3600
#: Pause between two notes that somebody watches, in seconds.
MARK_EVERY = 10.0
COLUMNS = "uuid,name,state,kwargs,received,started,runtime,result,worker"


class FlowerError(Exception):
    """Flower cannot start; the message says what is to be done."""


def password_of(settings: Settings) -> str:
    """The password to log in with.

    Raises:
        FlowerError: there is none, or it is none that Flower can take.
    """
    secret = settings.flower_password
    password = "" if secret is None else secret.get_secret_value()
    if not password:
        raise FlowerError(
            "Flower does not start without a password: set PARLEY_FLOWER_PASSWORD, or "
            "PARLEY_FLOWER_PASSWORD_FILE to a file that holds it."
        )
    if len(password) < SHORTEST_PASSWORD:
        raise FlowerError(
            f"PARLEY_FLOWER_PASSWORD is too short: give it {SHORTEST_PASSWORD} characters or more."
        )
    if not (password.isascii() and password.isprintable()):
        raise FlowerError(
            "PARLEY_FLOWER_PASSWORD takes printable ASCII only: Flower compares no other characters."
        )
    return password


def check_installed() -> None:
    """Raise :class:`FlowerError` where Flower is not installed."""
    if importlib.util.find_spec("flower") is None:
        raise FlowerError("Flower is not installed: pip install 'parley[flower]'")


def application(settings: Settings) -> Any:
    """Flower's web application, not started.

    Raises:
        FlowerError: no password, or Flower is not installed.
    """
    check_installed()
    password = password_of(settings)

    from celery import Celery
    from flower.app import Flower
    from flower.options import options
    from flower.urls import settings as web_settings
    from flower.views.monitor import Metrics
    from tornado.web import authenticated

    from shared.jobs.wakeups import configure

    class GuardedMetrics(Metrics):  # type: ignore[misc]
        """Flower's own metrics name the workers: they are for those who may log in."""

        @authenticated
        async def get(self) -> None:
            """The metrics."""
            await super().get()

    options.basic_auth = [f"{USER}:{password}"]
    options.read_only = True
    options.max_tasks = MOST_TASKS
    options.purge_offline_workers = FORGET_WORKERS
    options.tasks_columns = COLUMNS
    app = Celery("parley-flower", set_as_current=False)
    configure(app, settings)
    flower = Flower(capp=app, options=options, **web_settings)
    flower.add_handlers(r".*", [(r"/metrics", GuardedMetrics), *broker_queues.handlers(settings)])
    return flower


def serve(flower: Any, listening: list[socket.socket], settings: Settings) -> None:
    """Answer on the sockets until SIGTERM or SIGINT."""
    from tornado.httpserver import HTTPServer
    from tornado.ioloop import PeriodicCallback

    server = HTTPServer(flower)
    server.add_sockets(listening)
    watched = Watched(connect(settings.redis, settings.redis_timeout, max_connections=1), settings.namespace)

    async def mark() -> None:
        # The next time will do.
        with suppress(RedisError, OSError):
            await watched.mark()

    # Flower asks the workers that it finds; those that start later find this.
    flower.io_loop.add_callback(mark)
    PeriodicCallback(mark, MARK_EVERY * 1000).start()

    def stop(*_: object) -> None:
        flower.io_loop.add_callback_from_signal(flower.stop)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    flower.start()


def main(arguments: list[str] | None = None) -> int:
    """Run Flower; 0 when it was told to stop, 1 when it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m deploy.flower", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=5555)
    parser.add_argument(
        "--fd", type=int, help="a listening socket that is handed over, instead of an address"
    )
    chosen = parser.parse_args(arguments)
    try:
        check_installed()
        from tornado.netutil import bind_sockets

        if chosen.fd is not None:
            listening = [socket.socket(fileno=chosen.fd)]
            listening[0].setblocking(False)
        else:
            listening = bind_sockets(chosen.port, chosen.host)
        settings = read_settings()
        flower = application(settings)
    except (FlowerError, SettingsError) as error:
        print(f"parley flower: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"parley flower: cannot listen on {chosen.host}:{chosen.port}: {error.strerror}", file=sys.stderr
        )
        return 1
    serve(flower, listening, settings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
