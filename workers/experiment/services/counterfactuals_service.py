"""The service of results: what was earned, what would have been, and the last ranking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from shared.schemas.experiment.terms import FOUR_PRINCIPLES, IncomeClass, Principle
from workers.experiment.agents.participant import ParticipantAgent
from workers.experiment.languages.manager import LanguageManager
from workers.experiment.principles import consequences
from workers.experiment.principles.counterfactuals import every_choice
from workers.experiment.principles.distribution import CLASSES, DistributionSet
from workers.experiment.principles.rules import payoff, select
from workers.experiment.reading.ranking import RankingReader
from workers.experiment.records import Choice, Earning, GroupOutcome, RankingRecord
from workers.experiment.services.protocols import PayoffsProtocol
from workers.experiment.steps.journal import Journal
from workers.experiment.steps.key import StepKey
from workers.experiment.together import together

if TYPE_CHECKING:
    from shared.schemas.experiment.config import ExperimentConfig


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another principle than the one that was decided for, and what it would have paid.

    Attributes:
        difference: what it pays more than was paid; less, when negative.
    """

    principle: Principle
    payoff: Decimal
    difference: Decimal


class CounterfactualsService:
    """Tells agents what they earned and would have earned, as openly as the configuration says.

    Args:
        config: of the run.
        journal: of the run.
        payoffs: knows the group's distributions.
    """

    def __init__(self, config: ExperimentConfig, journal: Journal, payoffs: PayoffsProtocol) -> None:
        self._config = config
        self._journal = journal
        self._payoffs = payoffs
        self._told = config.phase2_enhanced_transparency

    def calculate_payoffs(
        self, distribution: DistributionSet, principles: Iterable[Choice]
    ) -> Mapping[Choice, Mapping[IncomeClass, Decimal]]:
        """What each class is paid under each choice out of a set.

        Raises:
            ValueError: a choice lacks the amount that it needs.
        """
        picked = {
            choice: distribution.numbered(select(distribution, choice, self._config.averages).distribution)
            for choice in principles
        }
        return {
            choice: {income_class: payoff(found.income(income_class)) for income_class in CLASSES}
            for choice, found in picked.items()
        }

    def format_detailed_results(
        self, agent: ParticipantAgent, outcome: GroupOutcome, agents: Sequence[ParticipantAgent]
    ) -> str:
        """What ``agent`` is told of the results.

        ``basic``: what was decided, the class and the pay. ``enhanced``: also what the class is paid under
        each principle, and the best and worst of these. ``full``: also the distributions, other amounts, and
        everybody's pay.
        """
        earning = outcome.earnings[agent.name]
        level = self._told.detail_level if self._told.enabled else "basic"
        parts = [*self._basic(agent.text, outcome, earning)]
        if level != "basic":
            parts += self._enhanced(agent.text, outcome, earning)
        if level == "full":
            parts += self._full(agent.text, outcome, earning, agents)
        return "\n".join(parts)

    async def collect_final_rankings(
        self, agents: Sequence[ParticipantAgent], results: Mapping[str, str]
    ) -> Mapping[str, RankingRecord]:
        """Everybody's last ranking, all at once; ``results`` is what each agent was told.

        Raises:
            ParleyError: a provider is away, or a budget used up.
        """

        async def rank(agent: ParticipantAgent) -> RankingRecord:
            heard = await agent.ask(
                StepKey(2, None, agent.name, "ranking/final"),
                agent.text.text(
                    "results.final_ranking",
                    principles=consequences.descriptions(FOUR_PRINCIPLES, agent.text),
                    form=agent.text.text("reading.form.ranking"),
                ),
                RankingReader(),
                tries=agent.errors.tries,
                # Rankings have no timeout of their own: that of a statement holds.
                timeout=float(self._config.phase2_settings.statement_timeout_seconds),
                context=results.get(agent.name, ""),
            )
            return RankingRecord(**heard.spoken(agent), checkpoint="final", ranking=heard.value)

        ranked = await together(rank(agent) for agent in agents)
        return {record.agent: record for record in ranked}

    def generate_counterfactual_analysis(self, actual_results: GroupOutcome) -> Mapping[str, Any]:
        """Each agent's best and worst alternative, and every distinct floor and range tested.

        Keys: ``multiplier``, ``distributions`` (incomes, average, floor, range), ``binding``, ``agents`` (by
        name: payoff, counterfactuals, amounts, best, worst), ``group`` (what all together are paid under each
        principle), ``every_choice`` (principle, amount, distribution, binding, payoffs by name).
        """
        earnings = actual_results.earnings
        distributions = self._payoffs.group_set(next(iter(earnings.values())))
        averages = self._config.averages
        return {
            "multiplier": actual_results.multiplier,
            "averages": averages,
            "distributions": [
                {
                    "number": distribution.number,
                    "incomes": distribution.incomes,
                    "average": distributions.average(distribution, averages),
                    "floor": distribution.low,
                    "range": distribution.range,
                }
                for distribution in distributions
            ],
            "binding": actual_results.binding,
            "agents": {
                name: self._agent_analysis(earning, actual_results.choice)
                for name, earning in earnings.items()
            },
            "group": {
                principle: sum(
                    (earning.counterfactuals[principle] for earning in earnings.values()), Decimal(0)
                )
                for principle in FOUR_PRINCIPLES
            },
            "every_choice": [
                {
                    "principle": tested.choice.principle,
                    "amount": tested.choice.amount,
                    "distribution": tested.distribution,
                    "binding": tested.binding,
                    "payoffs": {
                        name: payoff(distributions.numbered(tested.distribution).income(earning.income_class))
                        for name, earning in earnings.items()
                    },
                }
                for tested in every_choice(distributions, averages)
            ],
        }

    def _agent_analysis(self, earning: Earning, choice: Choice | None) -> dict[str, Any]:
        found = alternatives(earning, choice)
        best, worst = found[0], found[-1]
        return {
            "payoff": earning.payoff,
            "counterfactuals": dict(earning.counterfactuals),
            "amounts": dict(earning.amounts),
            "best": {"principle": best.principle, "payoff": best.payoff, "difference": best.difference},
            "worst": {"principle": worst.principle, "payoff": worst.payoff, "difference": worst.difference},
        }

    def _basic(self, text: LanguageManager, outcome: GroupOutcome, earning: Earning) -> Iterator[str]:
        yield text.text("results.heading")
        yield text.text(
            f"results.outcome.{outcome.decided_by}",
            choice="" if outcome.choice is None else chosen(outcome.choice, text),
        )
        if self._told.include_class_assignment:
            yield text.text(
                "results.income_class",
                income_class=text.income_class(earning.income_class),
                income=text.money(earning.income),
            )
        yield text.text(
            f"results.payoff.{self._config.frame}",
            payoff=text.money(earning.payoff),
            credit=text.money(self._config.loss_frame_credit),
        )

    def _enhanced(self, text: LanguageManager, outcome: GroupOutcome, earning: Earning) -> Iterator[str]:
        yield text.text("results.picked", number=earning.distribution)
        if not earning.satisfied:
            yield text.text("results.unmet")
        elif self._made_no_difference(outcome, earning):
            yield text.text("results.not_binding")
        if self._told.include_counterfactuals:
            yield text.text(f"results.alternatives.{self._config.frame}")
            yield consequences.alternatives(earning, text)
        if self._told.include_insights:
            found = alternatives(earning, outcome.choice)
            yield _insight(text, "best", found[0], found[0].difference > 0)
            yield _insight(text, "worst", found[-1], found[-1].difference < 0)

    def _made_no_difference(self, outcome: GroupOutcome, earning: Earning) -> bool:
        """Whether the highest average alone pays the same as what was decided.

        Nobody can say so where any distribution that meets the constraint may be drawn.
        """
        constrained = outcome.choice is not None and outcome.choice.principle.constrained
        return constrained and not earning.binding and self._config.payoff_distribution == "best"

    def _full(
        self,
        text: LanguageManager,
        outcome: GroupOutcome,
        earning: Earning,
        agents: Sequence[ParticipantAgent],
    ) -> Iterator[str]:
        distributions = self._payoffs.group_set(earning)
        yield text.text("results.society")
        for distribution in distributions:
            yield text.text(
                "results.society_row",
                number=distribution.number,
                incomes=text.text("results.society_between").join(map(text.money, distribution.incomes)),
            )
        if self._told.include_counterfactuals:
            yield text.text(f"results.amounts.{self._config.frame}")
            for tested in every_choice(distributions, self._config.averages):
                if tested.choice.amount is not None:
                    income = distributions.numbered(tested.distribution).income(earning.income_class)
                    yield text.text(
                        "results.amount_row",
                        principle=chosen(tested.choice, text),
                        number=tested.distribution,
                        payoff=text.money(payoff(income)),
                    )
        yield text.text(f"results.everybody.{self._config.frame}")
        row = "everybody_row" if self._told.include_class_assignment else "everybody_row_plain"
        for other in agents:
            paid = outcome.earnings[other.name]
            yield text.text(
                f"results.{row}",
                name=other.name,
                income_class=text.income_class(paid.income_class),
                income=text.money(paid.income),
                payoff=text.money(paid.payoff),
            )


def alternatives(earning: Earning, choice: Choice | None) -> tuple[Alternative, ...]:
    """The principles that were not decided for, the best paid first; of equals in the principles' order."""
    others = [
        Alternative(principle, paid, paid - earning.payoff)
        for principle, paid in earning.counterfactuals.items()
        if choice is None or principle is not choice.principle
    ]
    return tuple(sorted(others, key=lambda other: -other.payoff))


def chosen(choice: Choice, text: LanguageManager) -> str:
    """A choice in words, with its amount where it has one."""
    if choice.amount is None:
        return text.principle(choice.principle)
    return text.text(
        "results.with_amount", principle=text.principle(choice.principle), amount=text.money(choice.amount)
    )


def _insight(text: LanguageManager, which: str, alternative: Alternative, differs: bool) -> str:
    if not differs:
        return text.text(f"results.insight.none_{'better' if which == 'best' else 'worse'}")
    return text.text(
        f"results.insight.{which}",
        principle=text.principle(alternative.principle),
        difference=text.money(abs(alternative.difference)),
    )
