"""The result JSON of a run: three keys for the analyses that exist already, two for what they lack."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from workers.experiment.records import GroupOutcome, ManipulationRecord, Phase2Record
from workers.experiment.result.agents import agents
from workers.experiment.result.answers import choice
from workers.experiment.result.plain import instant, plain
from workers.experiment.result.run import FinishedRun, ModelUsed, Prices, RunStatus
from workers.experiment.result.usage import Spent
from workers.experiment.result.voting import voting_history

#: Of the form below; raised when a field changes its meaning.
RESULT_VERSION = 1


def build(run: FinishedRun) -> dict[str, Any]:
    """The result of ``run`` as JSON: `docs/experiments.md` describes each field.

    Whether there was agreement is told of complete runs only: of any other ``consensus_reached`` is ``None``.
    """
    return {
        "general_information": _general_information(run),
        "agents": agents(run),
        "voting_history": voting_history(run),
        "run": _run(run),
        "analysis": _analysis(run),
    }


def _general_information(run: FinishedRun) -> dict[str, Any]:
    group = run.phase_2
    outcome = _outcome(run)
    agreed = outcome is not None and outcome.decided_by in ("consensus", "majority")
    decided = choice(None if outcome is None else outcome.choice)
    return {
        "consensus_reached": _consensus_reached(outcome),
        "consensus_principle": decided["principle"] if agreed else None,
        "max_rounds_phase_2": run.config.phase2_rounds,
        "rounds_conducted_phase_2": 0 if group is None else len(group.rounds),
        "public_conversation_phase_2": "" if group is None else group.public_history,
        "config_file_used": run.config_file,
        "seed_randomness": run.seed,
        "income_class_probabilities": plain(run.config.income_class_probabilities),
        "original_values_mode_enabled": run.config.original_values_mode.enabled,
        "manipulator_target_info": None
        if group is None or group.manipulation is None
        else _target(group.manipulation),
        "status": run.status.value,
        "status_reason": None
        if run.reason is None
        else {"code": run.reason.code, "message": run.reason.message},
        "decided_by": None if outcome is None else outcome.decided_by,
        "decided_principle": decided["principle"],
        "consensus_amount": decided["constraint_amount"],
        "constraint_binding": None if outcome is None else outcome.binding,
        "distribution_multiplier": None if outcome is None else plain(outcome.multiplier),
        "agenda": None if group is None else plain(group.agenda),
    }


def _outcome(run: FinishedRun) -> GroupOutcome | None:
    if run.status is RunStatus.COMPLETE and isinstance(run.phase_2, Phase2Record):
        return run.phase_2.outcome
    return None


def _consensus_reached(outcome: GroupOutcome | None) -> bool | None:
    """``None`` where nobody was asked: the run is not complete, or the decision was imposed."""
    if outcome is None or outcome.decided_by == "imposed":
        return None
    return outcome.decided_by in ("consensus", "majority")


def _target(manipulation: ManipulationRecord) -> dict[str, Any]:
    return {
        "manipulator_name": manipulation.agent,
        "manipulator_type": manipulation.kind,
        "target_principle": plain(manipulation.target),
        "least_popular_principle": plain(manipulation.target) if manipulation.scores else None,
        "principle_scores": plain(manipulation.scores),
        "tied_principles": plain(manipulation.tied),
        "tiebreak_applied": manipulation.tiebreak_applied,
        "delivered": manipulation.delivered,
        "intervention_rounds": list(manipulation.rounds),
        "message_length": manipulation.message_length,
    }


def _run(run: FinishedRun) -> dict[str, Any]:
    return {
        "result_version": RESULT_VERSION,
        "experiment_id": run.experiment_id,
        "name": run.name,
        "lineage": plain(run.lineage),
        "status": run.status.value,
        "seed": run.seed,
        "seed_source": run.seed_source,
        "config_hash": run.config_hash,
        "design_hash": run.design_hash,
        "connection": run.connection,
        "config": _document(run.document, run),
        "earlier_configs": [
            {"from_round": from_round, "config": _document(document, run)}
            for from_round, document in run.earlier
        ],
        "models": {
            "agents": {
                agent.name: _model(run.models.get(agent.name), _notes(agent.name, run))
                for agent in run.config.agents
            },
            "utility_agent": _model(run.models.get(None), _notes(None, run)),
        },
        "usage": _usage(run),
        "degraded_services": plain(run.degraded),
        "steps_sha256": run.step_log,
        "versions": dict(run.versions),
        "started_at": instant(run.started_at),
        "finished_at": instant(run.finished_at),
    }


def _document(stored: Mapping[str, Any] | None, run: FinishedRun) -> Any:
    """A configuration as it was stored, its keys in the order of the file's description."""
    known = run.config.model_dump(mode="json")
    return known if stored is None else _in_order(stored, known)


def _in_order(value: Any, like: Any) -> Any:
    if isinstance(value, Mapping):
        known = like if isinstance(like, Mapping) else {}
        keys = [key for key in known if key in value] + [key for key in value if key not in known]
        return {key: _in_order(value[key], known.get(key)) for key in keys}
    if isinstance(value, list):
        first = like[0] if isinstance(like, list) and like else None
        return [_in_order(item, first) for item in value]
    return value


def _model(used: ModelUsed | None, notes: tuple[str, ...]) -> dict[str, Any] | None:
    if used is None:
        return None
    # Sorted: answers arrive in any order, and the result must not depend on it.
    return {**plain(used), "answered": sorted(used.answered), "notes": sorted(notes)}


def _notes(role: str | None, run: FinishedRun) -> tuple[str, ...]:
    """What was found out about the model of a role, by whichever of the roles that it plays asked first."""
    used = run.models.get(role)
    found = set(run.notes.get(role, ()))
    for other, its in run.models.items():
        if used is not None and (its.requested, its.connection) == (used.requested, used.connection):
            found.update(run.notes.get(other, ()))
    return tuple(found)


def _usage(run: FinishedRun) -> dict[str, Any]:
    standing = run.standing
    roles: list[str | None] = [*(agent.name for agent in run.config.agents), None]
    by_role = [_role(role, [row for row in run.spent if row.role == role], run) for role in roles]
    costs = [row["cost"] for row in by_role if row["calls"]]
    known = sum((Decimal(str(cost)) for cost in costs if cost is not None), Decimal(0))
    return {
        "calls": sum(row.calls for row in run.spent),
        "calls_sent": standing.calls,
        "reasked": sum(row.reasked for row in run.spent),
        "unreadable": sum(row.unreadable for row in run.spent),
        "timed_out": sum(row.timed_out for row in run.spent),
        "refused": sum(row.refused for row in run.spent),
        "input_tokens": sum(row.input_tokens for row in run.spent),
        "output_tokens": sum(row.output_tokens for row in run.spent),
        "seconds": round(standing.seconds, 3),
        # Of a role without prices the cost is not known, and then neither is that of the run.
        "cost": {
            "total": None if None in costs else plain(known),
            "known": plain(known),
        },
        "by_role": by_role,
        "by_round": plain(run.spent),
    }


def _role(role: str | None, rows: list[Spent], run: FinishedRun) -> dict[str, Any]:
    used = run.models.get(role)
    tokens = sum(row.input_tokens for row in rows), sum(row.output_tokens for row in rows)
    return {
        "role": role,
        "calls": sum(row.calls for row in rows),
        "reasked": sum(row.reasked for row in rows),
        "input_tokens": tokens[0],
        "output_tokens": tokens[1],
        "cost": None if used is None or used.prices is None else plain(_cost(used.prices, *tokens)),
    }


def _cost(prices: Prices, read: int, written: int) -> Decimal:
    """In the currency of the prices, to a millionth: single answers cost fractions of a cent."""
    cost = (prices.input * read + prices.output * written) / 1_000_000
    return cost.quantize(Decimal("0.000001"))


def _analysis(run: FinishedRun) -> dict[str, Any]:
    group = run.phase_2
    manipulation = None if group is None else group.manipulation
    return {
        "counterfactuals": plain(run.counterfactuals),
        "preference_aggregation": plain(run.aggregation),
        "manipulation_effects": None if manipulation is None else plain(manipulation.effects),
        "memory_growth": {} if group is None else plain(group.memory_growth),
    }
