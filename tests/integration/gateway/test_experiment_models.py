"""Which model answers for each role: always over a connection of the caller's own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.gateway.conftest import User, fields, problem
from tests.integration.gateway.experiment_runs import CONFIG, connect

OPENROUTER = "https://openrouter.ai/api/v1"
GOOGLE = "https://generativelanguage.googleapis.com/v1beta/openai"


def config(model: str, **changes: Any) -> dict[str, Any]:
    """A configuration in which Bob has ``model``."""
    alice, bob = CONFIG["agents"]
    return {**CONFIG, "agents": [alice, {**bob, "model": model, **changes.pop("bob", {})}], **changes}


async def validated(user: User, given: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer = await user.http.post("/api/experiments/validate", json={"config": given, **body})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def chosen(user: User, given: dict[str, Any], **body: Any) -> tuple[str, str]:
    """The connection and the model that answer for Bob."""
    told = await validated(user, given, **body)
    assert told["valid"], told
    bob = told["models"]["agents"]["Bob"]
    return bob["connection_name"], bob["model"]


@pytest.fixture
async def caller(ada: User) -> User:
    """Somebody with a connection to everything."""
    await connect(ada, "house")  # the default: the first one made
    await connect(ada, "local")
    await connect(ada, "openai", base_url="https://api.openai.com/v1")
    await connect(ada, "google", base_url=GOOGLE)
    await connect(ada, "router", base_url=OPENROUTER)
    await connect(ada, "llamas", provider="ollama")
    return ada


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("local", ("local", "m-1")),
        ("ollama/gemma3:4b", ("llamas", "gemma3:4b")),
        ("gpt-4.1-mini", ("openai", "gpt-4.1-mini")),
        ("o3-mini", ("openai", "o3-mini")),
        ("gemini-2.0-flash", ("google", "gemini-2.0-flash")),
        ("meta-llama/llama-3.1-8b", ("router", "meta-llama/llama-3.1-8b")),
        ("house/m-7", ("house", "m-7")),
        ("llamas/gpt-oss:20b", ("llamas", "gpt-oss:20b")),
        ("something-else", ("house", "something-else")),
    ],
)
async def test_a_model_is_found_by_its_name(caller: User, model: str, expected: tuple[str, str]) -> None:
    assert await chosen(caller, config(model)) == expected


async def test_a_connection_counts_before_the_name(caller: User) -> None:
    assert await chosen(caller, config("gpt-4.1", connection="house")) == ("house", "gpt-4.1")
    assert await chosen(caller, config("gpt-4.1", bob={"connection": "router"})) == ("router", "gpt-4.1")
    by_id = (await caller.http.get("/api/connections")).json()["items"][0]
    assert await chosen(caller, config("gpt-4.1", connection=by_id["id"])) == (by_id["name"], "gpt-4.1")


async def test_models_are_rewritten(caller: User) -> None:
    rewritten = config("gpt-4.1", models={"gpt-4.1": "ollama/tiny", "*": "house/m-9"})
    assert await chosen(caller, rewritten) == ("llamas", "tiny")
    told = (await validated(caller, rewritten))["models"]
    assert (told["agents"]["Alice"]["model"], told["utility"]["model"]) == ("m-9", "m-9")
    assert await chosen(caller, config("gpt-4.1", models={"*": "local"})) == ("local", "m-1")


@pytest.mark.parametrize(
    "file",
    [
        {"connection": "llamas"},
        {"bob": {"connection": "router"}, "utility_agent_connection": "google"},
        {"connection": "gone"},
    ],
    ids=["of all", "of an agent", "not there"],
)
@pytest.mark.parametrize(
    ("rewritten", "expected"),
    [
        ("house/m-9", ("house", "m-9")),
        ("local", ("local", "m-1")),
        ("ollama/tiny", ("llamas", "tiny")),
    ],
)
async def test_a_rewritten_model_that_names_its_connection_leaves_the_files(
    caller: User, file: dict[str, Any], rewritten: str, expected: tuple[str, str]
) -> None:
    own = [{**one, "connection": "router"} for one in CONFIG["agents"]]
    for asked in (config("gpt-4.1", **file), {**config("x", **file), "agents": own}):
        told = (await validated(caller, {**asked, "models": {"*": rewritten}}))["models"]
        roles = [*told["agents"].values(), told["utility"]]
        assert {(role["connection_name"], role["model"]) for role in roles} == {expected}


async def test_a_rewritten_model_without_a_connection_stays_with_the_files(caller: User) -> None:
    """No connection is called vendor: the name is one of the file's connection."""
    for name in ("m-9", "vendor/m-9"):
        asked = config("gpt-4.1", connection="house", bob={"connection": "google"}, models={"*": name})
        assert await chosen(caller, asked) == ("google", name)


@pytest.mark.parametrize(("given", "model"), [("house", "m-1"), ("house/m-3", "m-3")])
async def test_the_connection_of_a_request_answers_for_every_role(
    caller: User, given: str, model: str
) -> None:
    asked = config("gpt-4.1", connection="router", bob={"connection": "google"})
    told = (await validated(caller, asked, connection=given))["models"]
    roles = [*told["agents"].values(), told["utility"]]
    assert {(role["connection_name"], role["model"]) for role in roles} == {("house", model)}


@pytest.mark.parametrize(
    ("model", "called"),
    [
        ("ollama/x", "Ollama"),
        ("gpt-4.1", "OpenAI"),
        ("gemini-2", "Google"),
        ("vendor/model", "OpenRouter"),
    ],
)
async def test_a_model_of_a_provider_without_a_connection_is_refused(
    ada: User, eve: User, model: str, called: str
) -> None:
    """Neither the default connection nor somebody else's answers instead."""
    await connect(ada)
    for name, settings in {
        "a": {"provider": "ollama"},
        "b": {"base_url": "https://api.openai.com/v1"},
        "c": {"base_url": GOOGLE},
        "d": {"base_url": OPENROUTER},
    }.items():
        await connect(eve, name, **settings)
    told = problem(
        await ada.http.post("/api/experiments", json={"config": config(model)}), 422, "validation_error"
    )
    (error,) = told["errors"]
    assert error["field"] == "agents.1.model"
    for part in (called, "POST /api/connections", "connection", 'models: {"*": local}'):
        assert part in error["message"]
    valid = await validated(ada, config(model))
    assert (valid["valid"], valid["models"]) == (False, None)
    assert valid["errors"][0]["field"] == "agents.1.model"
    assert valid["calls"]["expected"] > 0


async def test_every_role_that_has_no_model_is_named(ada: User) -> None:
    told = problem(await ada.http.post("/api/experiments", json={"config": CONFIG}), 422, "validation_error")
    assert fields(told) == {"agents.0.model", "agents.1.model", "utility_agent_model"}
    await connect(ada, "bare", model=None)
    asked = config("x", connection="bare", bob={"connection": "gone"}, utility_agent_connection="lost")
    told = problem(await ada.http.post("/api/experiments", json={"config": asked}), 422, "validation_error")
    # Of Alice's connection nobody knows the model: hers is local, its own.
    assert fields(told) == {"connection", "agents.1.connection", "utility_agent_connection"}


async def test_somebody_elses_connection_is_none(ada: User, eve: User) -> None:
    await connect(ada)
    foreign = await connect(eve, "hers")
    for given in ("hers", foreign["id"], "hers/m-1"):
        body = {"config": CONFIG, "connection": given}
        told = problem(await ada.http.post("/api/experiments", json=body), 422, "validation_error")
        assert fields(told) == {"connection"}
