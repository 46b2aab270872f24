"""Recorded answers as the result tells them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workers.experiment.records import Choice, Earning, Ranking, RankingRecord, Spoken
from workers.experiment.result.plain import instant, plain
from workers.experiment.result.run import StepTimes

#: The step times of a run, by path.
Times = Mapping[str, StepTimes]


def answered_at(steps: Sequence[str], times: Times) -> str | None:
    """When the last of ``steps`` was answered; ``None`` when none of them has a time."""
    for path in reversed(steps):
        step = times.get(path)
        if step is not None and step.finished_at is not None:
            return instant(step.finished_at)
    return None


def asked(answer: Spoken, times: Times) -> dict[str, Any]:
    """What every answer of an agent carries, under the names of the result."""
    return {
        "memory_coming_in_this_round": answer.memory,
        "bank_balance": plain(answer.balance),
        "raw_response": answer.text,
        "steps": list(answer.steps),
        "warnings": list(answer.warnings),
        "timestamp": answered_at(answer.steps, times),
    }


def rankings(ranking: Ranking | None) -> dict[str, Any] | None:
    """A ranking as a list of principles with their ranks, and its certainty; ``None`` was not readable."""
    if ranking is None:
        return None
    return {
        "rankings": [
            {"principle": principle.value, "rank": rank} for rank, principle in enumerate(ranking.order, 1)
        ],
        "certainty": plain(ranking.certainty),
    }


def ranked(record: RankingRecord, times: Times) -> dict[str, Any]:
    """A checkpoint's ranking with its circumstances."""
    return {"ranking_result": rankings(record.ranking), **asked(record, times)}


def choice(made: Choice | None) -> dict[str, Any]:
    """A principle and its amount, both ``None`` without a choice."""
    if made is None:
        return {"principle": None, "constraint_amount": None}
    return {"principle": made.principle.value, "constraint_amount": made.amount}


def earning(earned: Earning | None) -> dict[str, Any]:
    """What was paid out of which distributions (each from the high class to the low), and what the same class
    would have been paid under each principle.
    """
    if earned is None:
        return {
            "class_put_in": None,
            "payoff_received": None,
            "income": None,
            "distribution": None,
            "constraint_satisfied": None,
            "constraint_binding": None,
            "counterfactual_payoffs": None,
            "counterfactual_amounts": None,
            "distributions": None,
        }
    return {
        "class_put_in": earned.income_class.value,
        "payoff_received": plain(earned.payoff),
        "income": earned.income,
        "distribution": earned.distribution,
        "constraint_satisfied": earned.satisfied,
        "constraint_binding": earned.binding,
        "counterfactual_payoffs": plain(earned.counterfactuals),
        "counterfactual_amounts": plain(earned.amounts),
        "distributions": plain(earned.incomes),
    }
