"""Which server a model's name stands for."""

from __future__ import annotations

import pytest

from shared.schemas.experiment.reading import read_config
from shared.schemas.experiment.routing import Route, chosen, named_connection, route, routes
from tests.unit.experiment.config.files import agent, config


@pytest.mark.parametrize(
    ("model", "connection", "kind", "name"),
    [
        ("local", None, "local", ""),
        ("ollama/llama3.1:8b", None, "ollama", "llama3.1:8b"),
        ("ollama/library/x", None, "ollama", "library/x"),
        ("gpt-4.1-mini", None, "openai", "gpt-4.1-mini"),
        ("o1-preview", None, "openai", "o1-preview"),
        ("o3-mini", None, "openai", "o3-mini"),
        ("o4-mini", None, "openai", "o4-mini"),
        ("o3", None, "openai", "o3"),
        ("gemini-2.5-flash", None, "google", "gemini-2.5-flash"),
        ("gemma-3-27b-it", None, "google", "gemma-3-27b-it"),
        ("meta-llama/llama-3.3-70b-instruct", None, "openrouter", "meta-llama/llama-3.3-70b-instruct"),
        ("google/gemini-2.5-flash", None, "openrouter", "google/gemini-2.5-flash"),
        ("opus-one", None, "connection", "opus-one"),
        ("olive-oil", None, "connection", "olive-oil"),
        ("gpt-4.1", "mine", "connection", "gpt-4.1"),
        ("vendor/model", "mine", "connection", "vendor/model"),
        ("local", "mine", "connection", ""),
        ("/model", None, "connection", "/model"),
    ],
)
def test_route(model: str, connection: str | None, kind: str, name: str) -> None:
    assert route(model, connection) == Route(kind, connection, name)  # type: ignore[arg-type]


def test_named_connection() -> None:
    assert named_connection("mine/vendor/model") == ("mine", "vendor/model")
    assert named_connection("gpt-4.1") is None
    assert named_connection("mine/") is None


def test_models_are_rewritten_once() -> None:
    read = config(models={"o3-mini": "gpt-4.1", "gpt-4.1": "local", "*": "ollama/qwen3"})
    assert chosen(read, "Alice") == ("gpt-4.1", None)
    assert chosen(read, None) == ("ollama/qwen3", None)


def test_ollamas_model_leaves_the_connection_and_others_stay() -> None:
    for name, connection in {"ollama/qwen3": None, "qwen3": "ours", "vendor/model": "ours"}.items():
        assert chosen(config(connection="ours", models={"*": name}), "Alice") == (name, connection)


def test_everything_on_the_local_model() -> None:
    given = {
        "agents": [agent("A", connection="mine"), agent("B", model="gemini-2.5-pro")],
        "connection": "ours",
        "models": {"*": "local"},
    }
    assert set(routes(read_config(given)).values()) == {Route("local", None, "")}


def test_an_agents_connection_comes_before_the_experiments() -> None:
    given = {
        "agents": [agent("A", connection="mine"), agent("B")],
        "connection": "ours",
        "utility_agent_connection": "theirs",
    }
    assert {name: one.connection for name, one in routes(read_config(given)).items()} == {
        "A": "mine",
        "B": "ours",
        None: "theirs",
    }
