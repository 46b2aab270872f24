"""Connections: secrets go in encrypted and never come out, and one at most is the default."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import httpx
import pytest
from cryptography.fernet import Fernet
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text

from gateway.state import GatewayState
from shared.database.models import Connection
from shared.database.repositories import connections
from shared.errors import ConnectionNotFoundError
from shared.schemas.provider_settings import LOCAL_MODEL_URL, OpenAISettings
from shared.settings import Settings
from tests.integration.gateway.conftest import User, client_of, fields, problem, running

SETTINGS = {
    "base_url": "https://models.example/v1",
    "model": "m",
    "api_key": "sk-hunter2-hunter2",
    "extra_headers": {"X-Token": "token-hunter2", "X-Team": "team-hunter2"},
}


async def new(user: User, name: str = "c", **body: Any) -> dict[str, Any]:
    whole = {"name": name, "provider": "openai", "settings": SETTINGS, **body}
    answer = await user.http.post("/api/connections", json=whole)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def patch(user: User, connection: dict[str, Any], body: dict[str, Any]) -> httpx.Response:
    return await user.http.patch(f"/api/connections/{connection['id']}", json=body)


async def revealed(state: GatewayState, user: User, connection: dict[str, Any]) -> OpenAISettings:
    async with state.sessions() as session:
        row = await connections.get(session, uuid.UUID(user.id), uuid.UUID(connection["id"]))
    return OpenAISettings.model_validate({**row.settings, **connections.stored_secrets(row, state.box)})


async def test_secrets_are_written_and_never_read_back(ada: User, state: GatewayState) -> None:
    made = await new(ada)
    assert made["api_key_set"] is True
    assert made["extra_header_names"] == ["X-Team", "X-Token"]
    assert "api_key" not in made["settings"]
    for answer in (
        await ada.http.get(f"/api/connections/{made['id']}"),
        await ada.http.get("/api/connections"),
        await patch(ada, made, {"name": "d"}),
    ):
        assert "hunter2" not in answer.text
    settings = await revealed(state, ada, made)
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == SETTINGS["api_key"]
    assert settings.extra_headers == SETTINGS["extra_headers"]
    async with state.engine.connect() as connection:
        for table in ("connections", "audit"):
            stored = (await connection.execute(text(f"SELECT {table}::text FROM {table}"))).all()
            assert "hunter2" not in repr(stored)
            assert b"hunter2".hex() not in repr(stored)


async def test_a_patch_merges_and_null_removes(ada: User, state: GatewayState) -> None:
    made = await new(ada, timeouts={"connect": 3, "total": 60}, prices={"input": 1, "output": 2.5})
    changed = (
        await patch(
            ada,
            made,
            {
                "settings": {"model": "n", "extra_headers": {"X-Team": None, "X-New": "new-hunter2"}},
                "timeouts": {"total": None, "first_token": 9},
                "prices": None,
                "max_in_flight": 4,
            },
        )
    ).json()
    assert changed["settings"]["model"] == "n"
    assert changed["settings"]["base_url"] == SETTINGS["base_url"]
    assert changed["timeouts"] == {"connect": 3, "first_token": 9, "between_tokens": None, "total": None}
    assert changed["prices"] is None
    assert changed["max_in_flight"] == 4
    assert changed["api_key_set"] is True
    settings = await revealed(state, ada, made)
    assert settings.extra_headers == {"X-Token": "token-hunter2", "X-New": "new-hunter2"}

    emptied = (await patch(ada, made, {"settings": {"api_key": None, "extra_headers": None}})).json()
    assert emptied["api_key_set"] is False
    assert emptied["extra_header_names"] == []
    assert (await revealed(state, ada, made)).api_key is None
    assert (await patch(ada, made, {})).json()["settings"] == emptied["settings"]


async def test_what_was_read_can_be_sent_back(ada: User) -> None:
    made = await new(ada)
    again = await patch(ada, made, {"settings": made["settings"], "timeouts": made["timeouts"]})
    assert again.status_code == 200, again.text
    assert again.json()["api_key_set"] is True


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({}, {"settings.api_key", "settings.extra_headers.X-Team", "settings.extra_headers.X-Token"}),
        ({"extra_headers": None}, {"settings.api_key"}),
        ({"api_key": None}, {"settings.extra_headers.X-Team", "settings.extra_headers.X-Token"}),
        ({"api_key": "sk-new", "extra_headers": {"X-Team": "t"}}, {"settings.extra_headers.X-Token"}),
        ({"api_key": "sk-new", "extra_headers": {"X-Team": "t", "X-Token": None}}, set()),
        ({"api_key": None, "extra_headers": None}, set()),
    ],
)
@pytest.mark.parametrize(
    "address", ["https://elsewhere.example/v1", "http://models.example/v1", "https://models.example:444/v1"]
)
async def test_a_stored_secret_never_goes_to_another_host(
    ada: User, state: GatewayState, address: str, change: dict[str, Any], named: set[str]
) -> None:
    made = await new(ada)
    answer = await patch(ada, made, {"settings": {"base_url": address, **change}})
    if named:
        document = problem(answer, 422, "validation_error")
        assert fields(document) == named
        assert "again" in document["detail"]
        assert (await revealed(state, ada, made)).base_url == SETTINGS["base_url"]
    else:
        assert answer.status_code == 200, answer.text
        settings = await revealed(state, ada, made)
        assert settings.base_url == address
        assert settings.api_key is None or settings.api_key.get_secret_value() == "sk-new"
        assert "hunter2" not in repr(settings.extra_headers)


async def test_removing_the_address_is_a_change_of_host_too(ada: User) -> None:
    made = await new(ada)
    document = problem(await patch(ada, made, {"settings": {"base_url": None}}), 422, "validation_error")
    assert "settings.api_key" in fields(document)


async def test_another_path_on_the_same_host_keeps_the_secret(ada: User, state: GatewayState) -> None:
    made = await new(ada)
    answer = await patch(ada, made, {"settings": {"base_url": "https://models.example/v2/"}})
    assert answer.status_code == 200
    assert (await revealed(state, ada, made)).api_key is not None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "a/b"}, "name"),
        ({"name": "Persona:x"}, "name"),
        ({"name": ""}, "name"),
        ({"settings": []}, "settings"),
        ({"settings": {"base_url": "models.example"}}, "settings.base_url"),
        ({"settings": {"base_url": "http://me:hunter2@models.example"}}, "settings.base_url"),
        ({"settings": {"api_key": "hunter2 hunter2"}}, "settings.api_key"),
        ({"settings": {"extra_headers": {"X": "hunter2\r\nY: z"}}}, "settings.extra_headers"),
        ({"settings": {"aip_key": "hunter2"}}, "settings.aip_key"),
        ({"settings": {"model": "hunter2\x00"}}, "settings.model"),
        ({"timeouts": {"connect": 0}}, "timeouts.connect"),
        ({"timeouts": {"connect": -1}}, "timeouts.connect"),
        ({"timeouts": {"conect": 1}}, "timeouts.conect"),
        ({"context_length": 3}, "context_length"),
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"prices": {"input": -1, "output": 0}}, "prices.input"),
        ({"prices": {"input": 1}}, "prices.output"),
        ({"is_default": "hunter2"}, "is_default"),
        ({"secrets": "hunter2"}, "secrets"),
    ],
)
async def test_wrong_fields_are_named_and_nothing_is_repeated(
    ada: User, body: dict[str, Any], field: str
) -> None:
    made = await new(ada)
    whole = {"name": "x", "provider": "openai", "settings": {}, **body}
    for answer in (await ada.http.post("/api/connections", json=whole), await patch(ada, made, body)):
        assert fields(problem(answer, 422, "validation_error")) == {field}
        assert "hunter2" not in answer.text


async def test_providers(ada: User) -> None:
    unknown = await ada.http.post(
        "/api/connections", json={"name": "x", "provider": "telepathy", "settings": {}}
    )
    document = problem(unknown, 422, "unsupported_provider_error")
    assert "ollama, openai" in document["detail"]
    hostless = await ada.http.post(
        "/api/connections", json={"name": "x", "provider": "ollama", "settings": {}}
    )
    assert fields(problem(hostless, 422, "validation_error")) == {"settings.host"}
    made = await new(ada, provider="ollama", settings={"host": "http://127.0.0.1:11434/", "model": "m"})
    assert made["settings"] == {"host": "http://127.0.0.1:11434", "model": "m"}
    fixed = await patch(ada, made, {"provider": "openai"})
    assert fields(problem(fixed, 422, "validation_error")) == {"provider"}


async def test_names_are_unique_for_their_owner_only(ada: User, eve: User) -> None:
    await new(ada, "one")
    two = await new(ada, "two")
    taken = await ada.http.post(
        "/api/connections", json={"name": "one", "provider": "openai", "settings": {}}
    )
    problem(taken, 409, "name_taken")
    problem(await patch(ada, two, {"name": "one"}), 409, "name_taken")
    await new(eve, "one")


async def defaults(user: User) -> list[str]:
    items = (await user.http.get("/api/connections")).json()["items"]
    return [item["name"] for item in items if item["is_default"]]


async def test_the_first_is_the_default_unless_it_says_otherwise(ada: User, eve: User) -> None:
    await new(ada, "first")
    second = await new(ada, "second")
    assert await defaults(ada) == ["first"]
    await patch(ada, second, {"is_default": True})
    assert await defaults(ada) == ["second"]
    await new(ada, "third", is_default=True)
    assert await defaults(ada) == ["third"]
    await patch(ada, second, {"is_default": False})
    assert await defaults(ada) == ["third"]
    await new(eve, "modest", is_default=False)
    assert await defaults(eve) == []


async def test_switching_the_default_at_once_leaves_exactly_one(ada: User) -> None:
    made = [await new(ada, f"c{number}") for number in range(4)]
    answers = await asyncio.gather(
        *(patch(ada, connection, {"is_default": True}) for connection in made),
        *(
            ada.http.post(
                "/api/connections",
                json={"name": f"n{n}", "provider": "openai", "settings": {}, "is_default": True},
            )
            for n in range(3)
        ),
    )
    assert {answer.status_code for answer in answers} <= {200, 201}, [a.text for a in answers]
    assert len(await defaults(ada)) == 1


async def test_two_first_connections_at_once_make_one_default(ada: User) -> None:
    await asyncio.gather(*(new(ada, f"c{number}") for number in range(4)))
    assert len(await defaults(ada)) == 1


async def test_which_connection_a_caller_means(ada: User, eve: User, state: GatewayState) -> None:
    async def resolved(connection_id: str | None = None) -> str | None:
        async with state.sessions() as session:
            found = await connections.resolve(
                session, uuid.UUID(ada.id), uuid.UUID(connection_id) if connection_id else None
            )
        return found.name if found else None

    assert await resolved() is None
    await new(ada, "other", is_default=False)
    assert await resolved() is None
    await new(ada, "local", is_default=False)
    assert await resolved() == "local"
    named = await new(ada, "named", is_default=True)
    assert await resolved() == "named"
    assert await resolved(named["id"]) == "named"
    foreign = await new(eve, "foreign")
    with pytest.raises(ConnectionNotFoundError):
        await resolved(foreign["id"])


async def test_the_model_of_this_machine_is_given_to_whoever_has_none(
    settings: Settings, app: FastAPI, ada: User, eve: User
) -> None:
    await new(ada, "mine")
    local = settings.model_copy(
        update={
            "local_model_url": "http://127.0.0.1:9/v1",
            "local_model_name": "tiny",
            "local_model_slots": 3,
        }
    )
    for _ in range(2):  # a restart changes nothing
        async with running(local) as second:
            state: GatewayState = second.state.gateway
            await asyncio.gather(*(connections.ensure_local_for_all(state.engine, local) for _ in range(4)))
    async with running(local) as second:
        async with client_of(second, eve.key) as client:
            (given,) = (await client.get("/api/connections")).json()["items"]
            assert given["name"] == "local"
            assert given["settings"]["base_url"] == LOCAL_MODEL_URL
            assert given["settings"]["model"] == "tiny"
            assert given["max_in_flight"] == 3
            assert given["context_length"] == local.local_model_context
            assert given["is_default"] is False
        assert [item["name"] for item in (await ada.http.get("/api/connections")).json()["items"]] == ["mine"]
        # A new user has it at once, and the first connection of its own becomes the default.
        admin_key = settings.admin_key.get_secret_value() if settings.admin_key else ""
        async with client_of(second, admin_key) as admin:
            user = (await admin.post("/api/users", json={"name": "new"})).json()
            key = (await admin.post(f"/api/users/{user['id']}/keys", json={})).json()["key"]
        async with client_of(second, key) as client:
            newcomer = User(user["id"], key, client)
            assert [c["name"] for c in (await client.get("/api/connections")).json()["items"]] == ["local"]
            assert (await new(newcomer, "own"))["is_default"] is True
    # Another model in its place has another name, and connections that lead there name it.
    other = local.model_copy(update={"local_model_name": "larger"})
    async with running(other) as second, client_of(second, eve.key) as client:
        (given,) = (await client.get("/api/connections")).json()["items"]
        assert given["settings"]["model"] == "larger"
    (mine,) = (await ada.http.get("/api/connections")).json()["items"]
    assert mine["settings"].get("model") != "larger"


async def test_the_address_of_this_machines_model_does_not_show(
    settings: Settings, app: FastAPI, eve: User
) -> None:
    local = settings.model_copy(update={"local_model_url": "http://127.0.0.1:9/v1"})
    async with running(local) as second, client_of(second, eve.key) as client:
        assert "127.0.0.1" not in (await client.get("/api/connections")).text


async def test_secrets_of_another_key_can_be_seen_and_mended(
    settings: Settings, app: FastAPI, ada: User
) -> None:
    made = await new(ada)
    other = settings.model_copy(update={"secret_key": SecretStr(Fernet.generate_key().decode())})
    async with running(other) as second, client_of(second, ada.key) as client:
        (listed,) = (await client.get("/api/connections")).json()["items"]
        assert listed["secrets_readable"] is False
        url = f"/api/connections/{made['id']}"
        problem(await client.patch(url, json={"settings": {"model": "n"}}), 500, "secret_unreadable")
        assert (await client.patch(url, json={"name": "renamed"})).status_code == 200
        mended = await client.patch(url, json={"settings": {"api_key": "sk-entered-again"}})
        assert mended.status_code == 200, mended.text
        assert mended.json()["secrets_readable"] is True


async def test_deleting(ada: User, state: GatewayState) -> None:
    made = await new(ada)
    assert (await ada.http.delete(f"/api/connections/{made['id']}")).status_code == 204
    problem(await ada.http.delete(f"/api/connections/{made['id']}"), 404, "connection_not_found")
    async with state.sessions() as session:
        assert await session.get(Connection, uuid.UUID(made["id"])) is None
