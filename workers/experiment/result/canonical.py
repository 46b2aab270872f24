"""The one form of a result that two runs of the same answers share, and its digest."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

#: What differs between two runs of the same answers: ids, times, durations, and what is set around the run
#: and not in it (names, prices, versions, budgets). A ``*`` stands for any one key or index. The digest is
#: taken without them; `docs/experiments.md` lists them with their reasons.
VOLATILE: tuple[str, ...] = (
    # Ids and names
    "run.experiment_id",
    "run.name",
    "run.lineage",
    "general_information.config_file_used",
    # Times
    "run.started_at",
    "run.finished_at",
    "agents.*.phase_1.*.timestamp",
    "agents.*.phase_1.comprehension.*.timestamp",
    "agents.*.phase_1.demonstrations.*.timestamp",
    "agents.*.phase_2.rounds.*.timestamp",
    "agents.*.phase_2.post_group_discussion.timestamp",
    "agents.*.phase_2.post_group_discussion.vote_timestamp",
    "voting_history.vote_rounds.*.participant_votes.*.vote_timestamp",
    "voting_history.vote_rounds.*.participant_votes.*.timestamp",
    "voting_history.vote_rounds.*.confirmation_results.*.timestamp",
    "voting_history.vote_confirmation_attempts.*.timestamp",
    # Durations, and calls that were sent again because a worker was lost
    "run.usage.seconds",
    "run.usage.calls_sent",
    # What is set around the run
    "run.usage.cost",
    "run.usage.by_role.*.cost",
    "run.connection",
    "run.models.agents.*.connection",
    "run.models.agents.*.prices",
    "run.models.utility_agent.connection",
    "run.models.utility_agent.prices",
    "run.versions",
    "run.config.budget",
    "run.earlier_configs.*.config.budget",
)

_PATTERNS = tuple(tuple(entry.split(".")) for entry in VOLATILE)
_Patterns = tuple[tuple[str, ...], ...]


def canonical(result: Mapping[str, Any]) -> bytes:
    """The result without the fields of :data:`VOLATILE`, as JSON with one form only.

    Keys are sorted, nothing is indented, text is UTF-8 and not escaped, and a number that is whole has no
    decimal point: ``12`` and ``12.0`` are the same.

    Raises:
        ValueError: a number is infinite or none at all.
    """
    stable = _without(result, _PATTERNS)
    text = json.dumps(stable, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # What a model wrote may hold halves of characters; they are kept as they came.
    return text.encode("utf-8", "surrogatepass")


def digest(result: Mapping[str, Any]) -> str:
    """SHA-256 of :func:`canonical`, in hexadecimal."""
    return hashlib.sha256(canonical(result)).hexdigest()


def volatile_entries(result: Mapping[str, Any]) -> dict[str, int]:
    """How many places of ``result`` each entry of :data:`VOLATILE` names."""
    return {entry: _count(result, tuple(entry.split("."))) for entry in VOLATILE}


def _without(value: Any, patterns: _Patterns) -> Any:
    if isinstance(value, Mapping):
        kept = {}
        for key, item in value.items():
            inner = _below(patterns, str(key))
            if () not in inner:
                kept[str(key)] = _without(item, inner)
        return kept
    if isinstance(value, (list, tuple)):
        return [_without(item, _below(patterns, str(index))) for index, item in enumerate(value)]
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    return value


def _below(patterns: _Patterns, key: str) -> _Patterns:
    return tuple(pattern[1:] for pattern in patterns if pattern and pattern[0] in ("*", key))


def _count(value: Any, pattern: tuple[str, ...]) -> int:
    if not pattern:
        return 1
    items: list[tuple[str, Any]] = []
    if isinstance(value, Mapping):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, (list, tuple)):
        items = [(str(index), item) for index, item in enumerate(value)]
    return sum(_count(item, pattern[1:]) for key, item in items if pattern[0] in ("*", key))
