"""Operations of the ``query`` queue."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from shared.schemas.base import Wire
from shared.schemas.text import ModelName


class QueryOperation(StrEnum):
    """What a worker can be asked for while the gateway waits."""

    #: Whether a connection's provider can be reached and takes the key.
    TEST_CONNECTION = "test_connection"
    #: The models of a connection.
    LIST_MODELS = "list_models"
    #: Have an Ollama server fetch a model.
    PULL_MODEL = "pull_model"
    #: Whether a script compiles, and what it does: ``{script}`` gives ``{analysis, error}``, of which one is
    #: null; ``error`` is ``{kind, type, message, line, column}``.
    COMPILE_SCRIPT = "compile_script"
    #: Run a script as a turn would: the fields of :class:`shared.schemas.module.ScriptTest` give those of
    #: :class:`shared.schemas.module.ScriptTested`.
    TEST_SCRIPT = "test_script"
    #: Run stages 1 and 2 and keep nothing of it: the fields of
    #: :class:`shared.schemas.templates.TemplateResolve` give those of
    #: :class:`shared.schemas.templates.TemplateResolved`.
    RESOLVE_TEMPLATE = "resolve_template"
    #: Draw the report of an experiment: ``{experiment_id}`` gives ``{html}``.
    EXPERIMENT_REPORT = "experiment_report"


class ConnectionTested(Wire):
    """What a test of a connection found; ``response_time`` in seconds."""

    status: Literal["connected"]
    version: str | None = None
    models: list[str] | None = None
    response_time: float


class ProviderModel(Wire):
    """A model that a provider offers: ``size`` in bytes, ``context_length`` in tokens, where it says so."""

    name: str
    size: int | None = None
    context_length: int | None = None


class ModelPull(Wire):
    """``POST /api/connections/{id}/models/pull``."""

    model: ModelName
