"""An exported run: one file of JSON lines, from which the run can be repeated where Parley does not run.

The first line is an :class:`ArchiveHeader`, the last an :class:`ArchiveEnd` with the result; between them a
:class:`StepLine` stands for every step, in the order of the paths. A file without its last line was cut off.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Protocol

import orjson
from pydantic import AwareDatetime, ConfigDict, Field

from shared.schemas.base import Wire
from shared.schemas.experiment.transcript import StepRow

FORMAT = "parley-experiment-run"
#: Of the lines below; raised when one changes its meaning.
FORMAT_VERSION = 1

_Count = Annotated[int, Field(ge=0, le=2**53)]
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Short = Annotated[str, Field(max_length=2000)]
#: Far more than a model writes or is asked.
_Long = Annotated[str, Field(max_length=8_000_000)]


class _Line(Wire):
    """A line; a field that this version does not know is an error, as a newer version raises the version."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), strict=True)


class RoleRoute(_Line):
    """Which model answered for a role, and over which connection."""

    model: _Short
    connection_id: _Short | None = None
    connection_name: _Short | None = None
    provider: _Short | None = None


class ArchivedModels(_Line):
    """The models of a run, and what was asked for with them."""

    agents: dict[_Short, RoleRoute]
    utility: RoleRoute
    connection: _Short | None = None
    seed_source: Literal["config", "request", "derived", "drawn"] | None = None
    design_hash: _Sha256 | None = None


class ArchiveHeader(_Line):
    """What was run.

    ``config``, ``source_configs`` and ``models`` as they are stored: the configuration with every default, of
    a fork what was in force before, and who played which role over which connection. ``config_source`` is the
    YAML as it was sent. ``result_sha256`` is the digest of the result.
    """

    format: Literal["parley-experiment-run"]
    version: Literal[1]
    parley: Annotated[str, Field(max_length=100)]
    experiment_id: _Short
    name: _Short
    kind: Literal["run", "replay", "fork"]
    status: Annotated[str, Field(max_length=50)]
    source_id: _Short | None
    config: dict[str, Any]
    config_source: _Long | None
    config_file: _Short | None
    config_hash: _Sha256
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    models: ArchivedModels
    fork_round: Annotated[int, Field(ge=1, le=1000)] | None
    changes: dict[str, Any] | None
    source_configs: Annotated[list[dict[str, Any]], Field(max_length=1000)] | None
    created_at: Annotated[AwareDatetime, Field(strict=False)]
    started_at: Annotated[AwareDatetime, Field(strict=False)] | None
    result_sha256: _Sha256


class StepLine(_Line):
    """A step with everything that is recorded of it."""

    path: _Short
    phase: Annotated[int, Field(ge=0, le=2)]
    round: Annotated[int, Field(ge=0, le=10_000)] | None
    agent: _Short | None
    purpose: _Short
    tried: Annotated[int, Field(ge=0, le=10_000)] | None
    kind: Literal["call", "draw", "note"]
    role: _Short | None
    model: _Short | None
    system_prompt: _Long | None
    user_prompt: _Long | None
    prompt_hash: _Sha256 | None
    schema_name: _Short | None
    outcome: Literal["answered", "timed_out", "refused"] | None
    answer: _Long | None
    value: Any
    unreadable: _Short | None
    notes: Annotated[list[_Short], Field(max_length=100)] | None
    sends: _Count
    input_tokens: _Count | None
    output_tokens: _Count | None
    seconds: Annotated[float, Field(ge=0, strict=False)] | None
    attempt: _Count
    started_at: Annotated[AwareDatetime, Field(strict=False)] | None
    answered_at: Annotated[AwareDatetime, Field(strict=False)] | None


class ArchiveEnd(_Line):
    """How many steps stand before it, and the result with its digest."""

    steps: _Count
    sha256: _Sha256
    result: dict[str, Any]


class StoredStep(StepRow, Protocol):
    """A row of the step log."""

    # The names of the columns say what they are.
    # ruff: noqa: D102

    @property
    def prompt_hash(self) -> str | None: ...
    @property
    def schema_name(self) -> str | None: ...
    @property
    def notes(self) -> list[Any] | None: ...
    @property
    def attempt(self) -> int: ...


def step_line(step: StoredStep) -> bytes:
    """The line of a step, with its line end; its fields are those of :class:`StepLine`."""
    told = {name: getattr(step, name) for name in StepLine.model_fields}
    return _line({**told, "started_at": _instant(step.started_at), "answered_at": _instant(step.answered_at)})


def header_line(fields: Mapping[str, Any]) -> bytes:
    """The first line: the fields of :class:`ArchiveHeader` without ``format`` and ``version``."""
    told = {
        name: _instant(value)
        if isinstance(value, datetime)
        else str(value)
        if isinstance(value, uuid.UUID)
        else value
        for name, value in fields.items()
    }
    return _line({"format": FORMAT, "version": FORMAT_VERSION, **told})


def end_line(steps: int, sha256: str, result: str) -> bytes:
    """The last line; ``result`` is JSON and is not read for it."""
    # Between the parts of JSON a line end is a blank, and within them it is not there.
    in_a_line = result.replace("\r", " ").replace("\n", " ").strip()
    return f'{{"steps":{steps},"sha256":"{sha256}","result":{in_a_line}}}\n'.encode()


def _line(told: Mapping[str, Any]) -> bytes:
    return orjson.dumps(told) + b"\n"


def _instant(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
