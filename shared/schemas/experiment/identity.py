"""What makes two configurations the same: their hashes, and the seed that follows from them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import BaseModel

from shared.schemas.experiment.config import SEEDS, ExperimentConfig
from shared.schemas.experiment.profile import PROFILES

#: What changes where and how far a run goes, and not what it is.
NOT_HASHED = frozenset(
    {"budget", "logging", "transcript_logging", "models", "connection", "utility_agent_connection"}
)


def config_hash(config: ExperimentConfig) -> str:
    """SHA-256 (hex) of the configuration's canonical JSON.

    The seed counts, agents count in their order, and models as the file names them. :data:`NOT_HASHED` and
    the agents' connections are left out: a run resumed with a higher budget, or repeated over another
    connection, has the same hash. Which models answer is in :func:`design_hash`.
    """
    return _sha256(_canonical(config))


def design_hash(
    config: ExperimentConfig,
    models: Mapping[str | None, str],
    *,
    fork: tuple[str, int] | None = None,
) -> str:
    """SHA-256 (hex) of what repetitions of a run have in common: all of :func:`config_hash` but the seed, and
    the models that answer instead of those that the file names.

    Args:
        config: of the run.
        models: the name that each role's provider is asked for: by agent; the utility agent's by ``None``.
        fork: the design of the run that was forked, and the round.
    """
    values = _canonical(config)
    values.pop("seed", None)
    for agent in values["agents"]:
        agent["model"] = models[agent["name"]]
    values["utility_agent_model"] = models[None]
    if fork is not None:
        values["fork"] = list(fork)
    return _sha256(values, b"design:")


def derived_seed(config: ExperimentConfig) -> int:
    """The seed of a run, 0 to 2³¹ - 1: the one that is given, else a function of what is hashed."""
    if config.seed is not None:
        return config.seed
    return int(_sha256(_canonical(config), b"seed:")[:8], 16) % SEEDS


def _sha256(values: Mapping[str, Any], prefix: bytes = b"") -> str:
    return hashlib.sha256(prefix + orjson.dumps(values, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _canonical(config: ExperimentConfig) -> dict[str, Any]:
    """What differs from the defaults, of the profile where that has one.

    A key that a later version adds, with a default that leaves things as they were, changes no hash and no
    derived seed of a file without it. So the default of a key that was released must not change.
    """
    values = _differing(config, PROFILES[config.profile])
    for key in NOT_HASHED:
        values.pop(key, None)
    for agent in values["agents"]:
        agent.pop("connection", None)
    return values


def _differing(model: BaseModel, defaults: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The fields of ``model`` as JSON, without those that have their default (one of ``defaults`` first)."""
    dumped = model.model_dump(mode="json")
    kept = {}
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if not field.is_required():
            own = field.get_default(call_default_factory=True)
            if value == (defaults or {}).get(name, own):
                continue
        kept[name] = _reduced(value, dumped[name])
    return kept


def _reduced(value: Any, dumped: Any) -> Any:
    if isinstance(value, BaseModel):
        return _differing(value)
    if isinstance(value, list):
        return [_reduced(item, as_json) for item, as_json in zip(value, dumped, strict=True)]
    return dumped
