"""What a paper tells of a run, so that others can find, check and repeat it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.experiment.result.canonical import digest

_SEED_SOURCES = {
    "config": "of the configuration",
    "request": "given",
    "derived": "derived from the configuration",
    "drawn": "drawn",
}


def seed_source(run: Mapping[str, Any]) -> str:
    """Where the seed of ``run`` (of a result) is from, in words."""
    return _SEED_SOURCES.get(run["seed_source"], str(run["seed_source"]))


def citation(result: Mapping[str, Any]) -> str:
    """Lines that identify a run: configuration, seed, result, software, models."""
    run = result["run"]
    versions = dict(run["versions"])
    prompts = versions.pop("prompts", None)
    lines = [
        f"Run {run['name'] or run['experiment_id'] or 'without a name'} ({run['status']})",
        f"Software: Parley {versions.get('parley', 'of an unknown version')}"
        + "".join(f", {name} {version}" for name, version in sorted(versions.items()) if name != "parley"),
        *([f"Prompts, SHA-256: {prompts}"] if prompts else []),
        f"Configuration, SHA-256: {run['config_hash']}",
        *([f"Design (any seed, these models), SHA-256: {run['design_hash']}"] if run["design_hash"] else []),
        f"Seed: {run['seed']} ({seed_source(run)})",
        f"Result, SHA-256 of the canonical form {run['result_version']}: {digest(result)}",
        *_models(run["models"]),
    ]
    if run["started_at"] is not None:
        lines.append(f"Begun: {run['started_at']}")
    if run["experiment_id"] is not None:
        lines.append(f"Experiment: {run['experiment_id']}")
    return "\n".join(lines)


def _models(models: Mapping[str, Any]) -> list[str]:
    roles: dict[str, list[str]] = {}
    for role, used in (*models["agents"].items(), ("utility agent", models["utility_agent"])):
        if used is not None:
            roles.setdefault(_model(used), []).append(role)
    return [f"Model: {model}: {', '.join(names)}" for model, names in roles.items()]


def _model(used: Mapping[str, Any]) -> str:
    told = used["requested"]
    if used["answered"] and used["answered"] != [told]:
        told += f" (answered as {', '.join(used['answered'])})"
    return told if used["digest"] is None else f"{told} [{used['digest']}]"
