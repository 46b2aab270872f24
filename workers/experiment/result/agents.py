"""The result's ``agents``: each one's way through both phases."""

from __future__ import annotations

from typing import Any

from shared.schemas.experiment.agent_config import AgentConfig
from workers.experiment.records import (
    ApplicationRecord,
    Ballot,
    ComprehensionRecord,
    DiscussionRound,
    Phase1Record,
    Phase2Record,
)
from workers.experiment.result.answers import Times, answered_at, asked, choice, earning, ranked, rankings
from workers.experiment.result.plain import plain
from workers.experiment.result.run import FinishedRun


def agents(run: FinishedRun) -> list[dict[str, Any]]:
    """An entry for each agent, in the configuration's order; what it did not come to is ``None``."""
    alone = {record.agent: record for record in run.phase_1}
    return [_agent(agent, alone.get(agent.name), run) for agent in run.config.agents]


def _agent(agent: AgentConfig, alone: Phase1Record | None, run: FinishedRun) -> dict[str, Any]:
    used = run.models.get(agent.name)
    return {
        "name": agent.name,
        # Who spoke, and not who was meant to: ``--model`` and ``models`` put others in their place.
        "model": None if used is None else used.requested,
        "configured_model": agent.model,
        "temperature": agent.temperature,
        "personality": agent.personality,
        "reasoning_enabled": agent.reasoning_enabled,
        "language": plain(agent.language),
        "phase_1": None if alone is None else _phase_1(alone, run.times),
        "phase_2": None if run.phase_2 is None else _phase_2(agent.name, run),
    }


def _phase_1(record: Phase1Record, times: Times) -> dict[str, Any]:
    return {
        "initial_ranking": ranked(record.initial_ranking, times),
        "detailed_explanation": {
            "response_to_demonstration": record.explanation.text,
            **asked(record.explanation, times),
        },
        "comprehension": [_comprehension(sitting, times) for sitting in record.comprehension],
        "ranking_2": ranked(record.ranking_2, times),
        "demonstrations": [_demonstration(application, times) for application in record.applications],
        "ranking_3": ranked(record.ranking_3, times),
    }


def _comprehension(record: ComprehensionRecord, times: Times) -> dict[str, Any]:
    return {
        "version": record.version,
        "correct": list(record.correct),
        "passed": record.passed,
        **asked(record, times),
    }


def _demonstration(record: ApplicationRecord, times: Times) -> dict[str, Any]:
    made = choice(record.choice)
    return {
        "number_demonstration_round": record.round,
        "choice_principal": made["principle"],
        "constraint_amount": made["constraint_amount"],
        "certainty": plain(record.certainty),
        **earning(record.earning),
        "payoff_if_other_principles": record.alternatives,
        "alternatives": record.alternatives,
        "bank_balance_after_round": plain(record.balance_after),
        **asked(record, times),
    }


def _phase_2(agent: str, run: FinishedRun) -> dict[str, Any]:
    group = run.phase_2
    rounds = () if group is None else group.rounds
    ended = group if isinstance(group, Phase2Record) else None
    return {
        "rounds": [_round(agent, discussed, run.times) for discussed in rounds],
        "post_group_discussion": None if ended is None else _afterwards(agent, ended, run.times),
    }


def _round(agent: str, discussed: DiscussionRound, times: Times) -> dict[str, Any]:
    said = next((statement for statement in discussed.statements if statement.agent == agent), None)
    wish = next((answer for answer in discussed.vote.initiations if answer.agent == agent), None)
    place = discussed.speaking_order.index(agent) + 1 if agent in discussed.speaking_order else None
    heard: dict[str, Any] = {
        "internal_reasoning": None,
        "public_message": None,
        "favored_principle": None,
        "proposed_principle": None,
        "quarantined": None,
        "memory_coming_in_this_round": None,
        "bank_balance": None,
        "raw_response": None,
        "steps": [],
        "warnings": [],
        "timestamp": None,
    }
    if said is not None:
        heard = {
            "internal_reasoning": said.reasoning,
            "public_message": said.public,
            "favored_principle": plain(said.favoured),
            "proposed_principle": plain(said.proposal),
            "quarantined": said.quarantined,
            **asked(said, times),
        }
    return {
        "number_discussion_round": discussed.number,
        "speaking_order": place,
        **heard,
        "initiate_vote": None if wish is None else yes_no(wish.wants),
        "initiate_vote_response": None if wish is None else wish.text,
    }


def _afterwards(agent: str, group: Phase2Record, times: Times) -> dict[str, Any]:
    final = group.final_rankings.get(agent)
    ballot = _last_ballot(agent, group)
    cast = choice(None if ballot is None else ballot.choice)
    circumstances: dict[str, Any] = {
        "memory_coming_in_this_round": None,
        "bank_balance": None,
        "raw_response": None,
        "steps": [],
        "warnings": [],
        "timestamp": None,
    }
    return {
        **earning(group.outcome.earnings.get(agent)),
        "final_ranking": None if final is None else rankings(final.ranking),
        "final_vote": cast["principle"],
        "final_vote_amount": cast["constraint_amount"],
        "vote_timestamp": None if ballot is None else answered_at(ballot.steps, times),
        "results_shown": group.results_shown.get(agent),
        **(circumstances if final is None else asked(final, times)),
    }


def _last_ballot(agent: str, group: Phase2Record) -> Ballot | None:
    cast = [ballot for round_ in group.rounds for ballot in round_.vote.ballots if ballot.agent == agent]
    return cast[-1] if cast else None


def yes_no(value: bool | None) -> str | None:
    """``Yes`` or ``No``, as the result tells answers to a question; ``None`` was no readable answer."""
    return None if value is None else ("Yes" if value else "No")
