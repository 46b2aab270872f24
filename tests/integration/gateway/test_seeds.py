"""What a new user finds, however it was made."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import text

from gateway.state import GatewayState
from shared import seed
from shared.database.repositories import seeds
from shared.security.bootstrap import ensure_admin
from shared.settings import Settings
from tests.integration.gateway.conftest import ADMIN_KEY, client_of, running
from tests.support.stack import running_stack


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"seed_new_users": True})


async def found(http: httpx.AsyncClient) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The only persona, and the modules by name."""
    (persona,) = (await http.get("/api/personas")).json()["items"]
    modules = (await http.get("/api/modules")).json()["items"]
    return persona, {module["name"]: module for module in modules}


async def test_every_new_user_finds_a_persona_with_its_memory(settings: Settings) -> None:
    async with running(settings) as app, client_of(app, ADMIN_KEY) as admin:
        made = (await admin.post("/api/users", json={"name": "ada"})).json()
        key = (await admin.post(f"/api/users/{made['id']}/keys", json={})).json()["key"]
        for secret in (key, ADMIN_KEY):
            async with client_of(app, secret) as http:
                persona, modules = await found(http)
                assert persona["name"] == seed.persona()["name"] == "Ava"
                assert persona["template"] == seed.persona()["template"]
                assert set(modules) == {"short_term_memory", "long_term_memory"}
                for module in seed.modules():
                    stored = modules[module["name"]]
                    assert {name: stored[name] for name in module} == module
                    assert stored["script_analysis"] == seeds.analyses()[module["name"]]
                assert modules["long_term_memory"]["requires_ai_inference"] is True
                assert modules["short_term_memory"]["requires_ai_inference"] is False
                checked = await http.post("/api/templates/validate", json={"template": persona["template"]})
                assert checked.json()["is_valid"] is True
                assert set(checked.json()["module_references"]) == set(modules)


async def test_what_was_deleted_does_not_come_back(settings: Settings) -> None:
    async with running(settings) as app, client_of(app, ADMIN_KEY) as http:
        persona, _ = await found(http)
        assert (await http.delete(f"/api/personas/{persona['id']}")).status_code == 204
        state: GatewayState = app.state.gateway
        await ensure_admin(state.engine, ADMIN_KEY)
        assert (await http.get("/api/personas")).json()["items"] == []


async def test_a_user_that_is_not_made_leaves_nothing(settings: Settings) -> None:
    async with running(settings) as app, client_of(app, ADMIN_KEY) as admin:
        for status in (201, 409):
            assert (await admin.post("/api/users", json={"name": "ada"})).status_code == status
        async with app.state.gateway.sessions() as session:
            counted = await session.execute(text("SELECT count(*) FROM modules GROUP BY owner_id"))
            assert [row[0] for row in counted] == [2, 2]


async def test_an_operator_may_leave_users_without(settings: Settings) -> None:
    bare = settings.model_copy(update={"seed_new_users": False})
    async with running(bare) as app, client_of(app, ADMIN_KEY) as http:
        assert (await http.get("/api/personas")).json()["items"] == []
        assert (await http.get("/api/modules")).json()["items"] == []


async def test_the_memory_of_the_persona_works_and_generates_nothing_twice(
    postgres_url: str, redis_url: str
) -> None:
    turns = 22
    with running_stack(database_url=postgres_url, redis_url=redis_url, seed_new_users=True) as stack:
        user = stack.user()
        user.connect()
        (persona,) = user.get("/api/personas")["items"]
        async with user.http() as http:
            place: dict[str, Any] = {"persona_id": persona["id"]}
            prompts = []
            for turn in range(turns):
                answer = await http.post("/api/chat/send", json={"message": f"I say {turn}.", **place})
                assert answer.status_code == 200, answer.text
                told = answer.json()
                assert told["warnings"] == []
                place = {"conversation_id": told["conversation_id"]}
                await http.get(f"/api/chat/events/{told['session_id']}")
                trace = (await http.get(f"/api/chat/trace/{told['session_id']}")).json()
                assert trace["warnings"] == []
                system, asked = trace["request"]["messages"]
                assert asked["content"] == f"I say {turn}."
                prompts.append(system["content"])
            state = (await http.get(f"/api/conversations/{told['conversation_id']}/state")).json()
        assert persona["first_message"] in prompts[0]
        assert "They: I say 0." in prompts[1]
        # With the twentieth turn there are 41 messages: the first 20 go into summary and episodes, once.
        assert "What you remember" not in prompts[19]
        assert "What you remember of this conversation:\nt0 t1" in prompts[20]
        assert "- Messages 1 to 20: t0 t1" in prompts[21]
        assert "They: I say 20." in prompts[21]
        assert stack.model.counters()["requests"] == turns + 2
        (memory,) = [one for one in state["modules"] if one["module_name"] == "long_term_memory"]
        assert (memory["variables"]["covered"], memory["variables"]["told"]) == (20, 20)
