"""A wake-up as Celery spells it, made once by Celery itself and then only filled in.

Sending a task through Celery is synchronous and takes a thread, 0.3 ms of CPU and, beside a busy event loop,
several milliseconds. All wake-ups of a kind are the same message but for three ids.
"""

from __future__ import annotations

import base64
from uuid import UUID, uuid4

import orjson
from celery import Celery

_TASK = str(UUID(int=1))
_TAG = str(UUID(int=2))
#: Of the same form as what takes its place, so that Celery spells it alike in every part of the message.
_CAUSE = str(UUID(int=3))


class WakeupMessage:
    """The message that runs ``task`` on ``queue``.

    Args:
        task: the name of the task; its only argument is the id of a job, or ``None``.
        queue: the name of the queue.
    """

    def __init__(self, task: str, queue: str) -> None:
        self._labelled = _Template(task, queue, _CAUSE)
        self._bare = _Template(task, queue, None)

    def encode(self, cause: UUID | None) -> bytes:
        """A message of its own, with the job that caused it as a label."""
        return self._bare.fill("") if cause is None else self._labelled.fill(str(cause))


class _Template:
    def __init__(self, task: str, queue: str, cause: str | None) -> None:
        # Kombu's virtual transports share how a message looks; this one keeps it in memory.
        app = Celery("parley-template", broker="memory://", set_as_current=False)
        app.conf.update(task_serializer="json", accept_content=["json"])
        try:
            with app.connection_for_write() as connection:
                app.send_task(
                    task, args=[cause], queue=queue, task_id=_TASK, connection=connection, ignore_result=True
                )
                message = connection.default_channel._get(queue)
        finally:
            app.close()
        self._body = base64.b64decode(message["body"])
        message["body"] = "\x00"
        message["properties"]["delivery_tag"] = _TAG
        self._before, self._after = orjson.dumps(message).split(b"\\u0000")

    def fill(self, cause: str) -> bytes:
        body = base64.b64encode(self._body.replace(_CAUSE.encode(), cause.encode()))
        after = self._after.replace(_TASK.encode(), str(uuid4()).encode())
        after = after.replace(_TAG.encode(), str(uuid4()).encode()).replace(_CAUSE.encode(), cause.encode())
        return self._before + body + after
