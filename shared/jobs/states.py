"""Where a job can stand."""

from __future__ import annotations

from enum import StrEnum


class JobKind(StrEnum):
    """What a job does; each kind has a queue of its own."""

    #: One turn of a conversation.
    CHAT = "chat"
    #: One run of a deliberation experiment.
    EXPERIMENT = "experiment"
    #: A short operation that needs a worker and that the gateway waits for.
    QUERY = "query"


class Phase(StrEnum):
    """Who may touch the row next. ``ready`` and ``held`` are the active phases."""

    #: Behind the active turn of its conversation.
    WAITING = "waiting"
    #: Claimable.
    READY = "ready"
    #: Held by an attempt.
    HELD = "held"
    #: Nothing will happen, unless it is retried by hand.
    ENDED = "ended"


class Status(StrEnum):
    """What clients are told; a ``running`` job that is marked for cancelling is shown as ``cancelling``."""

    QUEUED = "queued"
    RUNNING = "running"
    #: The answer is stored; for a chat, stages 4 and 5 may still be going on.
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class PostResponse(StrEnum):
    """Where the stages after a chat's answer stand."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    #: Its lease was not renewed.
    LOST = "lost"
    #: Its worker was told to stop and handed it over.
    DRAINED = "drained"
    #: Something broke inside Parley.
    BROKEN = "broken"
