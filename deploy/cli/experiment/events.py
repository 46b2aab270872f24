"""The events of a run, each once, over as many connections as it takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from deploy.cli.api import Api, ApiError, ServerEvent
from deploy.cli.experiment.choosing import experiment_path
from deploy.cli.experiment.patience import passes, wait_after

#: A connection that held for so long was a good one, though it told nothing: a model may think for minutes.
_HELD = 10.0  # seconds


class RunEvents:
    """What a run tells, from its beginning or behind an event, until it has ended.

    Attributes:
        last_id: of the last event that was given out.
        experiment: the run as it was when it had ended; ``None`` before.
    """

    def __init__(self, api: Api, experiment_id: str, last_id: str | None = None) -> None:
        self._api = api
        self.experiment_id = experiment_id
        self.last_id = last_id
        self.experiment: dict[str, Any] | None = None

    def __iter__(self) -> Iterator[ServerEvent]:
        """Every event.

        Raises:
            ApiError: the experiment is not there (any more), or the gateway stays away.
        """
        failures = 0
        while self.experiment is None:
            began = time.monotonic()
            try:
                headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
                path = experiment_path(self.experiment_id, "events")
                for event in self._api.stream("GET", path, headers=headers):
                    failures = 0
                    self.last_id = event.id or self.last_id
                    yield event
                # A stream ends with its run, and with its gateway: the run itself tells which it was.
                now = self._api.get(experiment_path(self.experiment_id))
                if not now["active"]:
                    self.experiment = now
                    return
                lost = ApiError("The stream of events ended, and the run goes on.")
            except ApiError as error:
                if not passes(error):
                    raise
                lost = error
            failures = 0 if time.monotonic() - began > _HELD else failures + 1
            if not wait_after(failures):
                raise lost
