"""One router for each resource. A router that is listed here is served."""

from __future__ import annotations

from fastapi import APIRouter

from gateway.openai import completions, models
from gateway.routes import (
    chat,
    connection_operations,
    connections,
    conversation_state,
    conversations,
    experiment_archive,
    experiment_events,
    experiment_results,
    experiment_runs,
    experiments,
    health,
    jobs,
    metrics,
    modules,
    persona_exchange,
    personas,
    regenerate,
    templates,
    trace,
    users,
)

#: Outside of the API: open to everybody, but for metrics, which ask for a key themselves.
PUBLIC: list[APIRouter] = [health.router, metrics.router]

#: Under ``/api``: every route needs an API key.
API: list[APIRouter] = [
    chat.router,
    trace.router,
    regenerate.router,
    persona_exchange.router,
    personas.router,
    modules.router,
    templates.router,
    conversations.router,
    conversation_state.router,
    connections.router,
    connection_operations.router,
    experiments.router,
    experiment_runs.router,
    experiment_events.router,
    experiment_results.router,
    experiment_archive.router,
    jobs.router,
    users.router,
    users.keys_router,
]

#: Under ``/v1``: every route needs an API key; errors have OpenAI's shape.
OPENAI: list[APIRouter] = [models.router, completions.router]
