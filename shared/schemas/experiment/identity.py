"""What makes two configurations the same: their hash, and the seed that follows from it."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from shared.schemas.experiment.config import SEEDS, ExperimentConfig

#: What changes where and how far a run goes, and not what it is.
NOT_HASHED = frozenset(
    {"budget", "logging", "transcript_logging", "models", "connection", "utility_agent_connection"}
)


def config_hash(config: ExperimentConfig) -> str:
    """SHA-256 (hex) of the configuration's canonical JSON.

    Every key counts, defaults as well, and agents count in their order. :data:`NOT_HASHED` and the agents'
    connections are left out: a run resumed with a higher budget, or repeated over another connection, is
    still the same experiment.
    """
    return hashlib.sha256(_canonical(config)).hexdigest()


def derived_seed(config: ExperimentConfig) -> int:
    """The seed of a run, 0 to 2³¹ - 1: the one that is given, else a function of what is hashed."""
    if config.seed is not None:
        return config.seed
    return int(hashlib.sha256(b"seed:" + _canonical(config)).hexdigest()[:8], 16) % SEEDS


def _canonical(config: ExperimentConfig) -> bytes:
    values: dict[str, Any] = config.model_dump(mode="json", exclude=set(NOT_HASHED))
    for agent in values["agents"]:
        del agent["connection"]
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS)
