"""The events of a job's stream, and their ids."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

from shared.errors import InvalidEventIdError

#: Sequence numbers from here on belong to events that were rebuilt from Postgres.
REBUILT = 10**9

_EVENT_ID = re.compile(r"\A([1-9][0-9]{0,8})-(0|[1-9][0-9]{0,11})\Z")


class EventType(StrEnum):
    """What an event of a chat, or of an experiment, tells."""

    #: Waiting; sent by the gateway, without an id, and never stored.
    QUEUED = "queued"
    #: The first attempt began.
    SESSION_START = "session_start"
    #: A later attempt holds the job; not shown to clients.
    FENCE = "fence"
    #: Discard the text received so far.
    RESTART = "restart"
    #: A stage started or finished.
    STAGE_UPDATE = "stage_update"
    #: Something went wrong that did not stop the turn.
    WARNING = "warning"
    #: A piece of the answer.
    CHUNK = "chunk"
    #: How far a long operation is.
    PROGRESS = "progress"
    #: The answer is stored.
    DONE = "done"
    #: Stages 4 and 5 ended; nothing follows.
    POST_RESPONSE_COMPLETE = "post_response_complete"
    #: The job was cancelled; nothing follows.
    CANCELLED = "cancelled"
    #: The job failed; nothing follows.
    ERROR = "error"

    # Experiments
    EXPERIMENT_STARTED = "experiment_started"
    #: Another attempt goes on from the last step.
    RESUMED = "resumed"
    #: A phase started or finished.
    PHASE = "phase"
    #: An agent ranked the principles.
    RANKING = "ranking"
    #: An agent chose a principle in phase 1 and was paid.
    APPLICATION = "application"
    SPEAKING_ORDER = "speaking_order"
    STATEMENT = "statement"
    #: An agent was manipulated.
    MANIPULATION = "manipulation"
    VOTE_INITIATION = "vote_initiation"
    VOTE_CONFIRMATION = "vote_confirmation"
    #: What a ballot came to, after the box was closed; who voted for what is told after the phase.
    BALLOT_RESULT = "ballot_result"
    PAYOFF = "payoff"
    #: A service failed, and the run goes on without what it would have done.
    SERVICE_DEGRADED = "service_degraded"
    #: The result is stored; nothing follows.
    EXPERIMENT_FINISHED = "experiment_finished"


#: After one of these nothing follows, unless the job is retried.
FINAL_EVENTS = frozenset(
    {
        EventType.POST_RESPONSE_COMPLETE,
        EventType.EXPERIMENT_FINISHED,
        EventType.CANCELLED,
        EventType.ERROR,
    }
)


class EventId(NamedTuple):
    """``<attempt>-<seq>``: a Redis stream id, so that Redis itself orders and refuses."""

    attempt: int
    seq: int

    def __str__(self) -> str:
        return f"{self.attempt}-{self.seq}"

    @property
    def successor(self) -> EventId:
        """The next id of the same attempt."""
        return EventId(self.attempt, self.seq + 1)

    @classmethod
    def parse(cls, text: str) -> EventId:
        """The id that ``text`` spells.

        Raises:
            InvalidEventIdError: ``text`` is not of the form ``<attempt>-<seq>``.
        """
        match = _EVENT_ID.match(text.strip())
        if match is None:
            raise InvalidEventIdError(
                "An event id has the form <attempt>-<seq>, for example 1-17; send the id of the last event "
                "received, or leave it out to start from the beginning."
            )
        return cls(int(match[1]), int(match[2]))
