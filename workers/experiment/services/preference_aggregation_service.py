"""The service of preferences: what the agents' rankings add up to, and who is near to whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from typing import TYPE_CHECKING, Any

from shared.schemas.experiment.terms import Principle
from workers.experiment.records import Choice, Ranking
from workers.experiment.services.preferences import methods
from workers.experiment.services.preferences.coalitions import (
    ConsensusAnalysis,
    coalitions,
    detect_consensus,
)
from workers.experiment.services.preferences.distances import agreement, footrule, kendall, mean_ranks
from workers.experiment.services.protocols import Aggregate
from workers.experiment.steps.journal import Journal
from workers.experiment.steps.key import StepKey

if TYPE_CHECKING:
    from shared.schemas.experiment.config import ExperimentConfig

#: How a tie is broken.
TIE_BREAKERS = ("order", "seed", "report")


class PreferenceAggregationService:
    """Adds rankings up.

    Args:
        config: of the run.
        journal: draws a tie-break that is drawn.
    """

    def __init__(self, config: ExperimentConfig, journal: Journal) -> None:
        self._config = config
        self._journal = journal
        self._drawn: dict[str, Principle] = {}

    def aggregate_preferences(
        self, votes: Mapping[str, Ranking], aggregation_method: str, tie_breaker: str = "order"
    ) -> Aggregate:
        """The group's choice under a method: one of :data:`~.preferences.methods.METHODS`.

        Args:
            votes: the ranking of each agent.
            aggregation_method: ``borda``, ``plurality``, ``condorcet``, ``instant_runoff`` or another one.
            tie_breaker: what becomes of several winners; see :meth:`break_ties`.

        Raises:
            ValueError: there is no such method, or no ranking to add up.
        """
        method = methods.METHODS.get(aggregation_method)
        if method is None:
            raise ValueError(
                f"aggregation_method: there is no {aggregation_method!r}; one of "
                f"{', '.join(methods.METHODS)} is"
            )
        tally = method(methods.profile([ranking.order for ranking in votes.values()]))
        tied = tally.winners if len(tally.winners) > 1 else ()
        winner = tally.winners[0] if len(tally.winners) == 1 else None
        if tied:
            winner = self.break_ties(tied, tie_breaker)
        return Aggregate(
            method=aggregation_method,
            scores=tally.scores,
            winner=winner,
            tied=tied,
            tiebreak_applied=bool(tied) and winner is not None,
        )

    def detect_consensus(
        self, votes: Mapping[str, Choice | None], threshold: Fraction = Fraction(1)
    ) -> ConsensusAnalysis:
        """Whether one choice has at least ``threshold`` of all agents, and which coalitions there are.

        Raises:
            ValueError: nobody is asked, or the threshold is no share above 0.
        """
        return detect_consensus(votes, threshold)

    def break_ties(
        self,
        tied_options: Sequence[Principle],
        tie_breaker: str,
        order: Sequence[Principle] = tuple(Principle),
    ) -> Principle | None:
        """One of several.

        Args:
            tied_options: what is to choose from.
            tie_breaker: ``order``: the first in ``order``; ``seed``: drawn, for the same options once a run;
                ``report``: none, the tie stays one.
            order: for ``order``; what is not in it comes last.

        Raises:
            ValueError: there is nothing to choose from, or no such tie-break.
        """
        if not tied_options:
            raise ValueError("tied_options: there is nothing to choose from")
        if tie_breaker not in TIE_BREAKERS:
            raise ValueError(f"tie_breaker: there is no {tie_breaker!r}; one of {', '.join(TIE_BREAKERS)} is")
        if tie_breaker == "report":
            return None
        options = sorted(set(tied_options), key=list(Principle).index)
        if tie_breaker == "order":
            return next((principle for principle in order if principle in options), options[0])
        label = "-".join(option.value for option in options)
        if label not in self._drawn:
            self._drawn[label] = Principle(
                self._journal.draw(
                    StepKey(2, None, None, f"aggregation/tiebreak/{label}"),
                    lambda generator: generator.choice(options).value,
                )
            )
        return self._drawn[label]

    def analyse(self, checkpoints: Mapping[str, Mapping[str, Ranking]]) -> Mapping[str, Any]:
        """What pictures and the result need of each checkpoint's rankings; ties are reported as such.

        Keys of a checkpoint: ``rankings`` (how many there are), ``methods`` (by name: scores, winner, tied),
        ``pairwise`` (how many rank one before the other), ``mean_ranks``, ``first_choices``, ``agreement``
        (Kendall's W), ``distances`` (between each two agents), ``coalitions`` (by first choice), ``moved``
        (each agent's distance from its ranking at the checkpoint before).

        Args:
            checkpoints: in their order, the readable rankings by agent.
        """
        analysis: dict[str, Any] = {}
        before: Mapping[str, Ranking] = {}
        for checkpoint, rankings in checkpoints.items():
            analysis[checkpoint] = self._checkpoint(rankings, before)
            before = rankings
        return analysis

    def _checkpoint(self, rankings: Mapping[str, Ranking], before: Mapping[str, Ranking]) -> dict[str, Any]:
        if not rankings:
            return {"rankings": 0}
        orders = [ranking.order for ranking in rankings.values()]
        aggregates = {
            method: self.aggregate_preferences(rankings, method, "report") for method in methods.METHODS
        }
        first = {agent: Choice(ranking.order[0]) for agent, ranking in rankings.items()}
        return {
            "rankings": len(rankings),
            "methods": {
                method: {"scores": found.scores, "winner": found.winner, "tied": found.tied}
                for method, found in aggregates.items()
            },
            "pairwise": methods.pairwise(methods.profile(orders)),
            "mean_ranks": mean_ranks(orders),
            "first_choices": aggregates["plurality"].scores,
            "agreement": agreement(orders),
            "distances": [
                {
                    "between": [one, other],
                    "kendall": kendall(rankings[one].order, rankings[other].order),
                    "footrule": footrule(rankings[one].order, rankings[other].order),
                }
                for one, other in combinations(rankings, 2)
            ],
            "coalitions": [
                {"principle": coalition.principle, "members": coalition.members}
                for coalition in coalitions(dict(first))
            ],
            "moved": {
                agent: kendall(before[agent].order, ranking.order)
                for agent, ranking in rankings.items()
                if agent in before
            },
        }
