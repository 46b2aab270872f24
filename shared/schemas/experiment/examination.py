"""Everything that is wrong with a configuration: whatever of it is valid is examined, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from types import FunctionType, MethodType
from typing import Any

import pydantic
from pydantic_core import ErrorDetails

from shared.schemas.experiment.config import ExperimentConfig
from shared.schemas.experiment.fault import EACH_BY_ITSELF, Fault, UnsettledError
from shared.schemas.experiment.terms import IncomeClass

_Path = tuple[int | str, ...]

#: How often what is wrong is taken out. Some faults show only then, as the number of agents.
_PASSES = 5

_AGENT: Mapping[int | str, Any] = {"name": "stand-in", "personality": "stand-in"}

#: What stands in for a key that must be given and is missing or not valid; no check gets to see it.
_STAND_INS: Mapping[int | str, Any] = {
    **_AGENT,
    "agents": [_AGENT, _AGENT],
    **{place.value: 0.2 for place in IncomeClass},
}


def examined(values: Mapping[str, Any]) -> tuple[list[ErrorDetails], list[Fault]]:
    """What is wrong with the keys of a configuration, each for itself, as the validation library tells it;
    and what does not go together among those that are valid.
    """
    rest = deepcopy(dict(values))
    errors: list[ErrorDetails] = []
    unsettled: set[_Path] = set()
    for _ in range(_PASSES):
        try:
            config = ExperimentConfig.model_validate(rest, context=dict(EACH_BY_ITSELF))
        except pydantic.ValidationError as error:
            found = [one for one in error.errors(include_url=False) if not _within(one["loc"], unsettled)]
            errors += found
            taken = [path for one in found if (path := _take_out(rest, one)) is not None]
            if not taken:
                break
            unsettled.update(taken)
        else:
            return errors, list(_inconsistencies(config, (), unsettled))
    return errors, []


def _take_out(values: dict[str, Any], error: ErrorDetails) -> _Path | None:
    """Make ``values`` valid where an error is; the path of the key that was taken out, or ``None``."""
    path: _Path = error["loc"]
    owner: Any = None
    inner: Any = values
    depth = 0
    for part in path:
        # Of the lists only that of the agents has parts that are valid without the others.
        known = isinstance(inner, dict) and part in inner
        if not known and not (isinstance(inner, list) and depth == 1 and path[0] == "agents"):
            break
        owner, inner = inner, inner[part]
        depth += 1
    if error["type"] == "missing" and depth == len(path) - 1 and isinstance(inner, dict):
        inner[str(path[-1])] = deepcopy(_STAND_INS.get(path[-1]))
        return path
    if owner is None:
        return None
    last = path[depth - 1]
    if isinstance(owner, list):
        owner[int(last)] = dict(_AGENT)
    elif last in _STAND_INS and error["type"] != "extra_forbidden":
        owner[last] = deepcopy(_STAND_INS[last])
    else:
        del owner[last]
    return path[:depth]


def _within(path: _Path, unsettled: set[_Path]) -> bool:
    return any(path[:length] in unsettled for length in range(1, len(path) + 1))


def _inconsistencies(section: pydantic.BaseModel, path: _Path, unsettled: set[_Path]) -> Iterator[Fault]:
    """What does not go together in a section, and in those within it."""
    for name in type(section).model_fields:
        inner = getattr(section, name)
        if isinstance(inner, pydantic.BaseModel):
            yield from _inconsistencies(inner, (*path, name), unsettled)
    if not hasattr(section, "inconsistencies"):
        return
    place = ".".join(map(str, path))
    try:
        for fault in _Settled(section, path, unsettled).inconsistencies():
            yield Fault(".".join(part for part in (place, fault.field) if part), fault.message)
    except UnsettledError:
        return


class _Settled:
    """A section of which only the valid keys can be read.

    Raises:
        UnsettledError: another one is.
    """

    def __init__(self, section: pydantic.BaseModel, path: _Path, unsettled: set[_Path]) -> None:
        self._section = section
        self._path = path
        self._unsettled = unsettled

    def __getattr__(self, name: str) -> Any:
        made = getattr(type(self._section), name, None)
        if isinstance(made, property) and made.fget is not None:
            return made.fget(self)
        if isinstance(made, FunctionType):
            return MethodType(made, self)
        path = (*self._path, name)
        if _within(path, self._unsettled):
            raise UnsettledError(path)
        value = getattr(self._section, name)
        if isinstance(value, pydantic.BaseModel):
            return _Settled(value, path, self._unsettled)
        if isinstance(value, list):
            return [
                _Settled(one, (*path, index), self._unsettled) if isinstance(one, pydantic.BaseModel) else one
                for index, one in enumerate(value)
            ]
        return value
