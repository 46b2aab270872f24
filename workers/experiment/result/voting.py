"""The result's ``voting_history``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workers.experiment.records import Ballot, ConfirmationAnswer, DiscussionRound, VoteRound
from workers.experiment.result.agents import yes_no
from workers.experiment.result.answers import Times, answered_at, choice
from workers.experiment.result.plain import plain
from workers.experiment.result.run import FinishedRun


def voting_history(run: FinishedRun) -> dict[str, Any]:
    """Every vote, as far as it went; ``vote_rounds`` holds those that came to a ballot."""
    rounds = () if run.phase_2 is None else run.phase_2.rounds
    balloted = [round_ for round_ in rounds if round_.vote.ballots]
    reached = sum(round_.vote.reached for round_ in balloted)
    confirmed = [round_ for round_ in rounds if round_.vote.confirmations]
    return {
        "voting_system": "formal_voting",
        "voting_detection_mode": "complex",
        "total_vote_attempts": len(balloted),
        "successful_votes": reached,
        "vote_rounds": [_vote_round(round_, run.times) for round_ in balloted],
        "vote_initiation_requests": {
            str(round_.number): {answer.agent: yes_no(answer.wants) for answer in round_.vote.initiations}
            for round_ in rounds
        },
        "vote_confirmation_attempts": [_attempt(round_.vote, run.times) for round_ in confirmed],
        "vote_statistics": _statistics(balloted, confirmed, reached),
    }


def _vote_round(discussed: DiscussionRound, times: Times) -> dict[str, Any]:
    vote = discussed.vote
    outcome = vote.consensus
    agreed = choice(outcome.choice if outcome is not None and outcome.reached else None)
    trigger = next((said.public for said in discussed.statements if said.agent == vote.initiator), None)
    return {
        "round_number": vote.round,
        "vote_type": "formal_vote",
        "trigger": vote.trigger,
        "trigger_participant": vote.initiator,
        "trigger_statement": trigger,
        "participant_votes": [_ballot(ballot, times) for ballot in vote.ballots],
        "consensus_reached": vote.reached,
        "agreed_principle": agreed["principle"],
        "agreed_constraint": agreed["constraint_amount"],
        "vote_counts": {} if outcome is None else plain(outcome.counts),
        "abstentions": 0 if outcome is None else outcome.abstentions,
        "disagreement": None if outcome is None else plain(outcome.disagreement),
        "disagreement_detail": None if outcome is None else outcome.detail,
        "confirmation_phase_occurred": bool(vote.confirmations),
        "confirmation_results": [_confirmation(answer, vote, times) for answer in vote.confirmations],
        "warnings": [f"{ballot.agent}: {code}" for ballot in vote.ballots for code in ballot.warnings],
    }


def _ballot(ballot: Ballot, times: Times) -> dict[str, Any]:
    cast = choice(ballot.choice)
    when = answered_at(ballot.steps, times)
    return {
        "participant_name": ballot.agent,
        "raw_response": ballot.text,
        "amount_raw_response": ballot.amount_text,
        "assessed_choice": cast["principle"],
        "constraint_amount": cast["constraint_amount"],
        "parsing_success": ballot.choice is not None,
        "certainty": plain(ballot.certainty),
        "abstention": ballot.abstention,
        "warnings": list(ballot.warnings),
        "steps": list(ballot.steps),
        "vote_timestamp": when,
        "timestamp": when,
    }


def _confirmation(answer: ConfirmationAnswer, vote: VoteRound, times: Times) -> dict[str, Any]:
    return {
        "participant_name": answer.agent,
        "initiator": answer.agent == vote.initiator,
        "raw_response": answer.text,
        "agrees": answer.agrees,
        "warnings": list(answer.warnings),
        "steps": list(answer.steps),
        "timestamp": answered_at(answer.steps, times),
    }


def _attempt(vote: VoteRound, times: Times) -> dict[str, Any]:
    steps = [path for answer in vote.confirmations for path in answer.steps]
    return {
        "round_number": vote.round,
        "initiator": vote.initiator,
        "confirmation_responses": {answer.agent: yes_no(answer.agrees) for answer in vote.confirmations},
        "confirmation_succeeded": vote.confirmed is True,
        "timestamp": answered_at(steps, times),
    }


def _statistics(
    balloted: Sequence[DiscussionRound], confirmed: Sequence[DiscussionRound], reached: int
) -> dict[str, Any]:
    ballots = [ballot for round_ in balloted for ballot in round_.vote.ballots]
    decided = [round_.number for round_ in balloted if round_.vote.reached]
    return {
        "total_attempts": len(balloted),
        "successful_votes": reached,
        "success_rate": reached / len(balloted) if balloted else 0,
        "failed_parsing_attempts": sum(ballot.abstention == "unreadable" for ballot in ballots),
        "average_consensus_round": sum(decided) / len(decided) if decided else None,
        "abstentions": sum(ballot.choice is None for ballot in ballots),
        "ballots_cast": len(ballots),
        "confirmations_refused": sum(round_.vote.confirmed is False for round_ in confirmed),
    }
