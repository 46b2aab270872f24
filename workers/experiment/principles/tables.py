"""The five published tables: the sample, and one for each paid round of phase 1."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import MappingProxyType

import yaml

from workers.experiment.principles.distribution import DistributionSet

#: Explains the principles; what the dynamic mode scales.
SAMPLE = "sample"
#: The tables of the paid rounds 1 to 4, in their order.
ROUNDS = ("A", "B", "C", "D")

#: Where they are.
FILE = Path(__file__).with_name("tables.yaml")


@cache
def tables() -> Mapping[str, DistributionSet]:
    """All of them by name, each with its own probabilities."""
    document = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return MappingProxyType(
        {
            name: DistributionSet.of(
                name,
                tuple(tuple(incomes) for incomes in table["distributions"]),
                tuple(Decimal(probability) for probability in table["probabilities"]),
            )
            for name, table in document.items()
        }
    )


def table(name: str) -> DistributionSet:
    """The table with this name.

    Raises:
        ValueError: there is none.
    """
    try:
        return tables()[name]
    except KeyError:
        raise ValueError(f"there is no table {name!r}; the tables are {', '.join(tables())}") from None
