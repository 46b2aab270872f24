"""An exported run repeated from its own steps: whether the same comes of it, and if not, where it parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import orjson
from pydantic import Field, TypeAdapter, ValidationError

from shared.errors import ParleyError
from shared.schemas.base import Wire
from shared.schemas.connection import Prices
from workers.experiment.archive.reading import ArchivedRun, ArchiveError, prompts_of, read_archive
from workers.experiment.archive.repeating import Difference, Kind, RepeatingJournal, same, shown
from workers.experiment.ending import finished_run
from workers.experiment.errors import ReplayDivergedError
from workers.experiment.experiment import Experiment
from workers.experiment.result.build import build
from workers.experiment.result.canonical import canonical, digest
from workers.experiment.result.run import RunStatus
from workers.experiment.result.versions import difference, versions
from workers.experiment.seeds import SeedManager
from workers.experiment.steps.log import ORIGINS, log_digest

_Text = Annotated[str, Field(max_length=2000)]


class _Origin(Wire):
    """What a run noted of the model of a role."""

    role: _Text | None
    requested: _Text
    connection: _Text | None
    provider: _Text | None
    digest: _Text | None
    prices: Prices | None


_ORIGINS = TypeAdapter(Annotated[list[_Origin], Field(max_length=1000)])


class UnfitValueError(Exception):
    """A recorded value has not the form that it has in a run."""


#: Differences of one kind that are told.
TOLD = 10
#: Characters that are shown on each side of where two questions part.
_AROUND = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of it.

    Attributes:
        run: what the file holds.
        computed: the digest of what came of the steps now; ``None`` when the run could not be gone through.
        steps_sha256: of the steps in the file.
        differences: what is not as the file has it, the first that the run came to first.
        unused: steps that the run did not come to although its result is the same: they belong to something
            that failed and was gone on without.
    """

    run: ArchivedRun
    computed: str | None
    steps_sha256: str
    differences: tuple[Difference, ...]
    unused: tuple[str, ...] = ()

    @property
    def made_with(self) -> dict[str, str]:
        """The versions that the result tells."""
        told = self.run.result.get("run")
        made = told.get("versions") if isinstance(told, dict) else None
        return {str(name): str(one) for name, one in made.items()} if isinstance(made, dict) else {}

    @property
    def verified_with(self) -> dict[str, str]:
        """The versions here."""
        return dict(versions())

    @property
    def other_version(self) -> str | None:
        """That the run was made with another version than it was repeated with; ``None``: it was not."""
        return difference(self.made_with, self.verified_with)

    @property
    def same(self) -> bool:
        """Whether everything is as the file has it."""
        return not self.differences


async def verify(path: Path) -> Verdict:
    """Repeat the run in a file.

    Raises:
        ArchiveError: it is no file of a run that came to its end.
        OSError: it cannot be read.
    """
    run = read_archive(path)
    status = run.result.get("run", {})
    status = status.get("status") if isinstance(status, Mapping) else None
    if status != RunStatus.COMPLETE:
        raise ArchiveError(
            f"the run is {shown(status, 40)}: only one that came to its end can be repeated",
            field="result.run.status",
        )
    journal = RepeatingJournal(SeedManager(run.seed), run.recorded.steps)
    result = await _repeated(run, journal)
    told = [*_explained(journal, path), *_not_of_the_file(run)]
    if result is not None:
        told += [
            Difference(Kind.RESULT, place, f"the file has {there}, and {here} comes of its steps")
            for place, there, here in islice(_apart(_stable(run.result), _stable(result)), TOLD)
        ]
    unused = journal.unused if result is not None else []
    if told:
        told += [
            Difference(Kind.UNUSED_STEP, step, "the file has this step, and the run never comes to it")
            for step in unused[:TOLD]
        ]
    return Verdict(
        run=run,
        computed=None if result is None else digest(result),
        steps_sha256=log_digest(run.recorded.steps.values()),
        differences=tuple(told),
        unused=() if told else tuple(unused),
    )


def _not_of_the_file(run: ArchivedRun) -> Iterator[Difference]:
    """What in a file does not go with the rest of it."""
    for step in run.strayed[:TOLD]:
        yield Difference(Kind.PROMPT_HASH, step, "the prompts in the file are not those of prompt_hash")
    its = digest(run.result)
    for where, said in (("last line", run.sha256), ("first line", run.header.result_sha256)):
        if said != its:
            yield Difference(
                Kind.DIGEST, None, f"the {where} tells the digest {said}, and that of the result is {its}"
            )


async def _repeated(run: ArchivedRun, journal: RepeatingJournal) -> dict[str, Any] | None:
    """The result that comes of the steps; ``None`` when they lead to none, which the journal tells of."""
    try:
        experiment = Experiment(run.config, journal, earlier=run.earlier, since=run.fork_round)
        experiment.origins = _origins(journal.note(ORIGINS, list))
        await experiment.run()
        result = build(finished_run(run, experiment, journal.standing, run.recorded, RunStatus.COMPLETE))
        # What is in it came from the file: it must have a form, too.
        canonical(result)
    except ReplayDivergedError:
        return None
    except ParleyError as error:
        journal.differences.append(Difference(Kind.VALUE, None, f"the run stops: {error.detail[:300]}"))
        return None
    # Whatever a recorded value that nobody drew or read brings about.
    except Exception as error:
        journal.differences.append(
            Difference(
                Kind.VALUE,
                None,
                f"the run cannot go on with what is recorded: {type(error).__name__}: {str(error)[:300]}",
            )
        )
        return None
    return result


def _origins(noted: Any) -> list[dict[str, Any]]:
    """What a run noted of its models, in that form.

    Raises:
        ReplayDivergedError: it has another one.
    """
    try:
        return [origin.model_dump(mode="json") for origin in _ORIGINS.validate_python(noted)]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part)[:80] for part in first["loc"])
        raise UnfitValueError(f"{ORIGINS.path}: value.{field}: {first['msg'][:300]}") from None


def _explained(journal: RepeatingJournal, path: Path) -> Iterator[Difference]:
    """The differences of the steps; of a question also where it parts from the recorded one."""
    for one in journal.differences[:TOLD]:
        asked = journal.asked.get(one.place or "")
        before = None if asked is None or one.place is None else prompts_of(path, one.place)
        if before is None or asked is None:
            yield one
            continue
        for name, then, now in zip(("system prompt", "question"), before, asked, strict=True):
            if then != now:
                at = next(
                    (at for at, (a, b) in enumerate(zip(then, now, strict=False)) if a != b),
                    min(len(then), len(now)),
                )
                around = slice(max(at - _AROUND, 0), at + _AROUND)
                yield Difference(
                    one.kind,
                    one.place,
                    f"{one.message}: the {name} parts at character {at + 1}, recorded {then[around]!r}, "
                    f"now {now[around]!r}",
                )
                break
        else:
            yield one


def _stable(result: Mapping[str, Any]) -> Any:
    return orjson.loads(canonical(result))


def _apart(there: Any, here: Any, place: str = "") -> Iterator[tuple[str, str, str]]:
    """Places in which two results differ, with what stands there."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted({*there, *here}):
            inner = f"{place}.{key}" if place else key
            if key not in here or key not in there:
                yield inner, _or_nothing(there, key), _or_nothing(here, key)
            else:
                yield from _apart(there[key], here[key], inner)
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        for at, (one, other) in enumerate(zip(there, here, strict=True)):
            yield from _apart(one, other, f"{place}.{at}")
    elif not same(there, here):
        yield place, shown(there), shown(here)


def _or_nothing(holder: Mapping[str, Any], key: str) -> str:
    return shown(holder[key]) if key in holder else "nothing"
