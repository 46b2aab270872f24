"""Operations of the ``query`` queue."""

from __future__ import annotations

from enum import StrEnum


class QueryOperation(StrEnum):
    """What a worker can be asked for while the gateway waits."""

    #: Whether a connection's provider can be reached and takes the key.
    TEST_CONNECTION = "test_connection"
    #: The models of a connection.
    LIST_MODELS = "list_models"
    #: Have an Ollama server fetch a model.
    PULL_MODEL = "pull_model"
