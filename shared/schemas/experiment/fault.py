"""A fault of a configuration that only several keys together make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationInfo

#: Context of a validation that looks at each key by itself: keys that do not go together are let pass.
EACH_BY_ITSELF: Mapping[str, Any] = {"each_by_itself": True}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and where: ``field`` is the path of a key, parts joined by dots (``agents.1.name``);
    empty for the whole section that was checked.
    """

    field: str
    message: str


class InconsistentError(ValueError):
    """Keys that are each well formed and do not go together.

    Attributes:
        faults: all of them, with paths from the section that was checked.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{fault.field}: {fault.message}" for fault in faults))


class UnsettledError(Exception):
    """A check needs a key that is not valid itself: it can say nothing."""


def refuse(faults: Iterable[Fault], info: ValidationInfo) -> None:
    """Nothing, when there are no faults or each key is looked at by itself.

    Raises:
        InconsistentError: there are.
    """
    if (info.context or {}).get("each_by_itself"):
        return
    if found := list(faults):
        raise InconsistentError(found)
