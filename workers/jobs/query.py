"""Short operations that need a worker, as jobs that the gateway waits for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from shared.errors import ValidationError
from shared.jobs.messages import Reply
from shared.jobs.store import Along
from shared.schemas.events import EventType
from shared.schemas.queries import QueryOperation
from shared.security.secrets import SecretBox
from shared.settings import Settings
from workers.jobs.handler import Work
from workers.jobs.running import RunningAttempt
from workers.jobs.turns import Target, load_target
from workers.providers.base.http_client import ProviderHttpClient
from workers.providers.base.provider_service import BaseProviderService
from workers.providers.factory import ProviderFactory


class QueryHandler:
    """Carries out operations on provider connections."""

    along: Along | None = None

    def __init__(
        self, *, engine: AsyncEngine, box: SecretBox, settings: Settings, client: ProviderHttpClient
    ) -> None:
        self._engine = engine
        self._box = box
        self._settings = settings
        self._client = client
        self._operations: dict[QueryOperation, Callable[..., Awaitable[dict[str, Any]]]] = {
            QueryOperation.TEST_CONNECTION: self._test_connection,
            QueryOperation.LIST_MODELS: self._list_models,
            QueryOperation.PULL_MODEL: self._pull_model,
        }

    async def work(self, attempt: RunningAttempt) -> Work:
        """Carry out the operation that the payload names."""
        payload = attempt.job.payload
        target = await load_target(
            self._engine,
            UUID(payload["connection_id"]),
            attempt.job.owner_id,
            self._box,
            self._settings,
        )
        provider = ProviderFactory.create_provider(target.provider, self._client)
        operation = self._operations[QueryOperation(payload["operation"])]
        return Work(Reply(), await operation(provider, target, attempt))

    def partial(self, attempt: RunningAttempt) -> Reply:
        """An operation has no partial answer."""
        return Reply()

    def forget(self, attempt: RunningAttempt) -> None:
        """Nothing is kept of an operation."""

    async def has_stages_left(self, attempt: RunningAttempt) -> bool:
        """Nothing follows an operation."""
        return False

    async def run_stages(self, attempt: RunningAttempt) -> None:
        """Nothing follows an operation."""

    async def _test_connection(
        self, provider: BaseProviderService, target: Target, attempt: RunningAttempt
    ) -> dict[str, Any]:
        report = await provider.test_connection(target.settings, target.timeouts)
        return {
            "version": report.version,
            "models": None if report.models is None else list(report.models),
            "response_time": report.response_time,
        }

    async def _list_models(
        self, provider: BaseProviderService, target: Target, attempt: RunningAttempt
    ) -> dict[str, Any]:
        models = await provider.list_models(target.settings, target.timeouts)
        return {
            "models": [
                {"name": model.name, "size": model.size, "context_length": model.context_length}
                for model in models
            ]
        }

    async def _pull_model(
        self, provider: BaseProviderService, target: Target, attempt: RunningAttempt
    ) -> dict[str, Any]:
        model = attempt.job.payload.get("model") or target.settings.model
        if not model:
            raise ValidationError(
                "Nothing says which model to fetch: send model.",
                errors=[{"field": "model", "message": "is missing"}],
            )
        async with aclosing(provider.pull_model(target.settings, model, target.timeouts)) as steps:
            async for step in steps:
                attempt.emit(
                    EventType.PROGRESS,
                    {"status": step.status, "total": step.total, "completed": step.completed},
                )
                if attempt.full:
                    await attempt.room()
        return {"model": model}
