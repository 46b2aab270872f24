"""What agents read of a set: its table, the chances, what each principle picks. All of it is computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Averages, Principle
from workers.experiment.languages.manager import LanguageManager
from workers.experiment.principles.bands import Winners, winners
from workers.experiment.principles.distribution import CLASSES, DistributionSet
from workers.experiment.records import Earning

_CENT = Decimal("0.01")


def descriptions(principles: Iterable[Principle], text: LanguageManager) -> str:
    """A line for each principle: its number, its name, and what it picks."""
    return "\n".join(
        text.text(
            "principles.described",
            number=principle.number,
            name=text.principle(principle),
            description=text.text(f"principles.description.{principle.value}"),
        )
        for principle in principles
    )


def table(distributions: DistributionSet, averages: Averages, text: LanguageManager) -> str:
    """A line for each distribution: the incomes of the classes, its average, floor and range."""
    between = text.text("principles.table.between")
    return "\n".join(
        text.text(
            "principles.table.row",
            number=distribution.number,
            incomes=between.join(
                text.text(
                    "principles.table.income",
                    income_class=text.income_class(income_class),
                    income=text.money(distribution.income(income_class)),
                )
                for income_class in CLASSES
            ),
            average=text.money(_dollars(distributions.average(distribution, averages))),
            floor=text.money(distribution.low),
            range=text.money(distribution.range),
        )
        for distribution in distributions
    )


def chances(distributions: DistributionSet, text: LanguageManager) -> str:
    """How likely each class is; for runs that disclose it."""
    if distributions.probabilities is None:
        return text.text("principles.chances.equal")
    return text.text(
        "principles.chances.given",
        chances=text.text("principles.table.between").join(
            text.text(
                "principles.chances.chance",
                income_class=text.income_class(income_class),
                percent=_percent(probability, text),
            )
            for income_class, probability in zip(CLASSES, distributions.probabilities, strict=True)
        ),
    )


def consequences(distributions: DistributionSet, averages: Averages, text: LanguageManager) -> str:
    """What each of the four principles picks out of the set, and for which amounts."""
    found = winners(distributions, averages)
    return "\n".join(_consequences(found, text))


def alternatives(earning: Earning, text: LanguageManager) -> str:
    """A line for each of the four principles: what the class of ``earning`` is paid under it."""
    return "\n".join(
        text.text(
            "results.alternative",
            principle=_applied(principle, earning.amounts, text),
            payoff=text.money(earning.counterfactuals[principle]),
        )
        for principle in FOUR_PRINCIPLES
    )


def _applied(principle: Principle, amounts: Mapping[Principle, int], text: LanguageManager) -> str:
    """A principle with the amount that it was applied with."""
    if principle not in amounts:
        return text.principle(principle)
    return text.text(
        "results.with_amount", principle=text.principle(principle), amount=text.money(amounts[principle])
    )


def _consequences(found: Winners, text: LanguageManager) -> Iterable[str]:
    def line(key: str, **values: object) -> str:
        return text.text(f"principles.consequence.{key}", **values)

    yield line("floor", winner=found.maximizing_floor)
    yield line("average", winner=found.maximizing_average)
    yield line("floor_constraint")
    below = 0
    for band in found.floor_constraint:
        if below == 0:
            yield line("amount_up_to", highest=text.money(band.amount), winner=band.winner)
        else:
            yield line(
                "amount_between_above",
                lowest=text.money(below),
                highest=text.money(band.amount),
                winner=band.winner,
            )
        below = band.amount
    yield line("floor_unmet", amount=text.money(below), winner=found.floor_constraint_unsatisfied)
    yield line("range_constraint")
    above: int | None = None
    for band in found.range_constraint:
        if above is None:
            yield line("amount_at_least", lowest=text.money(band.amount), winner=band.winner)
        else:
            yield line(
                "amount_between_below",
                lowest=text.money(band.amount),
                highest=text.money(above),
                winner=band.winner,
            )
        above = band.amount
    if above is not None and above > 1:
        yield line("range_unmet", amount=text.money(above), winner=found.range_constraint_unsatisfied)


def _dollars(average: Fraction) -> int:
    """Rounded half up: what is read is in whole dollars, what is compared is exact."""
    return int(average + Fraction(1, 2))


def _percent(probability: Decimal, text: LanguageManager) -> str:
    percent = (probability * 100).quantize(_CENT, rounding=ROUND_HALF_UP).normalize()
    whole, _, decimals = f"{percent:f}".partition(".")
    return whole + (text.text("principles.chances.point") + decimals if decimals else "")
