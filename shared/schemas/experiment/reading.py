"""Reading a configuration, and naming what is wrong with it where it was written."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pydantic
from pydantic_core import ErrorDetails

from shared.errors import ValidationError
from shared.schemas.experiment.aliases import ALIASES, MEMORY_LIMIT, PLACES, Given
from shared.schemas.experiment.config import ExperimentConfig
from shared.schemas.experiment.examination import examined
from shared.schemas.experiment.fault import Fault
from shared.schemas.experiment.keys import names_in
from shared.schemas.text import storable_json
from shared.schemas.yaml_document import read_yaml

#: Faults that one answer names.
MAX_FAULTS = 100

#: How much of a wrong value a message repeats.
_SHOWN = 80  # characters


class ConfigError(ValidationError):
    """The configuration is not valid; ``errors`` has one ``{field, message}`` for each fault, by its path."""

    title = "The configuration is not valid"

    def __init__(self, faults: Sequence[Fault]) -> None:
        first = faults[0]
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(
            f"{first.field}: {first.message}{more}",
            errors=[{"field": fault.field, "message": fault.message} for fault in faults[:MAX_FAULTS]],
        )


def read_config(document: Mapping[str, Any] | str | bytes) -> ExperimentConfig:
    """The configuration that ``document`` is: a mapping, or the text of a YAML (or JSON) file.

    Documented names are read as the keys that they stand for (:mod:`~shared.schemas.experiment.aliases`).

    Raises:
        YAMLError: the text is not YAML; the error names line and column.
        ConfigError: keys are unknown or missing, values impossible or contradictory.
    """
    if isinstance(document, str):
        document = document.encode("utf-8", "surrogatepass")
    read = read_yaml(document) if isinstance(document, bytes) else document
    if not isinstance(read, Mapping):
        raise ConfigError([Fault("body", "must be a mapping of keys: language, agents, phase2_rounds, …")])
    try:
        storable_json(dict(read))
    except ValueError as error:
        raise ConfigError([Fault("body", str(error))]) from error
    given = Given(read)
    try:
        config = ExperimentConfig.model_validate(given.values)
    except pydantic.ValidationError as error:
        raise ConfigError([*given.faults, *_faults(given)]) from error
    if given.faults:
        raise ConfigError(given.faults)
    return config


def _faults(given: Given) -> Iterator[Fault]:
    """Every fault once: of the keys for themselves, then of those that do not go together."""
    errors, inconsistent = examined(given.values)
    found = [*(_fault_of(error) for error in errors), *inconsistent]
    yield from dict.fromkeys(Fault(given.path(one.field) or "body", one.message) for one in found)


def _fault_of(error: ErrorDetails) -> Fault:
    path = ".".join(str(part) for part in error["loc"])
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, ValueError):
        return Fault(path, f"{cause}{_shown(error['input'])}")
    if error["type"] == "extra_forbidden":
        return Fault(path, _unknown(path))
    if error["type"] == "missing":
        return Fault(path, "must be given")
    return Fault(path, f"{_lowered(error['msg'])}{_shown(error['input'])}")


def _unknown(path: str) -> str:
    section, _, name = path.rpartition(".")
    names = set(names_in(section))
    if section in PLACES:
        names |= {*ALIASES, MEMORY_LIMIT}
    close = difflib.get_close_matches(name, sorted(names), n=1)
    return "is not a key here" + (f"; did you mean {close[0]}?" if close else "")


def _lowered(message: str) -> str:
    """A message of the validation library as one that follows a path: "should be …"."""
    return message.removeprefix("Input ").removeprefix("Value error, ")


def _shown(value: Any) -> str:
    """The wrong value, when it is short enough to help."""
    if isinstance(value, str | int | float) and len(str(value)) <= _SHOWN:
        return f" (it is {value!r})"
    return ""
