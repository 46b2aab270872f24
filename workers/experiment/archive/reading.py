"""The file of an exported run, read by lines: whatever is in it, memory is bounded and nothing is run."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import orjson
from pydantic import BaseModel, ValidationError

from shared.schemas.experiment.archive import FORMAT, FORMAT_VERSION, ArchiveEnd, ArchiveHeader, StepLine
from shared.schemas.experiment.asked import Asked
from shared.schemas.experiment.config import ExperimentConfig
from workers.experiment.steps.journal import StepKind, StepRecord
from workers.experiment.steps.log import Recorded, recorded_step

#: Bytes of the file as it lies there unpacked, and of one of its lines.
MAX_FILE = 512 << 20
MAX_LINE = 64 << 20
#: Commas and opening brackets of the whole file, those in its texts too: what is made of a value is many
#: times its size.
MAX_MARKS = 16_000_000
#: Far more than the longest run has.
MAX_STEPS = 200_000
#: How deep lists and objects may lie in one another.
MAX_DEPTH = 60

_GZIP = b"\x1f\x8b"
_DAMAGED = "the file was cut off or damaged: it cannot be unpacked"
_Read = TypeVar("_Read", bound=BaseModel)


class ArchiveError(Exception):
    """The file is none that can be read.

    Attributes:
        line: from 1; ``None`` when it is about the whole file.
        field: in the line; ``None`` when it is about the whole line.
    """

    def __init__(self, message: str, line: int | None = None, field: str | None = None) -> None:
        where = "" if line is None else f"line {line}: "
        super().__init__(where + ("" if field is None else f"{field}: ") + message)
        self.message = message
        self.line = line
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedRun:
    """What a file holds.

    Attributes:
        header: the first line.
        config: what its ``config`` says.
        earlier: of a fork, what was in force before.
        recorded: the steps, without their prompts.
        strayed: paths of the steps whose prompts are not those of their hash.
        result: as the run made it.
        sha256: what the file says the result's digest is.
    """

    header: ArchiveHeader
    config: ExperimentConfig
    earlier: tuple[tuple[int, ExperimentConfig], ...]
    recorded: Recorded
    strayed: tuple[str, ...]
    result: dict[str, Any]
    sha256: str

    # What a run is known by; see :class:`~workers.experiment.ending.KnownRun`.
    # ruff: noqa: D102

    @property
    def experiment_id(self) -> UUID:
        return UUID(self.header.experiment_id)

    @property
    def name(self) -> str:
        return self.header.name

    @property
    def document(self) -> Mapping[str, Any]:
        return self.header.config

    @property
    def config_file(self) -> str | None:
        return self.header.config_file

    @property
    def config_hash(self) -> str:
        return self.header.config_hash

    @property
    def seed(self) -> int:
        return self.header.seed

    @property
    def replay(self) -> bool:
        return self.header.kind == "replay"

    @property
    def source_id(self) -> UUID | None:
        return None if self.header.source_id is None else UUID(self.header.source_id)

    @property
    def fork_round(self) -> int | None:
        return self.header.fork_round

    @property
    def earlier_documents(self) -> tuple[tuple[int, Mapping[str, Any]], ...]:
        return tuple((entry["from_round"], entry["config"]) for entry in self.header.source_configs or ())

    @property
    def routes(self) -> Mapping[str | None, Mapping[str, Any]]:
        models = self.header.models
        return {
            **{name: route.model_dump() for name, route in models.agents.items()},
            None: models.utility.model_dump(),
        }

    @property
    def asked(self) -> Asked:
        return Asked.stored(self.header.models.model_dump())

    @property
    def started_at(self) -> datetime | None:
        return self.header.started_at


def read_archive(path: Path) -> ArchivedRun:
    """The run in a file, which may be compressed with gzip.

    Raises:
        ArchiveError: it is no such file, or was cut off.
        OSError: it cannot be read.
    """
    steps: dict[str, StepRecord] = {}
    times: dict[str, tuple[datetime | None, datetime | None]] = {}
    strayed: list[str] = []
    with closing(_objects(path)) as objects:
        header, config, earlier = _header(next(objects, None))
        for number, told in objects:
            if "result" in told:
                end = _checked(ArchiveEnd, told, number)
                break
            one = _checked(StepLine, told, number)
            step = _step(one, number)
            key = one.path
            if key in steps:
                raise ArchiveError("the step is there twice", number, "path")
            if len(steps) == MAX_STEPS:
                raise ArchiveError(f"there are more than {MAX_STEPS} steps", number)
            steps[key] = step
            times[key] = (one.started_at, one.answered_at)
            if not _are_of_hash(one):
                strayed.append(key)
        else:
            raise ArchiveError("the file was cut off: its last line, with the result, is missing")
        if (more := next(objects, None)) is not None:
            raise ArchiveError("nothing may follow the result", more[0])
    if end.steps != len(steps):
        raise ArchiveError(f"{end.steps} steps were written, and {len(steps)} are there", number, "steps")
    return ArchivedRun(
        header=header,
        config=config,
        earlier=earlier,
        recorded=Recorded(steps, times),
        strayed=tuple(strayed),
        result=end.result,
        sha256=end.sha256,
    )


def prompts_of(path: Path, step: str) -> tuple[str, str] | None:
    """The prompts that a file has for a step: ``(system, user)``, ``None`` when it has none.

    Raises:
        ArchiveError: see :func:`read_archive`.
        OSError: likewise.
    """
    with closing(_objects(path)) as objects:
        for _, told in objects:
            if told.get("path") == step:
                system, user = told.get("system_prompt"), told.get("user_prompt")
                return (system, user) if isinstance(system, str) and isinstance(user, str) else None
    return None


def _header(
    first: tuple[int, dict[str, Any]] | None,
) -> tuple[ArchiveHeader, ExperimentConfig, tuple[tuple[int, ExperimentConfig], ...]]:
    if first is None:
        raise ArchiveError("the file is empty")
    number, told = first
    if told.get("format") != FORMAT:
        raise ArchiveError(
            f"is not {FORMAT!r}: this is no run that parley experiment export wrote", number, "format"
        )
    version = told.get("version")
    if version != FORMAT_VERSION or isinstance(version, bool):
        raise ArchiveError(
            f"is {str(version)[:40]}, and this Parley reads {FORMAT_VERSION}: use the Parley that wrote the "
            f"file ({str(told.get('parley'))[:40]})",
            number,
            "version",
        )
    header = _checked(ArchiveHeader, told, number)
    try:
        UUID(header.experiment_id)
        UUID(header.source_id or header.experiment_id)
    except ValueError:
        raise ArchiveError("is no UUID", number, "experiment_id or source_id") from None
    earlier = []
    for at, entry in enumerate(header.source_configs or ()):
        field = f"source_configs.{at}"
        begins = entry.get("from_round")
        if not isinstance(begins, int) or isinstance(begins, bool) or begins < 0:
            raise ArchiveError("must be a round", number, f"{field}.from_round")
        earlier.append((begins, _config(entry.get("config"), number, f"{field}.config")))
    return header, _config(header.config, number, "config"), tuple(earlier)


def _config(told: Any, number: int, field: str) -> ExperimentConfig:
    try:
        return ExperimentConfig.model_validate(told)
    except ValidationError as error:
        raise _fault(error, number, field) from None


def _step(one: StepLine, number: int) -> StepRecord:
    step = recorded_step(one)
    if step.key.path != one.path:
        raise ArchiveError("is not what phase, round, agent, purpose and tried make", number, "path")
    if step.kind is not StepKind.CALL and step.answer is not None:
        raise ArchiveError("only a call has one", number, "outcome")
    return step


def _are_of_hash(one: StepLine) -> bool:
    if one.system_prompt is None or one.user_prompt is None:
        return True
    whole = f"{one.system_prompt}\0{one.user_prompt}".encode()
    return hashlib.sha256(whole).hexdigest() == one.prompt_hash


def _checked(form: type[_Read], told: dict[str, Any], number: int) -> _Read:
    try:
        return form.model_validate(told)
    except ValidationError as error:
        raise _fault(error, number) from None


def _fault(error: ValidationError, number: int, within: str | None = None) -> ArchiveError:
    """The first fault, without what stood there."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field = ".".join(str(part)[:80] for part in ((within,) if within else ()) + first["loc"])
    return ArchiveError(first["msg"][:300], number, field or None)


def _objects(path: Path) -> Generator[tuple[int, dict[str, Any]], None, None]:
    """The objects of the lines with their numbers."""
    with _opened(path) as file:
        number = read = marks = 0
        while True:
            try:
                text = file.readline(MAX_LINE + 1)
            except (EOFError, zlib.error, gzip.BadGzipFile):
                raise ArchiveError(_DAMAGED, number + 1) from None
            if not text:
                return
            number += 1
            read += len(text)
            if len(text) > MAX_LINE:
                raise ArchiveError(f"is longer than {MAX_LINE >> 20} MiB", number)
            if read > MAX_FILE:
                raise ArchiveError(f"the file has more than {MAX_FILE >> 20} MiB", number)
            if not text.endswith(b"\n"):
                raise ArchiveError("the file was cut off in this line", number)
            marks += text.count(b",") + text.count(b"[") + text.count(b"{")
            if marks > MAX_MARKS:
                raise ArchiveError(f"the file has more than {MAX_MARKS} values", number)
            try:
                told = orjson.loads(text)
            except orjson.JSONDecodeError as error:
                raise ArchiveError(f"is no JSON: {error.msg} (column {error.colno})", number) from None
            if not isinstance(told, dict):
                raise ArchiveError("is no JSON object", number)
            if _is_deep(told):
                raise ArchiveError(f"lists and objects lie in one another more than {MAX_DEPTH} deep", number)
            yield number, told


def _is_deep(told: dict[str, Any]) -> bool:
    level: list[Any] = [told]
    for _ in range(MAX_DEPTH):
        inner = (item.values() if isinstance(item, dict) else item for item in level)
        level = [item for items in inner for item in items if isinstance(item, (dict, list))]
        if not level:
            return False
    return True


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader | gzip.GzipFile]:
    with path.open("rb") as file:
        if file.peek(2)[:2] == _GZIP:
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield unpacked
        else:
            yield file
