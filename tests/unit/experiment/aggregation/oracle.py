"""The methods once more, as their definitions say, ballot by ballot."""

from __future__ import annotations

from itertools import pairwise, permutations

from shared.schemas.experiment.terms import Principle

Orders = list[tuple[Principle, ...]]


def before(orders: Orders, one: Principle, other: Principle) -> int:
    return len([order for order in orders if order.index(one) < order.index(other)])


def beats(orders: Orders, one: Principle, other: Principle) -> bool:
    return before(orders, one, other) > before(orders, other, one)


def top(scores: dict[Principle, int]) -> set[Principle]:
    return {principle for principle, score in scores.items() if score == max(scores.values())}


def borda(orders: Orders) -> set[Principle]:
    return top({one: sum(before(orders, one, other) for other in orders[0]) for one in orders[0]})


def plurality(orders: Orders) -> set[Principle]:
    return top({one: [order[0] for order in orders].count(one) for one in orders[0]})


def anti_plurality(orders: Orders) -> set[Principle]:
    return top({one: -[order[-1] for order in orders].count(one) for one in orders[0]})


def condorcet(orders: Orders) -> set[Principle]:
    return {
        one for one in orders[0] if all(beats(orders, one, other) for other in orders[0] if other is not one)
    }


def copeland(orders: Orders) -> set[Principle]:
    return top(
        {
            one: sum(beats(orders, one, other) - beats(orders, other, one) for other in orders[0])
            for one in orders[0]
        }
    )


def minimax(orders: Orders) -> set[Principle]:
    return top(
        {
            one: -max(before(orders, other, one) if beats(orders, other, one) else 0 for other in orders[0])
            for one in orders[0]
        }
    )


def schulze(orders: Orders) -> set[Principle]:
    """By all simple paths, each as strong as its weakest win."""

    def strength(one: Principle, other: Principle) -> int:
        best = 0
        rest = [between for between in orders[0] if between not in (one, other)]
        for length in range(len(rest) + 1):
            for through in permutations(rest, length):
                path = [one, *through, other]
                wins = [before(orders, a, b) if beats(orders, a, b) else 0 for a, b in pairwise(path)]
                best = max(best, min(wins))
        return best

    return {
        one
        for one in orders[0]
        if all(strength(one, other) >= strength(other, one) for other in orders[0] if other is not one)
    }


def kemeny(orders: Orders) -> set[Principle]:
    """Who begins an order with the fewest disagreements with all rankings."""
    distances = {}
    for order in permutations(orders[0]):
        pairs = [(a, b) for place, a in enumerate(order) for b in order[place + 1 :]]
        distances[order] = sum(before(orders, b, a) for a, b in pairs)
    return {order[0] for order, distance in distances.items() if distance == min(distances.values())}


def instant_runoff(orders: Orders) -> set[Principle]:
    """Who can be the last one left, whichever of the last falls out."""
    left = orders[0]
    if len(left) == 1:
        return set(left)
    firsts = {one: [order[0] for order in orders].count(one) for one in left}
    majority = {one for one, count in firsts.items() if 2 * count > len(orders)}
    if majority:
        return majority
    found: set[Principle] = set()
    for last in left:
        if firsts[last] == min(firsts.values()):
            found |= instant_runoff([tuple(one for one in order if one is not last) for order in orders])
    return found
