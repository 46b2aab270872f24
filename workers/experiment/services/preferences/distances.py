"""How far rankings lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations

from shared.schemas.experiment.terms import Principle

Order = tuple[Principle, ...]


def kendall(one: Order, other: Order) -> int:
    """Pairs that the two order differently: of four principles 0 to 6."""
    place = {principle: rank for rank, principle in enumerate(other)}
    return sum(place[first] > place[second] for first, second in combinations(one, 2))


def footrule(one: Order, other: Order) -> int:
    """Ranks that principles are apart, summed up (Spearman's footrule): of four principles 0 to 8."""
    return sum(abs(rank - other.index(principle)) for rank, principle in enumerate(one))


def agreement(orders: Sequence[Order]) -> Fraction | None:
    """Kendall's W: 1 when all rank alike, 0 when all principles come out even; ``None`` for under two."""
    judges = len(orders)
    if judges < 2 or len(orders[0]) < 2:
        return None
    ranked = len(orders[0])
    sums = [sum(order.index(principle) + 1 for order in orders) for principle in orders[0]]
    mean = Fraction(sum(sums), ranked)
    spread = sum((total - mean) ** 2 for total in sums)
    return 12 * spread / Fraction(judges**2 * (ranked**3 - ranked))


def mean_ranks(orders: Sequence[Order]) -> dict[Principle, Fraction]:
    """The mean place of each principle, from 1; in the principles' order."""
    return {
        principle: Fraction(sum(order.index(principle) + 1 for order in orders), len(orders))
        for principle in Principle
        if principle in orders[0]
    }
