"""Short operations that need a worker, as jobs that the gateway waits for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any
from uuid import UUID

from shared import tracing
from shared.errors import ValidationError
from shared.jobs.messages import Reply
from shared.jobs.states import Status
from shared.jobs.store import Along, FencedTransaction
from shared.metrics.providers import provider_call
from shared.schemas.events import EventType
from shared.schemas.queries import QueryOperation
from workers.jobs.experiments.reports import Reports
from workers.jobs.handler import OneStage, Work
from workers.jobs.running import RunningAttempt
from workers.jobs.script_queries import ScriptQueries
from workers.jobs.turn_world import StageParts
from workers.jobs.turns import Target, load_target
from workers.providers.base.provider_service import BaseProviderService


class QueryHandler(OneStage):
    """Carries out operations on provider connections, and those on scripts and templates."""

    along: Along | None = None

    def __init__(self, parts: StageParts) -> None:
        self._parts = parts
        scripts = ScriptQueries(parts)
        self._operations: dict[QueryOperation, Callable[[RunningAttempt], Awaitable[dict[str, Any]]]] = {
            QueryOperation.TEST_CONNECTION: self._test_connection,
            QueryOperation.LIST_MODELS: self._list_models,
            QueryOperation.PULL_MODEL: self._pull_model,
            QueryOperation.COMPILE_SCRIPT: scripts.compile_script,
            QueryOperation.TEST_SCRIPT: scripts.test_script,
            QueryOperation.RESOLVE_TEMPLATE: scripts.resolve_template,
            QueryOperation.EXPERIMENT_REPORT: Reports(parts.engine).draw,
        }

    async def work(self, attempt: RunningAttempt) -> Work:
        """Carry out the operation that the payload names."""
        operation = self._operations[QueryOperation(attempt.job.payload["operation"])]
        with tracing.span(attempt.job.payload["operation"]):
            return Work(Reply(), await operation(attempt))

    async def _provider(self, attempt: RunningAttempt) -> tuple[BaseProviderService, Target]:
        target = await load_target(
            self._parts.engine,
            UUID(attempt.job.payload["connection_id"]),
            attempt.job.owner_id,
            self._parts.box,
            self._parts.settings,
        )
        return target.service(self._parts.client), target

    def partial(self, attempt: RunningAttempt) -> Reply:
        """An operation has no partial answer."""
        return Reply()

    async def keep(
        self,
        attempt: RunningAttempt,
        transaction: FencedTransaction,
        status: Status,
        message_id: UUID | None,
    ) -> dict[str, Any]:
        """Nothing else belongs to an operation."""
        return {}

    def forget(self, attempt: RunningAttempt) -> None:
        """Nothing is kept of an operation."""

    async def _test_connection(self, attempt: RunningAttempt) -> dict[str, Any]:
        provider, target = await self._provider(attempt)
        with provider_call(target.provider):
            report = await provider.test_connection(target.settings, target.timeouts)
        return {
            "version": report.version,
            "models": None if report.models is None else list(report.models),
            "response_time": report.response_time,
        }

    async def _list_models(self, attempt: RunningAttempt) -> dict[str, Any]:
        provider, target = await self._provider(attempt)
        with provider_call(target.provider):
            models = await provider.list_models(target.settings, target.timeouts)
        return {
            "models": [
                {"name": model.name, "size": model.size, "context_length": model.context_length}
                for model in models
            ]
        }

    async def _pull_model(self, attempt: RunningAttempt) -> dict[str, Any]:
        provider, target = await self._provider(attempt)
        model = attempt.job.payload.get("model") or target.settings.model
        if not model:
            raise ValidationError(
                "Nothing says which model to fetch: send model.",
                errors=[{"field": "model", "message": "is missing"}],
            )
        pulling = provider.pull_model(target.settings, model, target.timeouts)
        with provider_call(target.provider):
            async with aclosing(pulling) as steps:
                async for step in steps:
                    attempt.emit(
                        EventType.PROGRESS,
                        {"status": step.status, "total": step.total, "completed": step.completed},
                    )
                    if attempt.full:
                        await attempt.room()
        return {"model": model}
