"""Runs of one configuration, each begun when it is its turn."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import typer

from deploy.cli.api import Api, ApiError
from deploy.cli.experiment.patience import nobody_there, persistently

if TYPE_CHECKING:
    from deploy.cli.experiment.configuration import ConfigurationFile
    from deploy.cli.experiment.screens import FollowedRun

_SEEDS = 2**31
#: Answers that leave open whether the gateway got the request: none, or that of a proxy before it.
_UNKNOWN = (0, 502, 504)


@dataclass
class Series:
    """The runs of one command.

    Attributes:
        api: where they run.
        read: the configuration.
        repeat: how many the series has.
        name: of the runs; of several each gets its number.
        seed: of the first, when the command line gives it.
        connection: that answers for every role.
        skip: so many at its beginning are not begun here: another command did.
        again: the command line that this one is, without ``--skip``.
        runs: that this command has begun.
    """

    api: Api
    read: ConfigurationFile
    repeat: int
    name: str | None
    seed: int | None
    connection: str | None
    skip: int = 0
    again: Sequence[str] = ()
    runs: list[FollowedRun] = field(default_factory=list)
    #: The name of the run whose request was sent and not answered.
    unanswered: str | None = None

    @property
    def first_seed(self) -> int:
        """The seed of the first of several runs."""
        from shared.schemas.experiment.identity import derived_seed

        return derived_seed(self.read.config) if self.seed is None else self.seed

    @property
    def several(self) -> bool:
        """Whether the series has more than one run."""
        return self.repeat > 1

    @property
    def left(self) -> int:
        """Runs that are still to begin."""
        return self.repeat - self.skip - len(self.runs)

    def seed_of(self, number: int) -> int:
        """The seed of one of several runs, which are counted from 0."""
        return (self.first_seed + number) % _SEEDS

    def begin(self) -> FollowedRun | None:
        """Begin the next run; ``None`` when all have begun.

        The same request is sent again while the gateway is away, and makes one run. Where nothing has begun
        yet, a gateway that is not there is told at once.

        Raises:
            ApiError: it was refused, or the gateway stays away.
        """
        from deploy.cli.experiment.screens import FollowedRun

        if not self.left:
            return None
        number = self.skip + len(self.runs)
        seed, name, label = self.seed, self.name, ""
        if self.several:
            seed, name = self.seed_of(number), self._name_of(number)
            label = f"{number + 1} of {self.repeat} (seed {seed})"
        query = {
            "name": name,
            "seed": seed,
            "seed_source": self._seed_source if self.several else None,
            "connection": self.connection,
            "file": self.read.file,
        }
        asked = urlencode({key: value for key, value in query.items() if value is not None})
        path = "/api/experiments" + (f"?{asked}" if asked else "")
        headers = {"Content-Type": "application/yaml", "Idempotency-Key": str(uuid.uuid4())}
        self.unanswered = None

        def ask() -> Any:
            before, self.unanswered = self.unanswered, name or "the run"
            try:
                return self.api.call("POST", path, self.read.text, headers=headers)
            except ApiError as error:
                if nobody_there(error) or error.status not in _UNKNOWN:
                    self.unanswered = before
                raise

        accepted = persistently(ask, failed=self._failed)
        self.unanswered = None
        run = FollowedRun(accepted["experiment_id"], label, seed)
        self.runs.append(run)
        return run

    def rest(self) -> list[str]:
        """What is to be said of the runs that were not begun."""
        if not self.left:
            return []
        lines = [f"{self.left} of the runs were not begun."] if self.several else []
        if self.unanswered is not None:
            lines.append(
                f"Whether {self.unanswered} was begun all the same is not known, as the gateway did not "
                "answer; parley experiment list tells."
            )
        return lines

    def rest_arguments(self) -> list[str] | None:
        """The command line that begins the rest with the seeds and names of this series, if there is one."""
        if not self.left or not self.several:
            return None
        return [*self.again, "--skip", str(self.skip + len(self.runs))]

    @property
    def _seed_source(self) -> str | None:
        """Where the seeds of several runs are from, unless the command line gives the first."""
        if self.seed is not None:
            return None
        return "derived" if self.read.config.seed is None else "config"

    def _name_of(self, number: int) -> str:
        stem = self.name or (Path(self.read.file).stem if self.read.file else "experiment")
        return f"{stem[:180]} {number + 1}/{self.repeat}"

    def _failed(self, error: ApiError, failures: int) -> None:
        if not self.runs and nobody_there(error):
            raise error
        if failures == 1:
            typer.echo(f"parley: {error} Trying again for a minute.", err=True)
