"""The FastAPI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI

import shared
from gateway import problems
from gateway.auth import Authentication, get_caller
from gateway.body_limit import BodyLimit
from gateway.context import RequestContext
from gateway.routes import API, OPENAI, PUBLIC
from gateway.state import GatewayState
from gateway.tracing import Tracing
from shared import tracing
from shared.schemas.problem import PROBLEM_TYPE, OpenAIError, Problem
from shared.settings import Settings


def _flat(schema: dict[str, Any]) -> dict[str, Any]:
    """``schema`` without references, as it can stand anywhere in the document."""
    definitions = schema.pop("$defs", {})

    def resolved(part: Any) -> Any:
        if isinstance(part, dict):
            if "$ref" in part:
                return resolved(definitions[part["$ref"].rpartition("/")[2]])
            return {name: resolved(inner) for name, inner in part.items()}
        return [resolved(inner) for inner in part] if isinstance(part, list) else part

    flat: dict[str, Any] = resolved(schema)
    return flat


_PROBLEM = {
    "description": "What went wrong",
    "content": {PROBLEM_TYPE: {"schema": _flat(Problem.model_json_schema())}},
}


def create_app(settings: Settings) -> FastAPI:
    """The gateway with these settings; its state is in ``app.state.gateway``.

    Raises:
        SecretKeyError: no key to encrypt secrets with.
    """
    state = GatewayState.create(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with state.running():
            yield

    app = FastAPI(
        title="Parley",
        version=shared.__version__,
        description="Chat turns and deliberation experiments with language models, as durable jobs.",
        lifespan=lifespan,
    )
    app.state.gateway = state
    problems.install(app)
    # The last one added is the outermost.
    app.add_middleware(Authentication, state=state)
    app.add_middleware(BodyLimit, limit=settings.max_body)
    app.add_middleware(RequestContext)
    if tracing.on():
        app.add_middleware(Tracing)
    for router in PUBLIC:
        app.include_router(router)
    needs_caller = [Depends(get_caller)]
    for router in API:
        app.include_router(router, prefix="/api", dependencies=needs_caller, responses={"default": _PROBLEM})
    for router in OPENAI:
        app.include_router(
            router, prefix="/v1", dependencies=needs_caller, responses={"default": {"model": OpenAIError}}
        )
    return app
