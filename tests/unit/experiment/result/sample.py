"""A finished run, recorded by hand: three agents, three rounds, every turn that a vote can take."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from shared.schemas.experiment.config import ExperimentConfig
from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Certainty, IncomeClass, Principle
from workers.experiment.records import (
    ApplicationRecord,
    Ballot,
    Choice,
    ComprehensionRecord,
    ConfirmationAnswer,
    Consensus,
    Disagreement,
    DiscussionRound,
    Earning,
    ExplanationRecord,
    GroupOutcome,
    InitiationAnswer,
    ManipulationRecord,
    Phase1Record,
    Phase2Record,
    Ranking,
    RankingRecord,
    Statement,
    VoteRound,
)
from workers.experiment.result.run import (
    Degraded,
    FinishedRun,
    Lineage,
    ModelUsed,
    Prices,
    RunStatus,
    StepTimes,
)
from workers.experiment.result.usage import tally
from workers.experiment.steps.journal import Standing, StepKind, StepRecord
from workers.experiment.steps.key import StepKey
from workers.experiment.steps.model_call import ModelAnswer, StepOutcome

FLOOR, AVERAGE, FLOOR_CONSTRAINT, RANGE_CONSTRAINT = FOUR_PRINCIPLES
NAMES = ("Agent_1", "Agent_2", "代理三")
BEGUN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

ORDERS = {
    "Agent_1": (
        (FLOOR_CONSTRAINT, AVERAGE, FLOOR, RANGE_CONSTRAINT),
        (FLOOR_CONSTRAINT, FLOOR, AVERAGE, RANGE_CONSTRAINT),
        (FLOOR_CONSTRAINT, FLOOR, AVERAGE, RANGE_CONSTRAINT),
        (FLOOR_CONSTRAINT, AVERAGE, FLOOR, RANGE_CONSTRAINT),
    ),
    "Agent_2": (
        (AVERAGE, FLOOR_CONSTRAINT, RANGE_CONSTRAINT, FLOOR),
        (AVERAGE, FLOOR_CONSTRAINT, FLOOR, RANGE_CONSTRAINT),
        None,
        (FLOOR_CONSTRAINT, AVERAGE, FLOOR, RANGE_CONSTRAINT),
    ),
    "代理三": (
        (FLOOR, FLOOR_CONSTRAINT, RANGE_CONSTRAINT, AVERAGE),
        (FLOOR, FLOOR_CONSTRAINT, RANGE_CONSTRAINT, AVERAGE),
        (FLOOR_CONSTRAINT, FLOOR, RANGE_CONSTRAINT, AVERAGE),
        (FLOOR_CONSTRAINT, FLOOR, RANGE_CONSTRAINT, AVERAGE),
    ),
}


def config(**changes: Any) -> ExperimentConfig:
    """The configuration of the run."""
    values: dict[str, Any] = {
        "agents": [
            {"name": name, "personality": f"You are participant {number}.", "model": "local"}
            for number, name in enumerate(NAMES, 1)
        ],
        "phase2_rounds": 4,
        "income_class_probabilities": {
            "high": 0.05,
            "medium_high": 0.10,
            "medium": 0.50,
            "medium_low": 0.25,
            "low": 0.10,
        },
        "comprehension_test": True,
        "manipulator": {"name": "Agent_2"},
        "budget": {"calls": 500},
    }
    return ExperimentConfig.model_validate({**values, **changes})


def path(phase: int, round_number: int | None, agent: str | None, purpose: str, tried: int | None = 1) -> str:
    """A step's path."""
    return StepKey(phase, round_number, agent, purpose, tried).path


def earning(income: int, place: IncomeClass = IncomeClass.MEDIUM, **changes: Any) -> Earning:
    """A payoff, with what the same class would have been paid otherwise."""
    paid = (Decimal(income) / 10_000).quantize(Decimal("0.01"))
    values: dict[str, Any] = {
        "distribution": 1,
        "satisfied": True,
        "binding": False,
        "income_class": place,
        "income": income,
        "payoff": paid,
        "counterfactuals": {
            FLOOR: Decimal("1.90"),
            AVERAGE: Decimal("2.40"),
            FLOOR_CONSTRAINT: paid,
            RANGE_CONSTRAINT: Decimal("2.00"),
        },
        "amounts": {FLOOR_CONSTRAINT: 14_000, RANGE_CONSTRAINT: 17_000},
        "incomes": ((32_000, 27_000, 24_000, 13_000, 12_000), (28_000, 22_000, 20_000, 17_000, 13_000)),
    }
    return Earning(**{**values, **changes})


def ranking(agent: str, checkpoint: int) -> Ranking | None:
    """What the agent's order is at the checkpoint, 0 to 3."""
    order = ORDERS[agent][checkpoint]
    return None if order is None else Ranking(order, Certainty.SURE)


def alone(agent: str) -> Phase1Record:
    """An agent's phase 1."""

    def ranked(checkpoint: int, name: str) -> RankingRecord:
        read = ranking(agent, checkpoint)
        return RankingRecord(
            agent=agent,
            checkpoint=name,
            ranking=read,
            text=f"My order, as {agent} sees it.",
            memory=f"Memory of {agent} before {name}.",
            balance=Decimal("8.40") if checkpoint == 2 else Decimal(0),
            steps=(path(1, None, agent, f"ranking/{name}"),),
            warnings=() if read else ("incomplete_ranking",),
        )

    return Phase1Record(
        agent=agent,
        initial_ranking=ranked(0, "initial"),
        explanation=ExplanationRecord(
            agent=agent, text="I see.", steps=(path(1, None, agent, "explanation"),)
        ),
        comprehension=(
            ComprehensionRecord(
                agent=agent,
                version=1,
                correct=(True, True),
                passed=True,
                steps=(path(1, None, agent, "comprehension/1"),),
            ),
        ),
        ranking_2=ranked(1, "post_explanation"),
        applications=tuple(
            ApplicationRecord(
                agent=agent,
                round=number,
                choice=Choice(FLOOR_CONSTRAINT, 13_000 + 500 * number),
                certainty=Certainty.SURE,
                earning=earning(21_000, binding=number == 2),
                balance=Decimal("2.10") * (number - 1),
                balance_after=Decimal("2.10") * number,
                alternatives="Maximizing the floor: $1.90. Maximizing the average: $2.40.",
                text='{"principle": 3}',
                memory=f"Memory of {agent}.",
                steps=(path(1, number, agent, "application"),),
            )
            for number in range(1, 5)
        ),
        ranking_3=ranked(2, "post_application"),
    )


def statement(agent: str, round_number: int, favoured: Principle | None, **changes: Any) -> Statement:
    """What an agent said."""
    values: dict[str, Any] = {
        "agent": agent,
        "round": round_number,
        "text": f"Round {round_number}: I speak for <b>a floor</b> & fairness.",
        "public": f"Round {round_number}: I speak for <b>a floor</b> & fairness.",
        "reasoning": "They may agree.",
        "favoured": favoured,
        "memory": f"Memory of {agent} in round {round_number}.",
        "balance": Decimal("8.40"),
        "steps": (
            path(2, round_number, agent, "reasoning"),
            path(2, round_number, agent, "statement"),
        ),
    }
    return Statement(**{**values, **changes})


def ballot(agent: str, round_number: int, choice: Choice | None, **changes: Any) -> Ballot:
    """A ballot."""
    values: dict[str, Any] = {
        "agent": agent,
        "choice": choice,
        "certainty": Certainty.VERY_SURE if choice else None,
        "text": '{"principle": 3, "certainty": "very_sure"}' if choice else "Whatever you like.",
        "amount_text": str(choice.amount) if choice and choice.amount else None,
        "abstention": None if choice else "unreadable",
        "steps": (path(2, round_number, agent, "ballot/principle"),),
        "warnings": () if choice else ("no_principle", "no_principle"),
    }
    return Ballot(**{**values, **changes})


def initiation(agent: str, round_number: int, wants: bool) -> InitiationAnswer:
    """Whether an agent wants a vote."""
    return InitiationAnswer(
        agent=agent,
        wants=wants,
        text="1" if wants else "0",
        steps=(path(2, round_number, agent, "vote/initiation"),),
    )


def confirmation(agent: str, round_number: int, agrees: bool | None) -> ConfirmationAnswer:
    """Whether an agent takes part; the initiator is asked nothing."""
    asked = agent != "Agent_1"
    return ConfirmationAnswer(
        agent=agent,
        agrees=agrees,
        text="1" if asked and agrees else "",
        steps=(path(2, round_number, agent, "vote/confirmation"),) if asked else (),
    )


def rounds() -> tuple[DiscussionRound, ...]:
    """Nobody agrees to vote; a vote with an abstention; a vote that decides."""
    first, second, third = NAMES
    refused = VoteRound(
        round=1,
        trigger="initiated",
        initiations=(initiation(first, 1, True),),
        initiator=first,
        confirmations=(
            confirmation(first, 1, True),
            confirmation(second, 1, False),
            confirmation(third, 1, None),
        ),
        confirmed=False,
    )
    everybody = tuple(confirmation(name, 2, True) for name in NAMES)
    disagreed = VoteRound(
        round=2,
        trigger="initiated",
        initiations=(initiation(first, 2, True),),
        initiator=first,
        confirmations=everybody,
        confirmed=True,
        ballots=(
            ballot(first, 2, Choice(FLOOR_CONSTRAINT, 14_000)),
            ballot(second, 2, Choice(AVERAGE)),
            ballot(third, 2, None),
        ),
        consensus=Consensus(
            reached=False,
            choice=None,
            counts={FLOOR_CONSTRAINT: 1, AVERAGE: 1},
            abstentions=1,
            disagreement=Disagreement.PRINCIPLE,
            detail=None,
        ),
    )
    decided = VoteRound(
        round=3,
        trigger="initiated",
        initiations=(initiation(first, 3, False), initiation(second, 3, False), initiation(third, 3, True)),
        initiator=third,
        confirmations=tuple(confirmation(name, 3, True) for name in NAMES),
        confirmed=True,
        ballots=tuple(ballot(name, 3, Choice(FLOOR_CONSTRAINT, 14_000)) for name in NAMES),
        consensus=Consensus(
            reached=True,
            choice=Choice(FLOOR_CONSTRAINT, 14_000),
            counts={FLOOR_CONSTRAINT: 3},
            abstentions=0,
        ),
    )
    return (
        DiscussionRound(
            number=1,
            speaking_order=(second, first, third),
            statements=(
                statement(second, 1, AVERAGE),
                statement(first, 1, FLOOR_CONSTRAINT),
                statement(third, 1, None, quarantined=True, public="(no statement)"),
            ),
            vote=refused,
        ),
        DiscussionRound(
            number=2,
            speaking_order=(first, third, second),
            statements=(
                statement(first, 2, FLOOR_CONSTRAINT),
                statement(third, 2, FLOOR),
                statement(second, 2, AVERAGE),
            ),
            vote=disagreed,
        ),
        DiscussionRound(
            number=3,
            speaking_order=(third, second),
            statements=(statement(third, 3, FLOOR_CONSTRAINT), statement(second, 3, FLOOR_CONSTRAINT)),
            vote=decided,
        ),
    )


def group() -> Phase2Record:
    """Phase 2."""
    places = (IncomeClass.MEDIUM, IncomeClass.LOW, IncomeClass.HIGH)
    return Phase2Record(
        rounds=rounds(),
        agenda=FOUR_PRINCIPLES,
        outcome=GroupOutcome(
            decided_by="consensus",
            choice=Choice(FLOOR_CONSTRAINT, 14_000),
            binding=True,
            multiplier=Decimal("1.25"),
            earnings={
                name: earning(income, place, binding=True)
                for name, income, place in zip(NAMES, (21_000, 14_000, 31_000), places, strict=True)
            },
        ),
        results_shown={name: f"{name}, you were paid." for name in NAMES},
        final_rankings={
            name: RankingRecord(
                agent=name,
                checkpoint="final",
                ranking=ranking(name, 3),
                text="My last order.",
                memory=f"Memory of {name} at the end.",
                balance=Decimal("10.50"),
                steps=(path(2, None, name, "ranking/final"),),
            )
            for name in NAMES
        },
        manipulation=ManipulationRecord(
            agent="Agent_2",
            kind="hidden_target",
            target=RANGE_CONSTRAINT,
            delivered=True,
            rounds=(1,),
            scores={FLOOR: 5, AVERAGE: 1, FLOOR_CONSTRAINT: 6, RANGE_CONSTRAINT: 1},
            tied=(AVERAGE, RANGE_CONSTRAINT),
            tiebreak_applied=True,
            message_length=312,
            effects={"favoured_shift": Decimal("0.5"), "moved": ["Agent_1"]},
        ),
        public_history="Agent_2: Round 1: I speak for <b>a floor</b> & fairness.",
        memory_growth={
            name: tuple(900 * (number + 1) + 400 * place for number in range(4))
            for place, name in enumerate(NAMES)
        },
    )


def steps(record: FinishedRun) -> list[StepRecord]:
    """A recorded call for each step that the records of a run point to."""
    found: list[StepRecord] = []
    for number, (key, role) in enumerate(_keys(record)):
        found.append(
            StepRecord(
                key=key,
                kind=StepKind.CALL,
                role=role,
                system="You take part in an experiment.",
                user=f"Question {number}?",
                sends=1,
                answer=ModelAnswer(
                    outcome=StepOutcome.ANSWERED,
                    text=f"Answer {number}.",
                    model="small-instruct",
                    input_tokens=400 + 7 * number,
                    output_tokens=30 + number,
                    seconds=0.25,
                    notes=("temperature_unsupported",) if role is None else (),
                ),
            )
        )
    return found


def _keys(record: FinishedRun) -> list[tuple[StepKey, str | None]]:
    keys: dict[StepKey, str | None] = {}
    for agent in NAMES:
        for purpose in ("ranking/initial", "explanation", "comprehension/1", "ranking/post_explanation"):
            keys[StepKey(1, None, agent, purpose, 1)] = agent
        for number in range(1, 5):
            keys[StepKey(1, number, agent, "application", 1)] = agent
            keys[StepKey(1, number, agent, "memory/application")] = agent
        keys[StepKey(1, None, agent, "ranking/post_application", 1)] = agent
    for number in (1, 2, 3):
        for agent in NAMES:
            for purpose in ("reasoning", "statement", "vote/initiation", "vote/confirmation"):
                keys[StepKey(2, number, agent, purpose, 1)] = agent
            keys[StepKey(2, number, agent, "favoured")] = None
            if number > 1:
                keys[StepKey(2, number, agent, "ballot/principle", 1)] = agent
    keys[StepKey(2, 2, "代理三", "ballot/principle", 2)] = "代理三"
    for agent in NAMES:
        keys[StepKey(2, None, agent, "ranking/final", 1)] = agent
    return list(keys.items())


def run(**changes: Any) -> FinishedRun:
    """The finished run."""
    prices = Prices(input=Decimal("0.15"), output=Decimal("0.60"))
    model = ModelUsed(
        requested="small",
        answered=("small-instruct",),
        digest="sha256:5b5b",
        connection="the local model",
        provider="local",
        prices=prices,
    )
    values: dict[str, Any] = {
        "config": config(),
        "config_hash": "c" * 64,
        "design_hash": "e" * 64,
        "connection": "mine",
        "earlier": ((1, config(phase2_rounds=3).model_dump(mode="json")),),
        "seed": 21_000,
        "seed_source": "config",
        "status": RunStatus.COMPLETE,
        "standing": Standing(
            phase=2, round=3, progress=1.0, calls=83, reasked=1, input_tokens=1, output_tokens=1, seconds=61.5
        ),
        "phase_1": tuple(alone(name) for name in NAMES),
        "phase_2": group(),
        "models": {**dict.fromkeys(NAMES, model), None: model},
        "notes": {None: ("temperature_unsupported",)},
        "degraded": (Degraded("memory", path(2, 2, "Agent_1", "memory/discussion"), "ValueError: too long"),),
        "counterfactuals": {"Agent_1": {"best": "maximizing_average", "gain": Decimal("0.30")}},
        "aggregation": {
            "final": {
                "rankings": 3,
                "methods": {
                    "borda": {
                        "scores": {FLOOR_CONSTRAINT: 9, AVERAGE: 5},
                        "winner": FLOOR_CONSTRAINT,
                        "tied": (),
                    },
                    "plurality": {"scores": {FLOOR: 1, AVERAGE: 1}, "winner": None, "tied": (FLOOR, AVERAGE)},
                },
                "agreement": Decimal("0.78"),
            },
            "post_application": {"rankings": 0},
        },
        "versions": {"parley": "1.0.0", "python": "3.11.9", "prompts": "f" * 64},
        "experiment_id": "0197c1de-0000-7000-8000-000000000001",
        "name": "three agents",
        "config_file": "three_agents.yaml",
        "lineage": Lineage(replay_of="0197c1de-0000-7000-8000-000000000000"),
        "started_at": BEGUN,
        "finished_at": BEGUN + timedelta(minutes=2),
    }
    bare = FinishedRun(**{**values, **changes})
    recorded = steps(bare)
    filled = {
        "spent": tally(recorded).spent(),
        "times": {
            step.key.path: StepTimes(BEGUN + timedelta(seconds=n), BEGUN + timedelta(seconds=n + 0.25))
            for n, step in enumerate(recorded)
        },
    }
    return FinishedRun(**{**values, **filled, **changes})
