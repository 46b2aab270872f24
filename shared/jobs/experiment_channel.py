"""Where followers of an experiment are told that there are new events."""

from __future__ import annotations

from uuid import UUID


def channel(namespace: str, experiment_id: UUID) -> str:
    """The pub/sub channel; a message is the number of the newest event, which Postgres holds."""
    return f"{namespace}:experiment:{experiment_id}"
