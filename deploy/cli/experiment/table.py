"""``parley experiment table``: a set of distributions, and what each principle picks out of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.users import JsonOption
from shared.schemas.experiment.terms import Averages

if TYPE_CHECKING:
    from workers.experiment.principles.bands import Winners
    from workers.experiment.principles.distribution import DistributionSet


class TableName(StrEnum):
    """The published tables."""

    SAMPLE = "sample"
    A = "A"
    B = "B"
    C = "C"
    D = "D"


def show(
    name: Annotated[
        TableName,
        typer.Argument(
            help="The sample table, or that of a paid round: A to D.",
            case_sensitive=False,
            show_default=False,
        ),
    ],
    averages: Annotated[
        Averages,
        typer.Option(
            help="Averages by the probabilities of the classes, or plain means of the five incomes.",
            case_sensitive=False,
        ),
    ] = Averages.WEIGHTED,
    as_json: JsonOption = False,
) -> None:
    """Show a set of distributions, and which one wins under each principle, and from which amount on.

    Nothing needs to be running. With --json only the winners are printed.
    """
    from workers.experiment.principles.bands import winners
    from workers.experiment.principles.tables import table

    distributions = table(name.value)
    found = winners(distributions, averages)
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
        return
    typer.echo(f"Table {name.value}, yearly incomes in dollars; {averages.value} averages")
    typer.echo("\n".join(_rows(distributions, averages)))
    typer.echo()
    typer.echo("\n".join(_winners(found)))


def _rows(distributions: DistributionSet, averages: Averages) -> Iterator[str]:
    from workers.experiment.principles.distribution import CLASSES

    chances = distributions.probabilities or ()
    yield _row("distribution", [str(distribution.number) for distribution in distributions])
    for place, income_class in enumerate(CLASSES):
        chance = f" ({chances[place] * 100:f}".rstrip("0").rstrip(".") + " %)" if chances else ""
        yield _row(
            income_class.value.replace("_", " ") + chance,
            [f"{distribution.incomes[place]:,}" for distribution in distributions],
        )
    yield _row(
        "average",
        [_cents(distributions.average(distribution, averages)) for distribution in distributions],
    )
    yield _row("floor", [f"{floor:,}" for floor in distributions.floors])
    yield _row("range", [f"{size:,}" for size in distributions.ranges])


def _winners(found: Winners) -> Iterator[str]:
    yield f"Maximizing the floor: distribution {found.maximizing_floor}"
    yield f"Maximizing the average: distribution {found.maximizing_average}"
    yield "Maximizing the average with a floor constraint:"
    for band in found.floor_constraint:
        yield f"  up to {band.amount:>7,}: distribution {band.winner}"
    yield f"  above: none qualifies, distribution {found.floor_constraint_unsatisfied}"
    yield "Maximizing the average with a range constraint:"
    for band in found.range_constraint:
        yield f"  at least {band.amount:>7,}: distribution {band.winner}"
    yield f"  below: none qualifies, distribution {found.range_constraint_unsatisfied}"


def _cents(average: Fraction) -> str:
    return f"{(Decimal(average.numerator) / average.denominator).quantize(Decimal('0.01'), ROUND_HALF_UP):,}"


def _row(title: str, cells: Sequence[str]) -> str:
    return f"{title:<24}" + "".join(f"{cell:>12}" for cell in cells)
