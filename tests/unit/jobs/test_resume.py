"""Every event once, and the text since the last ``restart`` is the stored one, whatever happens to Redis, to
workers and to the client on the way.

The machine lives a job's true history: attempts, take-overs, cancels, failures and retries by hand, over a
Redis that loses its tail or everything and is filled again by whoever runs the job. Clients read at any time,
are cut off anywhere, and resume with the last id that they have.
"""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shared.errors import InvalidEventIdError
from shared.jobs.event_log import Entry
from shared.jobs.job import Job
from shared.jobs.messages import Reply
from shared.jobs.resume import Source, check_cursor, is_final, plan, rebuild
from shared.jobs.states import JobKind, Phase, PostResponse, Status
from shared.jobs.transcript import Transcript
from shared.schemas.events import FINAL_EVENTS, REBUILT, EventId, EventType
from tests.unit.jobs.rows import make_job


def entry(attempt: int, seq: int, type_: EventType, **data: Any) -> Entry:
    return Entry(EventId(attempt, seq), type_, orjson.dumps(data))


class Client:
    """Somebody who reads, is cut off, and resumes."""

    def __init__(self) -> None:
        self.got: list[Entry] = []
        self.text = ""
        #: Whether ``done`` came after the last ``restart``.
        self.done = False

    @property
    def cursor(self) -> EventId | None:
        return self.got[-1].id if self.got else None

    def take(self, entries: list[Entry]) -> None:
        for one in entries:
            before = self.cursor
            if before is not None:
                assert one.id > before, f"{one.id} after {before}"
                follows = one.id == before.successor
                behind_a_fence = one.id.attempt > before.attempt and one.id.seq <= 1
                # Who has had ``done`` lacks nothing but the end.
                rebuilt_end = self.done and one.id.seq >= REBUILT and one.type in FINAL_EVENTS
                assert follows or behind_a_fence or rebuilt_end or one.type == EventType.RESTART, (
                    f"{one.id} after {before}"
                )
            self.done = (self.done and one.type != EventType.RESTART) or one.type == EventType.DONE
            if one.type == EventType.RESTART:
                self.text = ""
            elif one.type == EventType.CHUNK:
                self.text += one.payload()["content"]
            self.got.append(one)


class History(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.job: Job = make_job()
        self.stream: list[Entry] = []
        #: What the newest attempt has said, in its worker's memory; ``None``: nobody runs the job.
        self.said: list[tuple[EventType, dict[str, Any]]] | None = None
        self.stored = ""
        self.words = 0
        self.clients = [Client() for _ in range(3)]

    def change(self, **fields: Any) -> None:
        self.job = make_job(
            **{name: getattr(self.job, name) for name in Job.__slots__} | fields  # type: ignore[attr-defined]
        )

    # The worker ---------------------------------------------------------------------------------------

    def say(self, event: EventType, **data: Any) -> None:
        assert self.said is not None
        self.said.append((event, data))

    @property
    def generating(self) -> bool:
        return self.said is not None and self.job.phase is Phase.HELD and not self.job.answered

    @precondition(lambda self: self.job.phase is Phase.READY)
    @rule(told=st.booleans())
    def claim(self, told: bool) -> None:
        self.change(
            phase=Phase.HELD,
            attempt=self.job.attempt + 1,
            status=self.job.status if self.job.answered else Status.RUNNING,
        )
        self.said = []
        self.say(EventType.SESSION_START if self.job.attempt == 1 else EventType.FENCE)
        if told:
            self.trip()
        if self.job.answered:
            # Read behind its own fence; when Redis was away, nothing was read.
            if not (told and Transcript.of(self.stream).done):
                self.say(EventType.RESTART)
                self.say(EventType.CHUNK, content=self.stored)
                self.say(EventType.DONE)
        elif self.job.attempt > 1:
            self.say(EventType.RESTART)

    @precondition(lambda self: self.generating)
    @rule(chunks=st.integers(1, 4))
    def generate(self, chunks: int) -> None:
        for _ in range(chunks):
            self.words += 1
            self.say(EventType.CHUNK, content=f"{self.words} ")

    @precondition(lambda self: self.said is not None)
    @rule()
    def trip(self) -> None:
        """Everything that Redis lacks of this attempt."""
        assert self.said is not None
        last = self.stream[-1].id if self.stream else EventId(0, 0)
        if last.attempt > self.job.attempt:
            return
        start = last.seq + 1 if last.attempt == self.job.attempt else 0
        if start == 0 and self.job.ended:
            # Postgres no longer says that the attempt holds the job.
            return
        for seq in range(start, len(self.said)):
            event, data = self.said[seq]
            self.stream.append(entry(self.job.attempt, seq, event, **data))

    @precondition(lambda self: self.generating)
    @rule(end=st.sampled_from([Status.SUCCEEDED, Status.FAILED, Status.CANCELLED]), stages=st.booleans())
    def finish(self, end: Status, stages: bool) -> None:
        assert self.said is not None
        start = 2 if self.job.attempt > 1 else 1
        self.stored = "".join(
            data["content"] for event, data in self.said[start:] if event is EventType.CHUNK
        )
        going_on = stages and end is Status.SUCCEEDED
        self.change(
            status=end,
            phase=Phase.HELD if going_on else Phase.ENDED,
            post_response=PostResponse.RUNNING if going_on else None,
            final_seq=None if going_on else len(self.said) + int(end is Status.SUCCEEDED),
        )
        if end is Status.SUCCEEDED:
            self.say(EventType.DONE)
            if not going_on:
                self.say(EventType.POST_RESPONSE_COMPLETE)
        else:
            self.say(EventType.ERROR if end is Status.FAILED else EventType.CANCELLED)

    @precondition(lambda self: self.said is not None and self.job.phase is Phase.HELD and self.job.answered)
    @rule()
    def finish_stages(self) -> None:
        assert self.said is not None
        self.change(phase=Phase.ENDED, final_seq=len(self.said))
        self.say(EventType.POST_RESPONSE_COMPLETE)

    @precondition(lambda self: self.said is not None)
    @rule()
    def die(self) -> None:
        self.said = None
        if self.job.phase is Phase.HELD:
            self.change(phase=Phase.READY, status=self.job.status if self.job.answered else Status.QUEUED)

    # Others ---------------------------------------------------------------------------------------------

    @precondition(lambda self: self.job.phase is Phase.READY)
    @rule(end=st.sampled_from([Status.CANCELLED, Status.FAILED]), begun=st.booleans(), told=st.booleans())
    def close(self, end: Status, begun: bool, told: bool) -> None:
        """Somebody ends the job without running it; Redis may be away at each step."""
        attempt = self.job.attempt + 1
        if begun:
            opening = EventType.SESSION_START if attempt == 1 else EventType.FENCE
            self.stream.append(entry(attempt, 0, opening))
        earlier = Transcript.of(self.stream) if begun else Transcript()
        events: list[tuple[EventType, dict[str, Any]]] = []
        if self.job.answered:
            end = Status.SUCCEEDED
            if not earlier.done:
                events += [
                    (EventType.RESTART, {}),
                    (EventType.CHUNK, {"content": self.stored}),
                    (EventType.DONE, {}),
                ]
            events.append((EventType.POST_RESPONSE_COMPLETE, {}))
        else:
            self.stored = earlier.reply({}).content
            events.append((EventType.ERROR if end is Status.FAILED else EventType.CANCELLED, {}))
        self.change(phase=Phase.ENDED, status=end, attempt=attempt, final_seq=len(events))
        if begun and told:
            for seq, (event, data) in enumerate(events, start=1):
                self.stream.append(entry(attempt, seq, event, **data))

    @precondition(lambda self: self.job.ended and self.job.status in (Status.FAILED, Status.CANCELLED))
    @rule()
    def retry(self) -> None:
        self.said = None
        self.stored = ""
        self.change(phase=Phase.READY, status=Status.QUEUED, final_seq=None)

    @rule(kept=st.integers(0, 3))
    def lose_the_tail(self, kept: int) -> None:
        self.stream = self.stream[: len(self.stream) * kept // 4]

    # Clients --------------------------------------------------------------------------------------------

    @rule(number=st.integers(0, 2), cut=st.integers(1, 12), stale=st.booleans())
    def read(self, number: int, cut: int, stale: bool) -> None:
        self.resume(self.clients[number], cut)

    def resume(self, client: Client, cut: int | None = None) -> bool:
        """One connection, cut off after ``cut`` events; whether there was anything more to get."""
        if client.cursor is not None and not check_cursor(client.cursor, self.job):
            assert is_final(client.got[-1], self.job.kind)
            return False
        decided = plan(client.cursor, self.job, self.stream)
        entries = list(decided.entries)
        if decided.source is Source.POSTGRES:
            assert self.job.ended
            past_done = client.cursor is not None and any(
                one.type == EventType.DONE and one.id <= client.cursor for one in self.stream
            )
            entries = rebuild(client.cursor, self.job, Reply(content=self.stored), past_done=past_done)
        shown = [one for one in entries if one.shown]
        for one in shown if not self.job.ended else shown[:-1]:
            assert not is_final(one, self.job.kind), "nothing follows a final event"
        client.take(shown[:cut])
        return bool(shown)

    @invariant()
    def who_resumes_to_the_end_has_the_stored_text(self) -> None:
        if not self.job.ended:
            return
        for client in self.clients:
            copy = Client()
            copy.got, copy.text, copy.done = list(client.got), client.text, client.done
            self.resume(copy)
            assert is_final(copy.got[-1], self.job.kind), [str(one.id) for one in copy.got]
            assert copy.text == self.stored
            # And then there is nothing more.
            assert not self.resume(copy)


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize("seq", [REBUILT + 4, REBUILT * 900])
def test_an_event_behind_the_end_of_an_ended_job_is_refused(seq: int) -> None:
    ended = make_job(phase=Phase.ENDED, status=Status.SUCCEEDED, attempt=2, final_seq=9)
    assert check_cursor(EventId(2, REBUILT + 3), ended) is False
    assert check_cursor(EventId(2, 9), ended) is False
    with pytest.raises(InvalidEventIdError):
        check_cursor(EventId(2, seq), ended)


@pytest.mark.parametrize("cursor", [EventId(3, 0), EventId(3, REBUILT)])
def test_an_event_of_an_attempt_that_was_not_made_is_refused(cursor: EventId) -> None:
    with pytest.raises(InvalidEventIdError, match="attempt 2"):
        check_cursor(cursor, make_job(attempt=2))


ENDED = {"phase": Phase.ENDED, "status": Status.CANCELLED, "attempt": 2, "final_seq": 1}


def test_nothing_follows_the_final_event() -> None:
    job = make_job(**ENDED)
    assert not check_cursor(EventId(2, 1), job)
    assert not check_cursor(rebuild(None, job, Reply())[-1].id, job)
    assert check_cursor(EventId(2, 0), job)
    assert check_cursor(EventId(1, 1), job)


@pytest.mark.parametrize("kind", list(JobKind))
@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
def test_what_is_rebuilt_is_restart_text_and_end(kind: JobKind, status: Status) -> None:
    job = make_job(**{**ENDED, "kind": kind, "status": status})
    entries = rebuild(None, job, Reply(content="Because."))
    assert [one.id for one in entries] == [EventId(2, REBUILT + n) for n in range(len(entries))]
    assert [one.type for one in entries[:2]] == ["restart", "chunk"]
    assert [is_final(one, kind) for one in entries] == [False] * (len(entries) - 1) + [True]
    for number, one in enumerate(entries[:-1]):
        assert rebuild(one.id, job, Reply(content="Because.")) == entries[number + 1 :]


def test_a_final_event_newer_than_the_row_that_was_read_is_told() -> None:
    """The row is read before the stream: the attempt that ended the job may have been taken in between."""
    stream = [
        entry(1, 0, EventType.SESSION_START),
        entry(2, 0, EventType.FENCE),
        entry(2, 1, EventType.CANCELLED),
    ]
    decided = plan(EventId(1, 0), make_job(phase=Phase.HELD, status=Status.RUNNING, attempt=1), stream)
    assert [one.type for one in decided.entries] == ["fence", "cancelled"]


@pytest.mark.parametrize("ended", [False, True])
def test_the_end_of_an_attempt_before_a_retry_is_not_the_end(ended: bool) -> None:
    stream = [
        entry(1, 0, EventType.SESSION_START),
        entry(1, 1, EventType.ERROR),
        entry(2, 0, EventType.FENCE),
        entry(2, 1, EventType.CANCELLED),
    ]
    job = make_job(**ENDED) if ended else make_job(attempt=2, phase=Phase.HELD, status=Status.RUNNING)
    types = [one.type for one in plan(None, job, stream).entries]
    assert types == ["session_start", "fence", "cancelled"]


def test_who_follows_a_retried_job_that_waits_is_not_told_its_old_end() -> None:
    stream = [entry(1, 0, EventType.SESSION_START), entry(1, 1, EventType.ERROR)]
    job = make_job(attempt=1, phase=Phase.READY, status=Status.QUEUED)
    decided = plan(None, job, stream)
    assert [one.type for one in decided.entries] == ["session_start"]
    assert decided.cursor == EventId(1, 1), "what is live goes on behind it"
    # The next attempt may be over before the stream is read.
    stream += [entry(2, 0, EventType.FENCE), entry(2, 1, EventType.CANCELLED)]
    assert [one.type for one in plan(None, job, stream).entries] == ["session_start", "fence", "cancelled"]


def test_a_client_ahead_of_a_redis_that_is_being_refilled_waits() -> None:
    job = make_job(attempt=1, phase=Phase.HELD, status=Status.RUNNING)
    stream = [entry(1, 0, EventType.SESSION_START)]
    for there in ([], stream):
        decided = plan(EventId(1, 5), job, there)
        assert (decided.source, decided.cursor) == (Source.WAIT, EventId(1, 5))
