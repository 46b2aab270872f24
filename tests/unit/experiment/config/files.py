"""Configurations for the tests."""

from __future__ import annotations

from typing import Any

import pytest

from shared.schemas.experiment.config import ExperimentConfig
from shared.schemas.experiment.reading import ConfigError, read_config


def agent(name: str, **keys: Any) -> dict[str, Any]:
    return {"name": name, "personality": f"You are {name}.", **keys}


def document(*names: str, **keys: Any) -> dict[str, Any]:
    return {"agents": [agent(name) for name in names or ("Alice", "Bob", "Carol")], **keys}


def config(*names: str, **keys: Any) -> ExperimentConfig:
    return read_config(document(*names, **keys))


def faults(given: Any) -> dict[str, str]:
    """The faults of a configuration that is refused: message by path."""
    with pytest.raises(ConfigError) as caught:
        read_config(given)
    errors = caught.value.errors
    assert errors
    assert all(set(one) == {"field", "message"} for one in errors)
    return {one["field"]: one["message"] for one in errors}
