"""The money of a run: what each choice is paid. It never degrades."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from random import Random

from shared.schemas.experiment.config import ExperimentConfig
from shared.schemas.experiment.terms import IncomeClass
from workers.experiment.principles.counterfactuals import counterfactual_amounts, counterfactual_payoffs
from workers.experiment.principles.distribution import CLASSES, DistributionSet
from workers.experiment.principles.dynamic import draw_multiplier, scaled
from workers.experiment.principles.rules import Selection, payoff, select
from workers.experiment.principles.tables import ROUNDS, SAMPLE, table
from workers.experiment.records import Choice, Earning, GroupOutcome
from workers.experiment.steps.journal import Journal
from workers.experiment.steps.key import StepKey


class PayoffService:
    """Makes the distributions of a run, draws classes, and pays.

    In the original-values mode the printed tables, each with its own probabilities, are those of phase 1.
    Otherwise, and in phase 2 always, the sample table is scaled by a drawn multiplier, and the classes are as
    likely as the configuration says. Real choices and counterfactuals use the same averages.

    Args:
        config: of the run.
        journal: draws.
    """

    def __init__(self, config: ExperimentConfig, journal: Journal) -> None:
        self._config = config
        self._journal = journal
        given = config.income_class_probabilities
        self._base = DistributionSet(
            SAMPLE, table(SAMPLE).distributions, None if given is None else given.in_order()
        )
        self._phase_1: dict[tuple[str, int], DistributionSet] = {}

    def explanation_set(self) -> DistributionSet:
        """What explains the principles: the sample table, not scaled."""
        return table(SAMPLE) if self._config.original_values_mode.enabled else self._base

    def phase_1_set(self, agent: str, round_number: int) -> DistributionSet:
        """What ``agent`` chooses from in a paid round; each agent and round has a multiplier of its own.

        It is drawn once, however often it is asked for.

        Raises:
            ValueError: there is no such round.
        """
        if not 1 <= round_number <= len(ROUNDS):
            raise ValueError(f"round: 1 to {len(ROUNDS)} are paid, not {round_number}")
        if self._config.original_values_mode.enabled:
            return table(ROUNDS[round_number - 1])
        place = (agent, round_number)
        if place not in self._phase_1:
            self._phase_1[place], _ = self._scaled(
                StepKey(1, round_number, agent, "multiplier"), self._config.distribution_range_phase1
            )
        return self._phase_1[place]

    def phase_1_earning(self, agent: str, round_number: int, choice: Choice) -> Earning:
        """What a choice of phase 1 earns: one for each agent and round, as its class is drawn here.

        Raises:
            ValueError: there is no such round, or the choice lacks the amount that it needs.
        """
        chosen_from = self.phase_1_set(agent, round_number)
        selection = select(chosen_from, choice, self._config.averages)
        income_class = self._draw_class(StepKey(1, round_number, agent, "class"), chosen_from)
        return self._earning(chosen_from, selection.distribution, income_class, choice, selection)

    def group_earnings(self, agents: Sequence[str], choice: Choice | None, decided_by: str) -> GroupOutcome:
        """What the group's decision earns each agent.

        A decision pays from the distribution that it picks, or from one drawn among those that are consistent
        with it, the same for all. Without one a distribution is drawn among all, for each agent or for all.

        Args:
            agents: in the configuration's order.
            choice: what was decided; ``None``: nothing.
            decided_by: ``consensus``, ``majority``, ``imposed`` or ``none``.
        """
        end = StepKey(2, None, None, "payoff")
        distributions, multiplier = self._scaled(
            end.part("multiplier"), self._config.distribution_range_phase2
        )
        selection = None if choice is None else select(distributions, choice, self._config.averages)
        shared = self._shared_distribution(end.part("distribution"), distributions, choice, selection)
        everything = tuple(distribution.number for distribution in distributions)
        earnings = {}
        for agent in agents:
            of_agent = end.of(agent)
            number = shared or self._draw(of_agent.part("distribution"), everything)
            income_class = self._draw_class(of_agent.part("class"), distributions)
            earnings[agent] = self._earning(distributions, number, income_class, choice, selection)
        return GroupOutcome(
            decided_by=decided_by,
            choice=choice,
            binding=None if selection is None else selection.binding,
            earnings=earnings,
            multiplier=multiplier,
        )

    def group_set(self, earning: Earning) -> DistributionSet:
        """The distributions that an earning of the group was picked or drawn from."""
        return DistributionSet.of(SAMPLE, earning.incomes, self._base.probabilities)

    def _shared_distribution(
        self, key: StepKey, distributions: DistributionSet, choice: Choice | None, selection: Selection | None
    ) -> int | None:
        """The one that everybody is paid from; ``None`` when each agent has one drawn."""
        if choice is None or selection is None:
            if self._config.no_consensus_draw == "per_agent":
                return None
            return self._draw(key, tuple(distribution.number for distribution in distributions))
        if self._config.payoff_distribution == "best":
            return selection.distribution
        constrained = choice.principle.constrained and selection.satisfied
        consistent = selection.qualifying if constrained else selection.tied
        return consistent[0] if len(consistent) == 1 else self._draw(key, consistent)

    def _earning(
        self,
        distributions: DistributionSet,
        number: int,
        income_class: IncomeClass,
        choice: Choice | None,
        selection: Selection | None,
    ) -> Earning:
        income = distributions.numbered(number).income(income_class)
        paid = payoff(income)
        others = dict(counterfactual_payoffs(distributions, income_class, choice, self._config.averages))
        if choice is not None and choice.principle in others:
            # Where it was drawn, another one than the best may have been paid.
            others[choice.principle] = paid
        return Earning(
            distribution=number,
            satisfied=selection is None or selection.satisfied,
            binding=selection is not None and selection.binding,
            income_class=income_class,
            income=income,
            payoff=paid,
            counterfactuals=others,
            amounts=counterfactual_amounts(distributions, choice),
            incomes=tuple(distribution.incomes for distribution in distributions),
        )

    def _scaled(self, key: StepKey, bounds: tuple[float, float]) -> tuple[DistributionSet, Decimal]:
        lowest, highest = (Decimal(str(bound)) for bound in bounds)
        # A text: a number in JSON would not be exact.
        drawn = self._journal.draw(
            key, lambda generator: f"{draw_multiplier(generator, lowest, highest).normalize():f}"
        )
        multiplier = Decimal(drawn)
        return scaled(self._base, multiplier), multiplier

    def _draw_class(self, key: StepKey, distributions: DistributionSet) -> IncomeClass:
        return IncomeClass(
            self._journal.draw(key, lambda generator: drawn_class(generator, distributions).value)
        )

    def _draw(self, key: StepKey, numbers: Sequence[int]) -> int:
        return self._journal.draw(key, lambda generator: generator.choice(numbers))


def drawn_class(generator: Random, distributions: DistributionSet) -> IncomeClass:
    """A class, as likely as the set says, exactly."""
    ticket = generator.randrange(sum(distributions.shares))
    for income_class, share in zip(CLASSES, distributions.shares, strict=True):
        if ticket < share:
            return income_class
        ticket -= share
    raise AssertionError("the shares are all that is drawn from")
