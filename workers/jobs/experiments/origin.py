"""Which models a run was made with, as far as their providers tell."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from shared.errors import ParleyError
from workers.experiment.together import together
from workers.jobs.experiments.loading import StoredRun
from workers.jobs.experiments.models import RoleModel
from workers.providers.base.http_client import ProviderHttpClient

log = logging.getLogger(__name__)

#: Seconds that a provider may take to tell of its models: a run does not wait for it.
PATIENCE = 5.0


async def model_origins(
    run: StoredRun, roles: Mapping[str | None, RoleModel], client: ProviderHttpClient
) -> list[dict[str, Any]]:
    """For each role: what was asked for, over which connection, at what price, and the model's digest."""
    asked: dict[tuple[str, str], RoleModel] = {}
    for role in roles.values():
        asked.setdefault((str(role.target.connection_id), role.model), role)
    digests = dict(zip(asked, await together(_digest(role, client) for role in asked.values()), strict=True))
    return [
        {
            "role": name,
            "requested": role.model,
            "connection": run.routes[name].get("connection_name"),
            "provider": role.target.provider.value,
            "digest": digests[(str(role.target.connection_id), role.model)],
            "prices": None if role.prices is None else role.prices.model_dump(mode="json"),
        }
        for name, role in roles.items()
    ]


async def _digest(role: RoleModel, client: ProviderHttpClient) -> str | None:
    provider = role.target.service(client)
    try:
        async with asyncio.timeout(PATIENCE):
            models = await provider.list_models(role.target.settings, role.target.timeouts)
    except (ParleyError, TimeoutError):
        log.info("a provider does not tell of its models", exc_info=True)
        return None
    for model in models:
        if model.name in (role.model, f"{role.model}:latest"):
            return told_digest(model.details)
    return None


def told_digest(details: Mapping[str, Any]) -> str | None:
    """The digest in a provider's details of a model: Ollama tells one, and the local model's server has the
    SHA-256 of its file among its tags.
    """
    digest, tags = details.get("digest"), details.get("tags")
    if isinstance(digest, str) and digest:
        return digest
    tagged = tags if isinstance(tags, list) else []
    return next((tag for tag in tagged if isinstance(tag, str) and tag.startswith("sha256:")), None)
