"""Judges a history: what was lost, doubled, altered, or told otherwise than it is stored.

:func:`judge` is pure: it looks at records alone. Each rule has a name; its violation says of what and why.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from tests.chaos.history import (
    Accepted,
    Asked,
    AttemptRow,
    CancelAnswered,
    Connected,
    History,
    JobRow,
    Left,
    MessageRow,
    ProviderCall,
    Received,
    Refused,
    Sent,
    StreamEntry,
)

#: Sequence numbers from here on are of events that were rebuilt from Postgres.
REBUILT = 10**9
#: How the last event of a job is called, by the status that the row has.
FINAL = {"succeeded": "post_response_complete", "cancelled": "cancelled", "failed": "error"}
#: Outcomes of attempts after which another one follows.
HANDED_ON = frozenset({"lost", "drained", "broken"})
#: An attempt calls its provider once, and repeats a call at most twice before its first token.
CALLS_PER_ATTEMPT = 3
#: Two clocks of one machine are this close, in seconds.
CLOCKS = 0.02


@dataclass(frozen=True)
class Violation:
    """A promise that was broken."""

    rule: str
    subject: str
    detail: str

    def __str__(self) -> str:
        return f"{self.rule} ({self.subject}): {self.detail}"


class _Id(NamedTuple):
    attempt: int
    seq: int

    @classmethod
    def parse(cls, text: str) -> _Id:
        attempt, seq = text.split("-")
        return cls(int(attempt), int(seq))


class _Text:
    """The text that a reader of events holds."""

    def __init__(self) -> None:
        self.content: list[str] = []
        self.thinking: list[str] = []
        self.done = 0

    def take(self, event: str, data: dict[str, object]) -> None:
        if event == "restart":
            self.__init__()  # type: ignore[misc]
        elif event == "chunk":
            self.content.append(str(data.get("content") or ""))
            self.thinking.append(str(data.get("thinking") or ""))
        elif event == "done":
            self.done += 1


def judge(history: History) -> list[Violation]:
    """Everything that is wrong with ``history``; empty when all promises were kept."""
    return list(_Judge(history).violations())


class _Judge:
    def __init__(self, history: History) -> None:
        self.history = history
        self.asked = {asked.turn: asked for asked in history.of(Asked)}
        self.jobs = {job.id: job for job in history.of(JobRow)}
        self.jobs_of: dict[str, list[JobRow]] = defaultdict(list)
        for job in self.jobs.values():
            self.jobs_of[job.turn].append(job)
        self.attempts: dict[str, list[AttemptRow]] = defaultdict(list)
        for attempt in history.of(AttemptRow):
            self.attempts[attempt.job_id].append(attempt)
        self.messages = {message.id: message for message in history.of(MessageRow)}
        self.answers: dict[str, list[MessageRow]] = defaultdict(list)
        for message in self.messages.values():
            if message.role == "assistant" and message.job_id is not None:
                self.answers[message.job_id].append(message)
        self.streams: dict[str, list[StreamEntry]] = defaultdict(list)
        for entry in history.of(StreamEntry):
            self.streams[entry.session_id].append(entry)
        self.received: dict[str, list[Received]] = defaultdict(list)
        for event in history.of(Received):
            self.received[event.follower].append(event)

    def violations(self) -> Iterator[Violation]:
        yield from self.acceptance()
        for job in self.jobs.values():
            yield from self.job(job)
            yield from self.attempts_of(job)
            yield from self.answer_of(job)
            yield from self.stream_of(job)
        yield from self.stray_messages()
        yield from self.provider_calls()
        yield from self.cancels()
        yield from self.sends()
        yield from self.one_active_turn()
        for follower, events in self.received.items():
            yield from self.follower(follower, events)
        yield from self.resumes()
        yield from self.same_for_all()

    # Jobs ---------------------------------------------------------------------------------------------
    def acceptance(self) -> Iterator[Violation]:
        """Accepted is committed; the same key is the same job, once."""
        by_key: dict[str, set[str]] = defaultdict(set)
        for accepted in self.history.of(Accepted):
            by_key[accepted.key].add(accepted.session_id)
            if accepted.session_id not in self.jobs:
                yield Violation("job_lost", accepted.session_id, "it was accepted and is not in Postgres")
            elif self.jobs[accepted.session_id].turn != accepted.turn:
                yield Violation(
                    "wrong_job", accepted.session_id, f"it is not the job of turn {accepted.turn}"
                )
        for key, ids in by_key.items():
            if len(ids) > 1:
                yield Violation("key_gave_two_jobs", key, ", ".join(sorted(ids)))
        for turn, jobs in self.jobs_of.items():
            if len(jobs) > 1:
                yield Violation("job_doubled", turn, ", ".join(job.id for job in jobs))
        for refused in self.history.of(Refused):
            if refused.status == 500 or 400 <= refused.status < 500:
                yield Violation("wrongly_refused", refused.turn, f"{refused.status} {refused.code}")

    def job(self, job: JobRow) -> Iterator[Violation]:
        """Every accepted job ends, and nobody but a client cancels one."""
        if job.phase != "ended":
            yield Violation("job_not_ended", job.id, f"it is {job.phase}, {job.status}")
        elif job.status not in FINAL:
            yield Violation("wrong_status", job.id, f"it has ended and is {job.status}")
        if job.status == "cancelled" and not job.cancel_requested:
            yield Violation("cancelled_by_nobody", job.id, "the row has no cancel mark")
        if job.turn not in self.asked:
            yield Violation("job_of_nobody", job.id, f"nobody asked for turn {job.turn}")

    def attempts_of(self, job: JobRow) -> Iterator[Violation]:
        """Attempts are consecutive; each has ended, the last as the job has, one after the other."""
        rows = sorted(self.attempts[job.id], key=lambda row: row.attempt)
        if [row.attempt for row in rows] != list(range(1, job.attempt + 1)):
            numbers = [row.attempt for row in rows]
            yield Violation("attempts_not_consecutive", job.id, f"{numbers}, and the row says {job.attempt}")
        for row in rows:
            last = row.attempt == job.attempt
            if row.finished_at is None or row.outcome is None:
                yield Violation("attempt_not_ended", job.id, f"attempt {row.attempt}")
            elif (row.outcome != job.status) if last else (row.outcome not in HANDED_ON):
                yield Violation(
                    "wrong_outcome", job.id, f"attempt {row.attempt} of {job.attempt}: {row.outcome}"
                )
        for earlier, later in pairwise(rows):
            if earlier.finished_at is not None and later.started_at < earlier.finished_at:
                yield Violation("attempts_overlap", job.id, f"{earlier.attempt} and {later.attempt}")

    def answer_of(self, job: JobRow) -> Iterator[Violation]:
        """One message a job, and all of what the provider said when the job succeeded."""
        answers = self.answers[job.id]
        if len(answers) > 1:
            yield Violation("message_doubled", job.id, ", ".join(answer.id for answer in answers))
        if answers and job.message_id not in {answer.id for answer in answers}:
            yield Violation("wrong_message_id", job.id, f"the row names {job.message_id}")
        if not answers and job.message_id is not None:
            yield Violation("message_missing", job.id, f"the row names {job.message_id}")
        if job.status != "succeeded":
            return
        if not answers:
            yield Violation("message_missing", job.id, "it succeeded")
            return
        asked = self.asked.get(job.turn)
        if asked is not None and (answers[0].content, answers[0].thinking or "") != (
            asked.text,
            asked.thinking,
        ):
            yield Violation("answer_differs", job.id, _difference(asked.text, answers[0].content))

    def stray_messages(self) -> Iterator[Violation]:
        """No message without its job."""
        for message in self.messages.values():
            if message.role == "assistant" and message.job_id not in self.jobs:
                yield Violation("message_without_job", message.id, f"job {message.job_id}")

    def stream_of(self, job: JobRow) -> Iterator[Violation]:
        """What Redis holds: no hole, the newest attempt last, and the stored text."""
        entries = self.streams[job.id]
        text = _Text()
        before: _Id | None = None
        for entry in entries:
            now = _Id.parse(entry.id)
            begins = now.seq == 0 and (before is None or now.attempt > before.attempt)
            if not begins and (before is None or now != _Id(before.attempt, before.seq + 1)):
                yield Violation("stream_hole", job.id, f"{entry.id} after {_spell(before)}")
            if now.attempt > job.attempt:
                yield Violation("stream_ahead", job.id, f"{entry.id}, and the row says {job.attempt}")
            before = now
            text.take(entry.event, entry.data)
        if entries and entries[0].id == "1-0" and entries[-1].event in FINAL.values():
            yield from self.text(f"stream of {job.id}", job, text)

    # Clients ------------------------------------------------------------------------------------------
    def follower(self, name: str, events: list[Received]) -> Iterator[Violation]:
        """Each event once and in order, no hole, one end, and the stored text."""
        job = self.jobs.get(events[0].session_id)
        if job is None:
            return
        text = _Text()
        before: _Id | None = None
        seen: set[_Id] = set()
        ended = False
        for event in events:
            if event.session_id != job.id:
                yield Violation("foreign_event", name, f"{event.id} is of {event.session_id}")
                continue
            if ended:
                yield Violation("event_after_final", name, f"{event.event} {event.id}")
            if event.id is None:
                if event.event != "queued":
                    yield Violation("event_without_id", name, event.event)
                continue
            now = _Id.parse(event.id)
            if now in seen:
                yield Violation("event_doubled", name, event.id)
            elif before is not None and now <= before:
                yield Violation("event_out_of_order", name, f"{event.id} after {_spell(before)}")
            elif not _follows(before, now, event.event, text.done > 0):
                yield Violation("events_missing", name, f"{event.event} {event.id} after {_spell(before)}")
            seen.add(now)
            before = now
            text.take(event.event, event.data)
            if event.event == "done":
                if text.done > 1:
                    yield Violation("done_doubled", name, event.id)
                if job.status != "succeeded":
                    yield Violation("done_but_not_succeeded", name, f"the row says {job.status}")
                if event.data.get("message_id") != job.message_id:
                    yield Violation("wrong_message_id", name, f"done names {event.data.get('message_id')}")
            if event.event in FINAL.values():
                ended = True
                yield from self.final(name, job, event)
        if ended:
            yield from self.text(name, job, text)
        elif name not in {left.follower for left in self.history.of(Left)}:
            yield Violation("no_final_event", name, f"the last one is {_spell(before)}; job {job.status}")

    def final(self, name: str, job: JobRow, event: Received) -> Iterator[Violation]:
        """The last event says what the row says."""
        if event.event != FINAL.get(job.status):
            yield Violation("wrong_final_event", name, f"{event.event}, and the row says {job.status}")
        if event.event == "cancelled":
            if event.data.get("message_id") != job.message_id:
                yield Violation("wrong_message_id", name, f"cancelled names {event.data.get('message_id')}")
            told = (event.data.get("metadata") or {}).get("finish_reason")
            if told != "cancelled":
                yield Violation("cancel_inconsistent", name, f"finish_reason is {told}")

    def text(self, name: str, job: JobRow, text: _Text) -> Iterator[Violation]:
        """The text since the last ``restart`` equals the stored message."""
        answers = self.answers[job.id]
        stored = (answers[0].content, answers[0].thinking or "") if answers else ("", "")
        if "".join(text.content) != stored[0]:
            yield Violation("text_differs", name, _difference(stored[0], "".join(text.content)))
        if "".join(text.thinking) != stored[1]:
            yield Violation("thinking_differs", name, _difference(stored[1], "".join(text.thinking)))

    def resumes(self) -> Iterator[Violation]:
        """Clients resumed where they were: what they say is theirs to get right, or nothing is proved."""
        last: dict[str, str | None] = defaultdict(lambda: None)
        for record in self.history.records:
            if isinstance(record, Received) and record.id is not None:
                last[record.follower] = record.id
            elif isinstance(record, Connected) and record.cursor != last[record.follower]:
                yield Violation(
                    "wrong_resume", record.follower, f"{record.cursor} after {last[record.follower]}"
                )

    def same_for_all(self) -> Iterator[Violation]:
        """An id names one event, whoever reads it and wherever."""
        told: dict[tuple[str, str], tuple[str, dict[str, object]]] = {}
        for record in self.history.records:
            if not isinstance(record, Received | StreamEntry) or record.id is None:
                continue
            known = told.setdefault((record.session_id, record.id), (record.event, record.data))
            if known != (record.event, record.data):
                yield Violation(
                    "event_altered", record.session_id, f"{record.id}: {known[0]}, {record.event}"
                )

    # The provider, cancels, sends -----------------------------------------------------------------------
    def provider_calls(self) -> Iterator[Violation]:
        """A stored answer is never generated again; no attempt generates twice."""
        calls: dict[str, list[ProviderCall]] = defaultdict(list)
        for call in self.history.of(ProviderCall):
            calls[call.turn].append(call)
        for turn, made in calls.items():
            for job in self.jobs_of[turn]:
                stored = job.finished_at
                if job.status == "succeeded" and stored is not None:
                    for call in made:
                        if call.at > stored + CLOCKS:
                            yield Violation("generated_again", job.id, f"{call.at - stored:.3f} s after")
                if len(made) > job.attempt * CALLS_PER_ATTEMPT:
                    yield Violation("too_many_calls", job.id, f"{len(made)} in {job.attempt} attempts")
                whole = [call for call in made if call.tokens and not call.aborted]
                if len(whole) > job.attempt:
                    yield Violation("too_many_calls", job.id, f"{len(whole)} whole in {job.attempt} attempts")

    def cancels(self) -> Iterator[Violation]:
        """What a cancel was answered is what the row says; nobody else's turn was cancelled."""
        wanted = set()
        for answer in self.history.of(CancelAnswered):
            wanted.add(answer.turn)
            job = self.jobs.get(answer.session_id)
            if job is None:
                yield Violation("job_lost", answer.session_id, "its cancel was answered")
                continue
            possible = {
                "cancelling": {"cancelled", "failed"},
                "cancelled": {"cancelled"},
                "succeeded": {"succeeded"},
                "failed": {"failed"},
                "queued": {"cancelled"},
                "running": set[str](),
            }[answer.status]
            if job.status not in possible:
                yield Violation(
                    "cancel_inconsistent", job.id, f"answered {answer.status}, and the row says {job.status}"
                )
        interrupted = {
            job.conversation_id
            for job in self.jobs.values()
            if (asked := self.asked.get(job.turn)) is not None and asked.on_busy == "interrupt"
        }
        for job in self.jobs.values():
            if job.status != "cancelled":
                continue
            if job.turn not in wanted and job.conversation_id not in interrupted:
                yield Violation("cancelled_by_nobody", job.id, "no client asked for it")
            if any(answer.finish_reason != "cancelled" for answer in self.answers[job.id]):
                yield Violation("cancel_inconsistent", job.id, "its message does not say so")

    def sends(self) -> Iterator[Violation]:
        """The answer to ``send`` is the stored one."""
        for sent in self.history.of(Sent):
            job = self.jobs.get(str(sent.body.get("session_id")))
            if job is None:
                yield Violation("job_lost", str(sent.body.get("session_id")), "its answer was sent")
                continue
            cancelled = sent.body["metadata"].get("finish_reason") == "cancelled"
            if job.status != ("cancelled" if cancelled else "succeeded"):
                yield Violation("send_differs", job.id, f"answered 200, and the row says {job.status}")
            answers = self.answers[job.id]
            stored = (answers[0].content, answers[0].thinking or "") if answers else ("", "")
            if (sent.body["content"], sent.body["thinking"] or "") != stored:
                yield Violation("send_differs", job.id, _difference(stored[0], sent.body["content"]))
            if sent.body["message_id"] != job.message_id:
                yield Violation("wrong_message_id", job.id, f"send names {sent.body['message_id']}")

    def one_active_turn(self) -> Iterator[Violation]:
        """At most one turn of a conversation is run at a time."""
        spans: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
        for job in self.jobs.values():
            rows = self.attempts[job.id]
            if job.conversation_id is None or not rows or job.ended_at is None:
                continue
            started = min(row.started_at for row in rows)
            spans[job.conversation_id].append((started, job.ended_at, job.id))
        for conversation, runs in spans.items():
            # A turn that was cancelled while it waited has an attempt of no length, within another's time.
            long = sorted(run for run in runs if not self._never_ran(run[2]))
            for earlier, later in pairwise(long):
                if later[0] < earlier[1]:
                    yield Violation("turns_overlap", conversation, f"{earlier[2]} and {later[2]}")

    def _never_ran(self, job_id: str) -> bool:
        return self.jobs[job_id].status == "cancelled" and len(self.attempts[job_id]) == 1


def _follows(before: _Id | None, now: _Id, event: str, past_done: bool) -> bool:
    """Whether nothing is missing between two events that a client got."""
    if event == "restart":
        return True
    if before is None:
        return now == _Id(1, 0) and event == "session_start"
    if now.attempt == before.attempt and now.seq == before.seq + 1:
        return True
    final = event in FINAL.values()
    if now.seq >= REBUILT:
        # The text was complete before; only the end is told anew.
        return final and past_done
    # Without `restart`, a later attempt tells the end only: its fence is not shown.
    return now.attempt > before.attempt and now.seq == 1 and final


def _spell(event_id: _Id | None) -> str:
    return "nothing" if event_id is None else f"{event_id.attempt}-{event_id.seq}"


def _difference(stored: str, told: str) -> str:
    at = next((i for i, (a, b) in enumerate(zip(stored, told, strict=False)) if a != b), None)
    at = min(len(stored), len(told)) if at is None else at
    places = f"{stored[at : at + 30]!r}, {told[at : at + 30]!r}"
    return f"{len(stored)} and {len(told)} characters; from {at}: {places}"
