"""The simulation can fail: each of these faults, put into the product, is found within its budget."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

import gateway.streaming.follow
import shared.jobs.event_log
from shared.database import direct
from shared.jobs import accept, closing, resume, store, writer
from shared.jobs.event_log import Entry
from shared.jobs.job import Job
from shared.jobs.job_stream import JobStream
from shared.jobs.lease_watch import LeaseWatch
from shared.jobs.statements import script
from shared.jobs.states import Phase
from shared.jobs.store import FencedTransaction, JobStore, lock_conversation
from shared.jobs.transcript import Transcript
from shared.jobs.writer import EventWriter
from shared.schemas.events import EventId, EventType
from shared.settings import Settings
from tests.integration.jobs.simulation.truth import PromiseBroken, Truth
from tests.integration.jobs.simulation.world import simulate

pytestmark = pytest.mark.slow

#: Seconds within which a fault must be found, over as many runs as it takes.
BUDGET = 120.0

Patch = pytest.MonkeyPatch


def append_anywhere(patch: Patch) -> None:
    """The append script does not look at the predecessor."""

    def without_check(name: str) -> str:
        source = script(name)
        return source.replace("if not fits then", "if last_attempt > attempt then")

    patch.setattr(shared.jobs.event_log, "script", without_check)


def commit_for_others(patch: Patch) -> None:
    """A fenced transaction does not compare the attempt."""

    @asynccontextmanager
    async def fenced(self: JobStore, job: Job) -> AsyncIterator[FencedTransaction]:
        async with direct.begin(self.engine) as connection:
            await lock_conversation(connection, job.conversation_id)
            row = (await connection.execute(store._LOCK_JOB, {"job_id": job.id})).mappings().first()
            now = Job.from_row(row)
            if now.phase is not Phase.HELD:
                raise store.AttemptLostError(job.lease)
            yield FencedTransaction(connection, now)

    patch.setattr(JobStore, "fenced", fenced)


def condemn_at_first_sight(patch: Patch) -> None:
    """The reaper takes every lease for dead that did not change between two looks."""
    observe = LeaseWatch.observe

    def hasty(self: LeaseWatch, **look: Any) -> list[str]:
        observe(self, **look)
        return [member for member, seen in self._watched.items() if seen.since < look["sent"]]

    patch.setattr(LeaseWatch, "observe", hasty)


def never_refill(patch: Patch) -> None:
    """What Redis lost counts as written."""
    take_in = EventWriter._take_in

    def forgetful(self: EventWriter, stream: JobStream, sent: int, answer: Any) -> None:
        lost = answer is None or (isinstance(answer, EventId) and answer.attempt <= stream.attempt)
        if answer is not True and lost and stream.acked:
            stream.acknowledge(sent)
        else:
            take_in(self, stream, sent, answer)

    patch.setattr(writer.EventWriter, "_take_in", forgetful)


def resume_over_a_restart(patch: Patch) -> None:
    """A client that resumes behind a restart is not told of it."""

    def later(cursor: EventId | None, stream: Sequence[Entry]) -> list[Entry] | None:
        return [
            entry
            for entry in stream
            if entry.type != EventType.RESTART and (cursor is None or entry.id > cursor)
        ]

    patch.setattr(resume, "_later", later)


def tell_what_was_told(patch: Patch) -> None:
    """A replay begins with the event that the client has."""
    real = resume.plan

    def again(cursor: EventId | None, job: Job, stream: Sequence[Entry]) -> resume.Plan:
        decided = real(cursor, job, stream)
        had = [entry for entry in stream if entry.id == cursor]
        return resume.Plan(decided.source, [*had, *decided.entries], decided.cursor)

    patch.setattr(gateway.streaming.follow, "plan", again)


def forget_who_waits(patch: Patch) -> None:
    """Ending a turn activates nobody."""

    async def nobody(connection: Any, conversation_id: Any) -> None:
        return None

    patch.setattr(store, "activate_next", nobody)
    patch.setattr(closing, "activate_next", nobody)


def answer_again(patch: Patch) -> None:
    """A take-over does not look whether the answer is stored."""
    patch.setattr(Job, "answered", property(lambda self: False))


def ignore_the_mark(patch: Patch) -> None:
    """The commit does not look at the cancel mark."""
    patch.setattr(Job, "marked", property(lambda self: False))


def close_without_the_text(patch: Patch) -> None:
    """Who ends a job for a dead worker keeps nothing of what clients were told."""
    patch.setattr(Transcript, "of", classmethod(lambda cls, entries: cls()))


def key_of_every_request(patch: Patch) -> None:
    """A repeated request makes a job of its own."""

    async def never(*_: Any) -> None:
        return None

    patch.setattr(accept, "remember", never)


MUTANTS: list[Callable[[Patch], None]] = [
    append_anywhere,
    commit_for_others,
    condemn_at_first_sight,
    never_refill,
    resume_over_a_restart,
    tell_what_was_told,
    forget_who_waits,
    answer_again,
    ignore_the_mark,
    close_without_the_text,
    key_of_every_request,
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_the_simulation_finds(
    mutant: Callable[[Patch], None],
    monkeypatch: Patch,
    world_settings: Settings,
    truth: Truth,
) -> None:
    mutant(monkeypatch)
    began, seed = time.monotonic(), 0
    while time.monotonic() - began < BUDGET:
        try:
            simulate(seed, world_settings, truth)
        except PromiseBroken as broken:
            print(f"seed {seed}: {str(broken).splitlines()[0]}")
            return
        seed += 1
    pytest.fail(f"{seed} runs kept every promise with this fault in the product")
