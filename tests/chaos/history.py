"""What happened in a run, as a list of records that can be written to a file and judged without the run.

Clients record what they asked and every event they got; :mod:`tests.chaos.collect` adds what Postgres, Redis
and the provider say in the end. All times are seconds of the wall clock of the one machine.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A client wants a turn; however often it sends it, it is this one."""

    turn: str
    at: float
    key: str
    #: What the provider will say.
    text: str
    thinking: str = ""
    #: ``reject``, ``enqueue`` or ``interrupt``.
    on_busy: str = "reject"


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A gateway answered 2xx and named the job."""

    turn: str
    at: float
    key: str
    session_id: str


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A gateway answered with an error."""

    turn: str
    at: float
    status: int
    code: str


@dataclass(frozen=True, kw_only=True)
class Connected:
    """A follower begins to read, with ``Last-Event-ID`` = ``cursor``."""

    follower: str
    session_id: str
    at: float
    gateway: int
    cursor: str | None


@dataclass(frozen=True, kw_only=True)
class Received:
    """A follower got an event."""

    follower: str
    session_id: str
    at: float
    id: str | None
    event: str
    data: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Left:
    """A follower went away for good, on purpose."""

    follower: str
    at: float


@dataclass(frozen=True, kw_only=True)
class Sent:
    """The answer 200 to ``send``."""

    turn: str
    at: float
    body: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class CancelAnswered:
    """The answer 200 to ``cancel``."""

    turn: str
    at: float
    session_id: str
    cancelled: bool
    status: str


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What the test did to the system."""

    at: float
    what: str


@dataclass(frozen=True, kw_only=True)
class ProviderCall:
    """A request that reached the provider."""

    turn: str
    at: float
    tokens: int
    aborted: bool


@dataclass(frozen=True, kw_only=True)
class JobRow:
    """A job in the end."""

    id: str
    turn: str
    conversation_id: str | None
    phase: str
    status: str
    attempt: int
    failures: int
    post_response: str | None
    cancel_requested: bool
    user_message_id: str | None
    message_id: str | None
    error: dict[str, Any] | None
    finish_reason: str | None
    finished_at: float | None
    ended_at: float | None


@dataclass(frozen=True, kw_only=True)
class AttemptRow:
    """An attempt in the end."""

    job_id: str
    attempt: int
    worker: str
    started_at: float
    finished_at: float | None
    outcome: str | None


@dataclass(frozen=True, kw_only=True)
class MessageRow:
    """A message in the end."""

    id: str
    conversation_id: str
    role: str
    content: str
    thinking: str | None
    job_id: str | None
    finish_reason: str | None


@dataclass(frozen=True, kw_only=True)
class StreamEntry:
    """An entry of a job's stream, as Redis holds it in the end."""

    session_id: str
    id: str
    event: str
    data: dict[str, Any]


Record = (
    Asked
    | Accepted
    | Refused
    | Connected
    | Received
    | Left
    | Sent
    | CancelAnswered
    | Fault
    | ProviderCall
    | JobRow
    | AttemptRow
    | MessageRow
    | StreamEntry
)

_TYPES: dict[str, type[Record]] = {
    kind.__name__: kind
    for kind in (
        *(Asked, Accepted, Refused, Connected, Received, Left, Sent, CancelAnswered, Fault),
        *(ProviderCall, JobRow, AttemptRow, MessageRow, StreamEntry),
    )
}

R = TypeVar("R")


@dataclass
class History:
    """The records of a run, in the order in which they were made."""

    records: list[Record] = field(default_factory=list)

    def add(self, record: Record) -> None:
        """Record something."""
        self.records.append(record)

    def fault(self, what: str) -> float:
        """Record a fault; returns its time."""
        at = time.time()
        self.add(Fault(at=at, what=what))
        return at

    def of(self, kind: type[R]) -> Iterator[R]:
        """The records of one kind."""
        return (record for record in self.records if isinstance(record, kind))

    def lines(self) -> Iterable[str]:
        """The records as lines of JSON."""
        for record in self.records:
            yield json.dumps({"record": type(record).__name__, **asdict(record)}, ensure_ascii=False)

    def save(self, path: Path) -> None:
        """Write the records to a file."""
        with path.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in self.lines())

    @classmethod
    def parse(cls, lines: Iterable[str]) -> History:
        """The records in lines of JSON."""
        records = []
        for line in lines:
            fields = json.loads(line)
            records.append(_TYPES[fields.pop("record")](**fields))
        return cls(records)
