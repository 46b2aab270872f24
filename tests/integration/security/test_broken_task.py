"""What Celery tells of a task, on its log and to whoever watches its events, holds nothing of a job."""

from __future__ import annotations

import logging

import pytest
from sqlalchemy.exc import DataError

import workers.app
from shared.jobs.states import JobKind
from shared.jobs.wakeups import task_name
from shared.logging import JsonFormatter


class Refusing:
    """A runtime whose database refuses a statement, as it happened when a count did not fit."""

    def run_next(self, kind: JobKind) -> str:
        raise DataError(
            "INSERT INTO messages VALUES (:content)", {"content": "the-secret-value"}, Exception()
        )


@pytest.mark.parametrize("kind", workers.app.KINDS)
def test_a_task_that_breaks_ends_without_the_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: JobKind
) -> None:
    monkeypatch.setattr(workers.app, "_runtime", Refusing())
    with caplog.at_level(logging.ERROR):
        assert workers.app.app.tasks[task_name(kind)].apply().result == "broken"
    (record,) = caplog.records
    line = JsonFormatter("worker").format(record)
    assert "DataError" in line
    assert "INSERT" not in line
    assert "the-secret-value" not in line
