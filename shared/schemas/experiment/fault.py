"""A fault of a configuration that only several keys together make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and where: ``field`` is the path of a key, parts joined by dots (``agents.1.name``)."""

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


def refuse(faults: Sequence[Fault]) -> None:
    """Nothing, when there are no faults.

    Raises:
        InconsistentError: there are.
    """
    if faults:
        raise InconsistentError(faults)
