"""Which experiment an id, or the beginning of one, means."""

from __future__ import annotations

import uuid
from typing import Any

from deploy.cli.api import Api, ApiError

#: Characters that the beginning of an id must have.
SHORTEST = 4
#: The newest experiments, among which a beginning is looked for.
RECENT = 200


def chosen_experiment(api: Api, given: str) -> str:
    """The whole id.

    Raises:
        ApiError: no recent experiment of the caller begins so, or several do.
    """
    wanted = given.strip().lower()
    try:
        return str(uuid.UUID(wanted))
    except ValueError:
        pass
    if len(wanted) < SHORTEST:
        raise ApiError(
            f"{given!r} is too short: give {SHORTEST} characters of an experiment's id, or more.", status=404
        )
    recent: list[dict[str, Any]] = api.get("/api/experiments", limit=RECENT)["items"]
    found = [item for item in recent if item["id"].startswith(wanted)]
    if len(found) == 1:
        return str(found[0]["id"])
    if not found:
        raise ApiError(
            f"None of your {len(recent)} newest experiments has an id that begins with {given!r}; "
            "parley experiment list shows them.",
            status=404,
        )
    several = ", ".join(f"{item['id']} ({item['name']})" for item in found[:5])
    raise ApiError(f"{len(found)} experiments begin with {given!r}: {several}; give more of it.", status=404)


def experiment_path(experiment_id: str, rest: str = "") -> str:
    """The path of an experiment, or of something of it."""
    return f"/api/experiments/{experiment_id}" + (f"/{rest}" if rest else "")
