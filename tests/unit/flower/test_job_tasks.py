"""What monitors are told of a job, and that they are told nothing while none is there."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.jobs.job import Job
from shared.jobs.states import JobKind, Phase, PostResponse, Status
from workers.jobs.task_events import JobTasks

ACCEPTED = datetime(2026, 1, 1, tzinfo=UTC)
BEGAN = ACCEPTED + timedelta(seconds=3)
ENDED = ACCEPTED + timedelta(seconds=10)

RUNNING = Job(
    id=UUID(int=1),
    kind=JobKind.CHAT,
    owner_id=UUID(int=2),
    conversation_id=UUID(int=3),
    phase=Phase.HELD,
    status=Status.RUNNING,
    post_response=None,
    attempt=1,
    failures=0,
    last_failure=None,
    cancel_requested_at=None,
    on_disconnect="continue",
    payload={"message": "the content"},
    secret=b"the key",
    outcome=None,
    error=None,
    user_message_id=None,
    message_id=None,
    final_seq=None,
    created_at=ACCEPTED,
    started_at=BEGAN,
    finished_at=None,
    ended_at=None,
)
DETAILS = {"input_tokens": 7, "output_tokens": 5, "finish_reason": "stop", "model": "m", "provider": "p"}
SUCCEEDED = replace(
    RUNNING,
    phase=Phase.ENDED,
    status=Status.SUCCEEDED,
    post_response=PostResponse.DONE,
    outcome={"metadata": DETAILS, "content": "the answer"},
    ended_at=ENDED,
)
FAILED = replace(
    SUCCEEDED,
    status=Status.FAILED,
    post_response=None,
    error={"code": "provider_error", "message": "what the provider said"},
)
CANCELLED = replace(SUCCEEDED, status=Status.CANCELLED, post_response=None)


class Heard:
    """A monitor that may be there."""

    def __init__(self, listening: bool = True) -> None:
        self.listening = listening
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.waited = 0

    def heed(self) -> None:
        self.listening = True

    def send(self, event: str, fields: dict[str, Any]) -> None:
        self.events.append((event, fields))

    async def sent(self) -> None:
        self.waited += 1

    @property
    def names(self) -> list[str]:
        return [event for event, _ in self.events]


def test_an_attempt_begins_as_received_and_started() -> None:
    heard = Heard()
    JobTasks(heard).begun(RUNNING, BEGAN.timestamp())
    assert heard.names == ["task-received", "task-started"]
    for _, fields in heard.events:
        assert fields["uuid"] == str(RUNNING.id)
        assert fields["name"] == "parley.chat"
        assert fields["received"] == ACCEPTED.timestamp()
        assert json.loads(fields["kwargs"]) == {
            "job": str(RUNNING.id),
            "kind": "chat",
            "owner": str(RUNNING.owner_id),
            "attempt": 1,
        }
    assert heard.events[1][1]["started"] == BEGAN.timestamp()


@pytest.mark.parametrize(
    ("failure", "why"),
    [({"code": "worker_lost", "message": "which"}, "worker_lost"), (None, "another attempt")],
)
def test_a_later_attempt_leads_out_of_whatever_state_was_shown(failure: Any, why: str) -> None:
    heard = Heard()
    JobTasks(heard).begun(replace(RUNNING, attempt=3, last_failure=failure), BEGAN.timestamp())
    assert heard.names == ["task-retried", "task-received", "task-started"]
    assert heard.events[0][1]["exception"] == why
    assert heard.events[0][1]["retries"] == 2


@pytest.mark.parametrize(
    ("job", "event", "told"),
    [
        (SUCCEEDED, "task-succeeded", {}),
        (FAILED, "task-failed", {"exception": "provider_error", "traceback": None}),
        (CANCELLED, "task-revoked", {"terminated": True, "expired": False}),
    ],
)
def test_each_end_is_told_with_how_long_the_attempt_took(job: Job, event: str, told: dict[str, Any]) -> None:
    heard = Heard()
    JobTasks(heard).ended(job, BEGAN.timestamp())
    ((name, fields),) = heard.events
    assert name == event
    assert fields["runtime"] == pytest.approx(7.0)
    assert fields["started"] == BEGAN.timestamp()
    assert fields.items() >= told.items()


def test_a_result_is_an_outcome_and_counts() -> None:
    heard = Heard()
    JobTasks(heard).ended(SUCCEEDED, BEGAN.timestamp())
    assert json.loads(heard.events[0][1]["result"]) == {
        "outcome": "succeeded",
        "input_tokens": 7,
        "output_tokens": 5,
        "finish_reason": "stop",
        "post_response": "done",
    }


@pytest.mark.parametrize("job", [RUNNING, SUCCEEDED, FAILED, CANCELLED])
def test_no_content_and_no_key_is_told(job: Job) -> None:
    heard = Heard()
    tasks = JobTasks(heard)
    tasks.begun(replace(job, attempt=2), 0.0)
    tasks.ended(job, 0.0)
    tasks.report(job)
    everything = json.dumps(heard.events)
    for content in ("the content", "the key", "the answer", "what the provider said"):
        assert content not in everything


def test_a_job_that_never_ran_is_reported_with_its_end() -> None:
    heard = Heard()
    JobTasks(heard).report(replace(CANCELLED, started_at=None))
    assert heard.names == ["task-received", "task-revoked"]
    assert heard.events[1][1]["terminated"] is False
    assert "runtime" not in heard.events[1][1]


def test_a_job_that_goes_on_is_not_reported() -> None:
    heard = Heard()
    JobTasks(heard).report(RUNNING)
    assert heard.events == []


async def test_giving_up_is_told_before_anybody_else_begins() -> None:
    heard = Heard()
    await JobTasks(heard).given_up(RUNNING, "handed over")
    assert heard.names == ["task-retried"]
    assert heard.events[0][1]["exception"] == "handed over"
    assert heard.waited == 1


@pytest.mark.parametrize("events", [Heard(listening=False), None])
async def test_nothing_is_told_while_nobody_listens(events: Heard | None) -> None:
    tasks = JobTasks(events)
    tasks.begun(replace(RUNNING, attempt=2), 0.0)
    tasks.ended(SUCCEEDED, 0.0)
    tasks.report(CANCELLED)
    await tasks.given_up(RUNNING, "handed over")
    if events is not None:
        assert (events.events, events.waited) == ([], 0)
