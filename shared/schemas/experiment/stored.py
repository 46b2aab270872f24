"""A configuration as it is stored: the version before this one reads it, too."""

from __future__ import annotations

from typing import Any

from shared.schemas.experiment.config import ExperimentConfig

#: Top-level keys that the version before this one does not know, and would refuse. While an installation is
#: brought from one version to the next, workers of either take runs that gateways of either accepted. A key
#: stays here for one version.
NEW_KEYS = frozenset({"memory_statement_length", "memory_reasoning_length", "voting_context_length"})


def stored(config: ExperimentConfig) -> dict[str, Any]:
    """``config`` as JSON, without :data:`NEW_KEYS` that have their defaults; it reads as ``config``.

    A run that uses one of them needs workers of this version.
    """
    defaults = {key: ExperimentConfig.model_fields[key].default for key in NEW_KEYS}
    dumped = config.model_dump(mode="json")
    return {
        key: value
        for key, value in dumped.items()
        if key not in defaults or getattr(config, key) != defaults[key]
    }
