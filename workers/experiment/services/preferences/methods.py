"""Methods of social choice over strict rankings. The counting is votelib's; ties are never broken in here.

Every method gives scores, the higher the better, and the set of its winners: more than one when they tie.
The library is handed the numbers of the principles: it takes a text for a shared rank, and the place of a
number in a set is the same in every process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import votelib.component.pairwin_scorer  # type: ignore[import-untyped]
import votelib.component.rankscore  # type: ignore[import-untyped]
import votelib.convert  # type: ignore[import-untyped]
import votelib.evaluate.condorcet  # type: ignore[import-untyped]
import votelib.evaluate.sequential  # type: ignore[import-untyped]

from shared.schemas.experiment.terms import Principle

#: A ranking by the principles' numbers, best first, and how many gave it.
Profile = Mapping[tuple[int, ...], int]


@dataclass(frozen=True, slots=True)
class Tally:
    """What a method comes to.

    Attributes:
        scores: by principle, in the principles' order.
        winners: in the same order; none where a method can be without one.
    """

    scores: Mapping[Principle, int]
    winners: tuple[Principle, ...]


def profile(rankings: Sequence[tuple[Principle, ...]]) -> Profile:
    """The rankings counted.

    Raises:
        ValueError: there are none, or they do not rank the same principles once each.
    """
    if not rankings:
        raise ValueError("rankings: there are none to add up")
    ranked = set(rankings[0])
    for order in rankings:
        if len(order) != len(set(order)) or set(order) != ranked:
            raise ValueError(
                "rankings: each must rank the same principles, every one once: "
                + " / ".join(", ".join(principle.value for principle in order) for order in rankings)
            )
    return Counter(tuple(principle.number for principle in order) for order in rankings)


def pairwise(votes: Profile) -> dict[Principle, dict[Principle, int]]:
    """How many rank one before another, for every two."""
    counts, ranked = _pairs(votes), _ranked(votes)
    return {
        _principle(one): {_principle(other): counts[one, other] for other in ranked if other != one}
        for one in ranked
    }


def plurality(votes: Profile) -> Tally:
    """A point for each first place."""
    return _positional(votes, [1] + [0] * (len(_ranked(votes)) - 1))


def anti_plurality(votes: Profile) -> Tally:
    """A point lost for each last place."""
    return _positional(votes, [0] * (len(_ranked(votes)) - 1) + [-1])


def borda(votes: Profile) -> Tally:
    """A point for each principle that is ranked lower: of four 3, 2, 1 and 0."""
    return _scored(votes, votelib.component.rankscore.Borda(base=0))


def condorcet(votes: Profile) -> Tally:
    """Who beats every other one, pair by pair, if anybody; the scores are the pairs won."""
    wins = votelib.evaluate.condorcet.beat_counts(_pairs(votes))
    found = votelib.evaluate.condorcet.CondorcetWinner().evaluate(_pairs(votes))
    return _tally({number: wins.get(number, 0) for number in _ranked(votes)}, found)


def copeland(votes: Profile) -> Tally:
    """Pairs won less pairs lost."""
    selector = votelib.evaluate.condorcet
    scores = selector.Copeland.scores(selector.pairwise_wins(_pairs(votes)))
    return _best({number: scores.get(number, 0) for number in _ranked(votes)})


def minimax(votes: Profile) -> Tally:
    """The smallest of the greatest defeats: how many are against in the pair lost to most, as a negative."""
    defeats = votelib.component.pairwin_scorer.winning_votes(_pairs(votes))
    return _best(
        {
            number: -max((size for (_, loser), size in defeats.items() if loser == number), default=0)
            for number in _ranked(votes)
        }
    )


def schulze(votes: Profile) -> Tally:
    """Beat paths: the scores are how many are beaten by the stronger path; who is beaten by none wins."""
    paths = votelib.evaluate.condorcet.Schulze.widest_paths(_pairs(votes))
    ranked = _ranked(votes)

    def beats(one: int, other: int) -> bool:
        return bool(paths.get((one, other), 0) > paths.get((other, one), 0))

    return _tally(
        {one: sum(beats(one, other) for other in ranked) for one in ranked},
        [one for one in ranked if not any(beats(other, one) for other in ranked)],
    )


def kemeny(votes: Profile) -> Tally:
    """The orders nearest to all rankings: the score is the best agreement of an order that begins with it."""
    counts = _pairs(votes)
    best: dict[int, int] = {}
    for order in permutations(_ranked(votes)):
        agreement = votelib.evaluate.condorcet.KemenyYoung.score(order, counts)
        best[order[0]] = max(best.get(order[0], 0), agreement)
    return _best(best)


def instant_runoff(votes: Profile) -> Tally:
    """The last of first places falls out until one has a majority; the scores are first places.

    Where several are last, every order of falling out counts: who wins by one of them is a winner.
    """
    ranked = _ranked(votes)
    winners = {
        votelib.evaluate.sequential.TransferableVoteSelector(retainer=_Retainer(order)).evaluate(
            dict(votes), 1
        )[0]
        for order in permutations(ranked)
    }
    return Tally(plurality(votes).scores, tuple(_principle(number) for number in ranked if number in winners))


METHODS: Mapping[str, Callable[[Profile], Tally]] = {
    "borda": borda,
    "plurality": plurality,
    "anti_plurality": anti_plurality,
    "condorcet": condorcet,
    "copeland": copeland,
    "minimax": minimax,
    "schulze": schulze,
    "kemeny": kemeny,
    "instant_runoff": instant_runoff,
}


class _Retainer:
    """Keeps the best of a count; of equals those that ``order`` has first."""

    def __init__(self, order: Sequence[int]) -> None:
        self._order = order

    def evaluate(self, votes: Mapping[int, int], n_seats: int = 1) -> list[int]:
        """The ``n_seats`` that stay."""
        return sorted(votes, key=lambda one: (-votes[one], self._order.index(one)))[:n_seats]


def _principle(number: int) -> Principle:
    return list(Principle)[number - 1]


def _ranked(votes: Profile) -> tuple[int, ...]:
    """What is ranked, by its numbers."""
    return tuple(sorted(next(iter(votes))))


def _pairs(votes: Profile) -> dict[tuple[int, int], int]:
    counts = votelib.convert.RankedToCondorcetVotes().convert(dict(votes))
    ranked = _ranked(votes)
    return {(one, other): counts.get((one, other), 0) for one in ranked for other in ranked if one != other}


def _positional(votes: Profile, points: list[int]) -> Tally:
    return _scored(votes, votelib.component.rankscore.SequenceBased(points))


def _scored(votes: Profile, scorer: Any) -> Tally:
    return _best(votelib.convert.RankedToPositionalVotes(scorer).convert(dict(votes)))


def _best(scores: Mapping[int, int]) -> Tally:
    """Who has the highest score wins."""
    best = max(scores.values())
    return _tally(scores, [number for number in scores if scores[number] == best])


def _tally(scores: Mapping[int, int], winners: Sequence[int]) -> Tally:
    return Tally(
        {_principle(number): scores[number] for number in sorted(scores)},
        tuple(_principle(number) for number in sorted(winners)),
    )
