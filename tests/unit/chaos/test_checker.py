"""The checker accepts a correct history and names what is wrong with a corrupted one."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any, TypeVar

import pytest

from tests.chaos import checker
from tests.chaos.checker import judge
from tests.chaos.history import (
    Accepted,
    Asked,
    AttemptRow,
    CancelAnswered,
    Connected,
    Fault,
    History,
    JobRow,
    Left,
    MessageRow,
    ProviderCall,
    Received,
    Record,
    Refused,
    Sent,
    StreamEntry,
)

R = TypeVar("R")
Event = tuple[str, str, dict[str, Any]]


class Author:
    """Writes a history in which every promise was kept."""

    def __init__(self) -> None:
        self.history = History()
        self._clock = count(1_000)

    def now(self) -> float:
        return float(next(self._clock))

    def ask(self, turn: str, text: str = "", **fields: Any) -> None:
        job = f"job-{turn}"
        self.history.add(Asked(turn=turn, at=self.now(), key=f"key-{turn}", text=text, **fields))
        self.history.add(Accepted(turn=turn, at=self.now(), key=f"key-{turn}", session_id=job))

    def connect(self, follower: str, turn: str, cursor: str | None = None) -> None:
        self.history.add(
            Connected(follower=follower, session_id=f"job-{turn}", at=self.now(), gateway=0, cursor=cursor)
        )

    def receive(self, follower: str, turn: str, *events: Event) -> None:
        for event_id, event, data in events:
            self.history.add(
                Received(
                    follower=follower,
                    session_id=f"job-{turn}",
                    at=self.now(),
                    id=event_id or None,
                    event=event,
                    data=data,
                )
            )

    def attempts(self, turn: str, *outcomes: str) -> tuple[float, float]:
        """The attempts, one after the other; when the first started and the last ended."""
        began = self.now()
        started = began
        ended = began
        for number, outcome in enumerate(outcomes, 1):
            started, ended = self.now(), self.now()
            self.history.add(
                AttemptRow(
                    job_id=f"job-{turn}",
                    attempt=number,
                    worker=f"host:{number}",
                    started_at=started,
                    finished_at=ended,
                    outcome=outcome,
                )
            )
            self.history.add(ProviderCall(turn=turn, at=started, tokens=3, aborted=number < len(outcomes)))
        return began, ended

    def end(
        self,
        turn: str,
        status: str,
        *outcomes: str,
        content: str | None,
        thinking: str | None = None,
        conversation: str | None = None,
    ) -> None:
        _, ended = self.attempts(turn, *outcomes)
        reason = {"cancelled": "cancelled", "failed": "error"}.get(status, "stop")
        self.history.add(
            JobRow(
                id=f"job-{turn}",
                turn=turn,
                conversation_id=conversation or f"conversation-{turn}",
                phase="ended",
                status=status,
                attempt=len(outcomes),
                failures=len(outcomes) - 1,
                post_response="done" if status == "succeeded" else None,
                cancel_requested=status == "cancelled",
                user_message_id=f"question-{turn}",
                message_id=None if content is None else f"message-{turn}",
                error={"code": "provider_error"} if status == "failed" else None,
                finish_reason=reason,
                finished_at=ended,
                ended_at=ended,
            )
        )
        if content is not None:
            self.history.add(
                MessageRow(
                    id=f"message-{turn}",
                    conversation_id=conversation or f"conversation-{turn}",
                    role="assistant",
                    content=content,
                    thinking=thinking,
                    job_id=f"job-{turn}",
                    finish_reason=reason,
                )
            )

    def stream(self, turn: str, *events: Event) -> None:
        for event_id, event, data in events:
            self.history.add(StreamEntry(session_id=f"job-{turn}", id=event_id, event=event, data=data))


def start(attempt: int = 1) -> Event:
    return f"{attempt}-0", "session_start", {"attempt": attempt}


def chunk(event_id: str, content: str, thinking: str = "") -> Event:
    return event_id, "chunk", {"content": content, "thinking": thinking}


def done(event_id: str, turn: str) -> Event:
    return event_id, "done", {"message_id": f"message-{turn}"}


def complete(event_id: str) -> Event:
    return event_id, "post_response_complete", {"modules": []}


def cancelled(event_id: str, turn: str | None) -> Event:
    message = None if turn is None else f"message-{turn}"
    return event_id, "cancelled", {"message_id": message, "metadata": {"finish_reason": "cancelled"}}


def restart(event_id: str) -> Event:
    return event_id, "restart", {"attempt": int(event_id.partition("-")[0])}


def fence(attempt: int) -> Event:
    return f"{attempt}-0", "fence", {}


def correct() -> History:
    """A history with everything in it that may happen."""
    author = Author()

    # Streamed over two connections, with thinking.
    events = (start(), chunk("1-1", "", "hm "), chunk("1-2", "a "), chunk("1-3", "b"))
    author.ask("plain", "a b", thinking="hm ")
    author.connect("reader", "plain")
    author.receive("reader", "plain", ("", "queued", {"position": 0}), *events[:2])
    author.connect("reader", "plain", "1-1")
    author.receive("reader", "plain", *events[2:], done("1-4", "plain"), complete("1-5"))
    author.end("plain", "succeeded", "succeeded", content="a b", thinking="hm ")
    author.stream("plain", *events, done("1-4", "plain"), complete("1-5"))

    # Its worker was lost; its follower lived through it, another one came later.
    author.ask("lost", "c d")
    author.history.add(Fault(at=author.now(), what="SIGKILL worker-0"))
    again = (restart("2-1"), chunk("2-2", "c "), chunk("2-3", "d"), done("2-4", "lost"), complete("2-5"))
    author.connect("survivor", "lost")
    author.receive("survivor", "lost", start(), chunk("1-1", "c "), *again)
    author.connect("late", "lost")
    author.receive("late", "lost", start(), *again)
    author.end("lost", "succeeded", "lost", "succeeded", content="c d")
    author.stream("lost", start(), chunk("1-1", "c "), fence(2), *again)

    # Cancelled while nobody ran it any more: its text is kept, and the end has an attempt of its own.
    author.ask("closed", "e f g")
    author.connect("canceller", "closed")
    author.receive("canceller", "closed", start(), chunk("1-1", "e "), cancelled("2-1", "closed"))
    author.history.add(
        CancelAnswered(
            turn="closed", at=author.now(), session_id="job-closed", cancelled=True, status="cancelling"
        )
    )
    author.end("closed", "cancelled", "lost", "cancelled", content="e ")
    author.stream("closed", start(), chunk("1-1", "e "), fence(2), cancelled("2-1", "closed"))

    # Redis was emptied after `done`, and before everything; what is left is told from Postgres.
    author.ask("rebuilt", "h i")
    author.connect("patient", "rebuilt")
    author.receive("patient", "rebuilt", start(), chunk("1-1", "h i"), done("1-2", "rebuilt"))
    author.connect("patient", "rebuilt", "1-2")
    author.receive("patient", "rebuilt", complete("1-1000000003"))
    whole = (restart("1-1000000000"), chunk("1-1000000001", "h i"), done("1-1000000002", "rebuilt"))
    author.connect("newcomer", "rebuilt")
    author.receive("newcomer", "rebuilt", *whole, complete("1-1000000003"))
    author.end("rebuilt", "succeeded", "succeeded", content="h i")

    # Sent, refused at first, and joined with the same key.
    author.ask("sent", "j k")
    author.history.add(Refused(turn="sent", at=author.now(), status=503, code="unavailable"))
    author.history.add(Accepted(turn="sent", at=author.now(), key="key-sent", session_id="job-sent"))
    body = {"session_id": "job-sent", "content": "j k", "thinking": None, "message_id": "message-sent"}
    author.history.add(
        Sent(turn="sent", at=author.now(), body={**body, "metadata": {"finish_reason": "stop"}})
    )
    author.end("sent", "succeeded", "succeeded", content="j k")

    # Failed, with what there was; its reader had left for good.
    author.ask("failed", "l m")
    author.connect("leaver", "failed")
    author.history.add(Left(follower="leaver", at=author.now()))
    author.receive("leaver", "failed", start(), chunk("1-1", "l "))
    author.connect("witness", "failed")
    author.receive("witness", "failed", start(), chunk("1-1", "l "), ("1-2", "error", {"code": "x"}))
    author.end("failed", "failed", "failed", content="l ")

    # Two turns of one conversation, and a third that interrupted the second before any text.
    for turn, busy in (("first", "reject"), ("second", "enqueue"), ("third", "interrupt")):
        author.ask(turn, turn, on_busy=busy)
    author.end("first", "succeeded", "succeeded", content="first", conversation="shared")
    author.end("second", "cancelled", "cancelled", content=None, conversation="shared")
    author.connect("waiting", "second")
    author.receive("waiting", "second", start(), cancelled("1-1", None))
    author.end("third", "succeeded", "succeeded", content="third", conversation="shared")
    return author.history


# Corruptions ------------------------------------------------------------------------------------------------


def without(kind: type[R], wanted: Callable[[R], bool]) -> Callable[[History], History]:
    """The history without the first record of ``kind`` that is wanted."""

    def change(history: History) -> History:
        victim = next(record for record in history.of(kind) if wanted(record))
        return History([record for record in history.records if record is not victim])

    return change


def changed(kind: type[R], wanted: Callable[[R], bool], **fields: Any) -> Callable[[History], History]:
    """The history with the first record of ``kind`` that is wanted changed."""

    def change(history: History) -> History:
        victim = next(record for record in history.of(kind) if wanted(record))
        other: Any = replace(victim, **fields)  # type: ignore[type-var]
        return History([other if record is victim else record for record in history.records])

    return change


def repeated(kind: type[R], wanted: Callable[[R], bool], **fields: Any) -> Callable[[History], History]:
    """The history with the first record of ``kind`` that is wanted told again, with ``fields`` changed."""

    def change(history: History) -> History:
        records: list[Record] = []
        victim = next(record for record in history.of(kind) if wanted(record))
        for record in history.records:
            records.append(record)
            if record is victim:
                again: Any = replace(victim, **fields)
                records.append(again)
        return History(records)

    return change


def swapped(history: History) -> History:
    """Two events that a follower got, in the other order."""
    records = list(history.records)
    places = [
        place
        for place, record in enumerate(records)
        if isinstance(record, Received) and record.follower == "reader" and record.id in {"1-2", "1-3"}
    ]
    first, second = places
    records[first], records[second] = records[second], records[first]
    return History(records)


def event(follower: str, event_id: str) -> Callable[[Received], bool]:
    return lambda record: (record.follower, record.id) == (follower, event_id)


def job(turn: str) -> Callable[[JobRow], bool]:
    return lambda record: record.turn == turn


def message(turn: str) -> Callable[[MessageRow], bool]:
    return lambda record: record.id == f"message-{turn}"


def attempt(turn: str, number: int) -> Callable[[AttemptRow], bool]:
    return lambda record: (record.job_id, record.attempt) == (f"job-{turn}", number)


def of(turn: str) -> Callable[[Any], bool]:
    return lambda record: bool(record.turn == turn)


CORRUPTIONS: dict[str, tuple[str, Callable[[History], History]]] = {
    "an event is lost": ("events_missing", without(Received, event("reader", "1-2"))),
    "the first event is lost": ("events_missing", without(Received, event("reader", "1-0"))),
    "an event is told twice": ("event_doubled", repeated(Received, event("reader", "1-3"))),
    "two events change places": ("event_out_of_order", swapped),
    "restart is lost": ("events_missing", without(Received, event("survivor", "2-1"))),
    "the last event is lost": ("no_final_event", without(Received, event("late", "2-5"))),
    "the end is told twice": (
        "event_after_final",
        repeated(Received, event("late", "2-5"), id="2-6"),
    ),
    "done is told twice": ("done_doubled", repeated(Received, event("patient", "1-2"), id="1-3")),
    "a token is another one": (
        "text_differs",
        changed(Received, event("reader", "1-2"), data={"content": "x ", "thinking": ""}),
    ),
    "a thought is lost": (
        "thinking_differs",
        changed(Received, event("reader", "1-1"), data={"content": "", "thinking": ""}),
    ),
    "one id names two events": (
        "event_altered",
        changed(StreamEntry, lambda entry: entry.id == "2-2", data={"content": "z"}),
    ),
    "a stream has a hole": ("stream_hole", without(StreamEntry, lambda entry: entry.id == "2-3")),
    "an old attempt writes on": (
        "stream_hole",
        repeated(StreamEntry, lambda entry: entry.id == "2-2", id="1-2"),
    ),
    "a stream runs ahead of its row": (
        "stream_ahead",
        repeated(StreamEntry, lambda entry: entry.id == "2-5", id="3-0", event="fence"),
    ),
    "an event of another job is told": (
        "foreign_event",
        changed(Received, event("reader", "1-2"), session_id="job-lost"),
    ),
    "an event has no id": ("event_without_id", changed(Received, event("reader", "1-2"), id=None)),
    "a job is lost": ("job_lost", without(JobRow, job("plain"))),
    "a job never ends": ("job_not_ended", changed(JobRow, job("plain"), phase="held", status="running")),
    "a job ends in the middle": ("wrong_status", changed(JobRow, job("plain"), status="running")),
    "a job is made twice": ("job_doubled", repeated(JobRow, job("sent"), id="job-other")),
    "a key gives two jobs": (
        "key_gave_two_jobs",
        changed(Accepted, of("sent"), session_id="job-plain"),
    ),
    "a key gives somebody else's job": ("wrong_job", changed(Accepted, of("sent"), turn="plain")),
    "a job of nobody": ("job_of_nobody", without(Asked, of("failed"))),
    "an answer is refused for good": ("wrongly_refused", changed(Refused, of("sent"), status=500)),
    "an attempt is missing": ("attempts_not_consecutive", without(AttemptRow, attempt("lost", 1))),
    "an attempt never ends": (
        "attempt_not_ended",
        changed(AttemptRow, attempt("plain", 1), finished_at=None, outcome=None),
    ),
    "an attempt says something else than its job": (
        "wrong_outcome",
        changed(AttemptRow, attempt("plain", 1), outcome="failed"),
    ),
    "a success is followed by another attempt": (
        "wrong_outcome",
        changed(AttemptRow, attempt("lost", 1), outcome="succeeded"),
    ),
    "two attempts at once": ("attempts_overlap", changed(AttemptRow, attempt("lost", 2), started_at=0.0)),
    "two turns of a conversation at once": (
        "turns_overlap",
        changed(AttemptRow, attempt("third", 1), started_at=0.0),
    ),
    "a second message": ("message_doubled", repeated(MessageRow, message("plain"), id="message-other")),
    "a message is lost": ("message_missing", without(MessageRow, message("plain"))),
    "a message of no job": (
        "message_without_job",
        repeated(MessageRow, message("plain"), id="message-other", job_id="job-other"),
    ),
    "the stored answer is cut off": ("answer_differs", changed(MessageRow, message("sent"), content="j")),
    "the row names another message": ("wrong_message_id", changed(JobRow, job("plain"), message_id="other")),
    "done names another message": (
        "wrong_message_id",
        changed(Received, event("reader", "1-4"), data={"message_id": "other"}),
    ),
    "the final status is another": ("wrong_final_event", changed(JobRow, job("failed"), status="succeeded")),
    "done, and not succeeded": ("done_but_not_succeeded", changed(JobRow, job("plain"), status="failed")),
    "a stored answer is generated again": (
        "generated_again",
        repeated(ProviderCall, of("plain"), at=9_999.0),
    ),
    "one attempt asks the provider twice": (
        "too_many_calls",
        repeated(ProviderCall, of("plain")),
    ),
    "a cancel that was promised does not happen": (
        "cancel_inconsistent",
        changed(CancelAnswered, of("closed"), status="succeeded"),
    ),
    "a cancelled message does not say so": (
        "cancel_inconsistent",
        changed(MessageRow, message("closed"), finish_reason="stop"),
    ),
    "nobody cancelled it": ("cancelled_by_nobody", without(CancelAnswered, of("closed"))),
    "no mark cancelled it": (
        "cancelled_by_nobody",
        changed(JobRow, job("closed"), cancel_requested=False),
    ),
    "send answers another text": (
        "send_differs",
        changed(MessageRow, message("sent"), content="j k l"),
    ),
    "a client resumes from the wrong place": (
        "wrong_resume",
        changed(Connected, lambda record: record.cursor == "1-1", cursor="1-0"),
    ),
}


def test_a_correct_history_is_accepted() -> None:
    assert judge(correct()) == []


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corrupted_history_is_rejected_by_name(name: str) -> None:
    rule, corrupt = CORRUPTIONS[name]
    violations = judge(corrupt(correct()))
    assert rule in {violation.rule for violation in violations}, violations


def test_every_rule_has_rejected_something() -> None:
    rules = set(re.findall(r'Violation\(\s*"(\w+)"', inspect.getsource(checker)))
    assert rules == {rule for rule, _ in CORRUPTIONS.values()}


def test_a_history_survives_its_file() -> None:
    history = correct()
    assert History.parse(history.lines()).records == history.records
