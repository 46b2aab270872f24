"""How long a job waited is the time that a worker was missing, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.unit.jobs.rows import make_job

READY = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("row", "waited"),
    [
        ({"attempt": 1, "started_at": READY + timedelta(seconds=2.5)}, 2.5),
        # Nobody has taken it up.
        ({"attempt": 0, "started_at": None}, None),
        # What lies between is the attempt before.
        ({"attempt": 2, "started_at": READY + timedelta(seconds=2.5)}, None),
        # It was cancelled behind the active turn of its conversation.
        ({"attempt": 1, "started_at": READY, "ready_at": None}, None),
        ({"attempt": 1, "started_at": READY - timedelta(seconds=1)}, 0.0),
    ],
)
def test_the_first_attempt_ends_the_wait(row: dict[str, Any], waited: float | None) -> None:
    assert make_job(**{"ready_at": READY, **row}).waited == waited
