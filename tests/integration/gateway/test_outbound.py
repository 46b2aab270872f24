"""A caller's provider is refused at once where its address alone shows that it leads inside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from shared.settings import Settings
from tests.integration.gateway.conftest import User, fields, problem
from tests.support.stack import running_stack

INSIDE = [
    "http://127.0.0.1:11434",
    "http://[::1]:11434",
    "http://[::ffff:10.0.0.1]",
    "http://169.254.169.254/latest",
    "http://localhost:11434",
    "http://2130706433",
    "http://0x7f.1:8080",
]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"outbound_private": "admin", "outbound_allow": ("10.9.0.0/16",)})


def ollama(host: str) -> dict[str, Any]:
    return {"name": "inside", "provider": "ollama", "settings": {"host": host, "model": "m"}}


def told(answer: httpx.Response, field: str, host: str) -> None:
    document = problem(answer, 422, "outbound_address_refused")
    assert fields(document) == {field}
    assert host.removeprefix("http://") not in answer.text


@pytest.mark.parametrize("host", INSIDE)
async def test_a_connection_that_leads_inside_is_not_kept(ada: User, host: str) -> None:
    told(await ada.http.post("/api/connections", json=ollama(host)), "settings.host", host)
    assert (await ada.http.get("/api/connections")).json()["items"] == []


@pytest.mark.parametrize("host", INSIDE)
async def test_a_connection_is_not_led_inside_later(ada: User, host: str) -> None:
    made = (await ada.http.post("/api/connections", json=ollama("http://ollama.example"))).json()
    address = f"/api/connections/{made['id']}"
    told(await ada.http.patch(address, json={"settings": {"host": host}}), "settings.host", host)
    assert (await ada.http.get(address)).json()["settings"]["host"] == "http://ollama.example"


async def test_settings_of_one_request_are_looked_at_alike(ada: User) -> None:
    body = {"message": "Hello?", "provider": "ollama", "provider_settings": ollama(INSIDE[0])["settings"]}
    answer = await ada.http.post("/api/chat/send", json=body)
    told(answer, "provider_settings.host", INSIDE[0])


async def test_administrators_and_listed_hosts_are_let(
    ada: User, admin: httpx.AsyncClient, make_user: Callable[..., Awaitable[User]]
) -> None:
    assert (await ada.http.post("/api/connections", json=ollama("http://10.9.1.1"))).status_code == 201
    assert (await admin.post("/api/connections", json=ollama(INSIDE[0]))).status_code == 201
    # What the key was made for does not matter: calls are the user's.
    grace = await make_user("grace", is_admin=True)
    assert (await grace.http.post("/api/connections", json=ollama(INSIDE[0]))).status_code == 201
    answer = await admin.post("/api/connections", json={**ollama("http://169.254.169.254"), "name": "cloud"})
    problem(answer, 422, "outbound_address_refused")


def test_what_was_kept_earlier_is_refused_by_the_worker(postgres_url: str, redis_url: str) -> None:
    with running_stack(database_url=postgres_url, redis_url=redis_url, outbound_private="admin") as stack:
        address = stack.model.openai_url
        grace = stack.user("grace")
        generous = stack.start_gateway(outbound_private="allow")
        body = {
            "name": "fake",
            "provider": "openai",
            "settings": {"base_url": address, "model": "fake", "api_key": "k"},
        }

        def ask(key: str, path: str, body: dict[str, Any], at: str = stack.url) -> httpx.Response:
            return httpx.post(at + path, headers={"Authorization": f"Bearer {key}"}, json=body, timeout=30)

        assert ask(grace.key, "/api/connections", body).status_code == 422
        kept = ask(grace.key, "/api/connections", body, generous.url)
        assert kept.status_code == 201, kept.text
        test = f"/api/connections/{kept.json()['id']}/test"
        for answer, status in (
            (ask(grace.key, test, {}), 422),
            (ask(grace.key, "/api/chat/send", {"message": "Hello?"}), 502),
        ):
            assert (answer.status_code, answer.json()["code"]) == (status, "outbound_address_refused")
            assert "PARLEY_OUTBOUND_ALLOW" in answer.json()["detail"]
            assert "127.0.0.1" not in answer.text
        assert stack.model.log() == []

        own = ask(stack.admin_key, "/api/connections", body)
        assert own.status_code == 201, own.text
        said = ask(stack.admin_key, "/api/chat/send", {"message": "Hello?"})
        assert said.status_code == 200, said.text
        assert said.json()["content"]
