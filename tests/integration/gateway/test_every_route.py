"""What is yours is yours: every route is called without a key and as somebody else.

A new route fails here until it stands in :data:`ROUTES`. Path parameters are filled from the ids of what ada
owns (fixture ``owned``); a route of a new resource needs its id there.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from gateway.auth import get_caller, is_protected
from gateway.routing import StrictRoute
from gateway.state import GatewayState
from shared.database.models import Experiment, ExperimentResult, Job, TurnTrace
from tests.integration.gateway.conftest import User, client_of, problem


@dataclass(frozen=True)
class Rule:
    """Who may call a route.

    Attributes:
        access: ``public``: everybody; ``metrics``: keys of that scope; ``caller``: every key, for what is its
            own; ``owned``: 404 when an id in the path is somebody else's; ``admin``: 403 without an admin
            key.
        send: arguments of the request that make it valid in all but the owner.
        seen: whether the answer to a GET is compared before and after; not for what streams or asks a worker.
    """

    access: Literal["public", "metrics", "caller", "owned", "admin"]
    send: dict[str, Any] = field(default_factory=dict)
    seen: bool = True


def body(**fields: Any) -> dict[str, Any]:
    return {"json": fields}


PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 16

ROUTES: dict[tuple[str, str], Rule] = {
    ("GET", "/openapi.json"): Rule("public"),
    ("GET", "/docs"): Rule("public"),
    ("GET", "/docs/oauth2-redirect"): Rule("public"),
    ("GET", "/redoc"): Rule("public"),
    ("GET", "/health/live"): Rule("public"),
    ("GET", "/health/ready"): Rule("public"),
    ("GET", "/metrics"): Rule("metrics"),
    ("GET", "/api/personas"): Rule("caller"),
    ("POST", "/api/personas"): Rule("caller", body(name="x", template="t")),
    ("POST", "/api/personas/import"): Rule("caller", body(persona={"name": "x", "template": "t"})),
    ("GET", "/api/personas/{persona_id}"): Rule("owned"),
    ("PATCH", "/api/personas/{persona_id}"): Rule("owned", body(name="taken over")),
    ("DELETE", "/api/personas/{persona_id}"): Rule("owned"),
    ("POST", "/api/personas/{persona_id}/image"): Rule("owned", {"files": {"file": ("x.png", PNG)}}),
    ("GET", "/api/personas/{persona_id}/image"): Rule("owned"),
    ("DELETE", "/api/personas/{persona_id}/image"): Rule("owned"),
    ("GET", "/api/personas/{persona_id}/export"): Rule("owned"),
    ("GET", "/api/modules"): Rule("caller"),
    ("POST", "/api/modules"): Rule("caller", body(name="x")),
    ("GET", "/api/modules/plugin-functions"): Rule("caller"),
    ("POST", "/api/modules/test-script"): Rule("caller", body(script="x = 1")),
    ("GET", "/api/modules/{module_id}"): Rule("owned"),
    ("PATCH", "/api/modules/{module_id}"): Rule("owned", body(name="taken_over")),
    ("DELETE", "/api/modules/{module_id}"): Rule("owned"),
    ("POST", "/api/templates/resolve"): Rule("caller", body(template="t")),
    ("POST", "/api/templates/validate"): Rule("caller", body(template="t")),
    ("GET", "/api/conversations"): Rule("caller"),
    ("POST", "/api/conversations"): Rule("caller", body(title="x")),
    ("GET", "/api/conversations/{conversation_id}"): Rule("owned"),
    ("PATCH", "/api/conversations/{conversation_id}"): Rule("owned", body(title="taken over")),
    ("DELETE", "/api/conversations/{conversation_id}"): Rule("owned"),
    ("GET", "/api/conversations/{conversation_id}/messages"): Rule("owned"),
    ("GET", "/api/conversations/{conversation_id}/state"): Rule("owned"),
    ("DELETE", "/api/conversations/{conversation_id}/memories"): Rule("owned"),
    ("PATCH", "/api/conversations/{conversation_id}/messages/{message_id}"): Rule("owned", body(content="x")),
    ("DELETE", "/api/conversations/{conversation_id}/messages/{message_id}"): Rule("owned"),
    ("GET", "/api/connections"): Rule("caller"),
    ("POST", "/api/connections"): Rule(
        "caller", body(name="x", provider="ollama", settings={"host": "http://127.0.0.1:1"})
    ),
    ("GET", "/api/connections/{connection_id}"): Rule("owned"),
    ("PATCH", "/api/connections/{connection_id}"): Rule("owned", body(name="taken over")),
    ("DELETE", "/api/connections/{connection_id}"): Rule("owned"),
    ("POST", "/api/connections/{connection_id}/test"): Rule("owned"),
    ("GET", "/api/connections/{connection_id}/models"): Rule("owned", seen=False),
    ("POST", "/api/connections/{connection_id}/models/pull"): Rule("owned", body(model="m")),
    ("POST", "/api/chat/send"): Rule("caller", body(message="Hi")),
    ("POST", "/api/chat/stream"): Rule("caller", body(message="Hi")),
    ("GET", "/api/chat/events/{session_id}"): Rule("owned", seen=False),
    ("POST", "/api/chat/cancel/{session_id}"): Rule("owned"),
    ("GET", "/api/chat/status/{session_id}"): Rule("owned"),
    ("GET", "/api/chat/trace/{session_id}"): Rule("owned"),
    ("GET", "/api/chat/sessions/active"): Rule("caller"),
    ("POST", "/api/conversations/{conversation_id}/messages/{message_id}/regenerate"): Rule("owned", body()),
    ("GET", "/api/experiments"): Rule("caller"),
    ("POST", "/api/experiments"): Rule("caller", body(config={})),
    ("POST", "/api/experiments/validate"): Rule("caller", body(config={})),
    ("GET", "/api/experiments/schema"): Rule("caller"),
    ("GET", "/api/experiments/{experiment_id}"): Rule("owned"),
    ("PATCH", "/api/experiments/{experiment_id}"): Rule("owned", body(name="taken over")),
    ("DELETE", "/api/experiments/{experiment_id}"): Rule("owned"),
    ("GET", "/api/experiments/{experiment_id}/events"): Rule("owned", seen=False),
    ("POST", "/api/experiments/{experiment_id}/cancel"): Rule("owned"),
    ("POST", "/api/experiments/{experiment_id}/resume"): Rule("owned"),
    ("POST", "/api/experiments/{experiment_id}/fork"): Rule("owned", body(round=1)),
    ("POST", "/api/experiments/{experiment_id}/replay"): Rule("owned"),
    ("GET", "/api/experiments/{experiment_id}/result"): Rule("owned"),
    ("GET", "/api/experiments/{experiment_id}/transcript"): Rule("owned"),
    ("GET", "/api/experiments/{experiment_id}/steps"): Rule("owned"),
    ("GET", "/api/experiments/{experiment_id}/export"): Rule("owned"),
    ("GET", "/api/experiments/{experiment_id}/report"): Rule("owned", seen=False),
    ("GET", "/api/jobs"): Rule("caller"),
    ("GET", "/api/jobs/{job_id}"): Rule("owned"),
    ("POST", "/api/jobs/{job_id}/retry"): Rule("owned"),
    ("GET", "/v1/models"): Rule("caller", seen=False),
    ("GET", "/v1/models/{model_id:path}"): Rule("owned", seen=False),
    ("POST", "/v1/chat/completions"): Rule(
        "caller", body(model="m", messages=[{"role": "user", "content": "Hi"}])
    ),
    ("GET", "/api/users/me"): Rule("caller"),
    ("GET", "/api/users"): Rule("admin"),
    ("POST", "/api/users"): Rule("admin", body(name="x")),
    ("PATCH", "/api/users/{user_id}"): Rule("admin", body(disabled=True)),
    ("GET", "/api/users/{user_id}/keys"): Rule("owned"),
    ("POST", "/api/users/{user_id}/keys"): Rule("admin", body(name="x")),
    ("DELETE", "/api/keys/{key_id}"): Rule("owned"),
}


@pytest.fixture
async def owned(ada: User, state: GatewayState) -> dict[str, str]:
    """Ids of what ada owns, by the name of the path parameter."""
    persona = await ada.http.post(
        "/api/personas", json={"name": "Ava", "template": "You are Ava.", "first_message": "Hello."}
    )
    conversation = await ada.http.post("/api/conversations", json={"persona_id": persona.json()["id"]})
    connection = await ada.http.post(
        "/api/connections",
        json={"name": "mine", "provider": "openai", "settings": {"api_key": "sk-of-ada", "model": "m"}},
    )
    module = await ada.http.post("/api/modules", json={"name": "notes", "content": "of ada"})
    keys = await ada.http.get(f"/api/users/{ada.id}/keys")
    await ada.http.post(f"/api/personas/{persona.json()['id']}/image", files={"file": ("x.png", PNG)})
    async with state.sessions.begin() as session:
        turn = Job(
            kind="chat",
            owner_id=uuid.UUID(ada.id),
            phase="ended",
            status="failed",
            payload={},
            error={"code": "provider_error", "message": "It failed."},
        )
        session.add(turn)
        await session.flush()
        session.add(TurnTrace(job_id=turn.id, owner_id=turn.owner_id, attempt=1, trace={}))
        run = Job(
            kind="experiment",
            owner_id=uuid.UUID(ada.id),
            phase="ended",
            status="failed",
            payload={},
            error={"code": "provider_error", "message": "It failed."},
        )
        session.add(run)
        await session.flush()
        experiment = Experiment(
            owner_id=run.owner_id,
            job_id=run.id,
            name="of ada",
            profile="human",
            config={},
            config_hash="0" * 64,
            seed=1,
            models={},
        )
        session.add(experiment)
        await session.flush()
        run.payload = {"experiment_id": str(experiment.id)}
        session.add(ExperimentResult(experiment_id=experiment.id, result="{}", sha256="0" * 64))
    return {
        "session_id": str(turn.id),
        "job_id": str(turn.id),
        "model_id": "mine/m",
        "persona_id": persona.json()["id"],
        "module_id": module.json()["id"],
        "conversation_id": conversation.json()["id"],
        "message_id": conversation.json()["active_message_id"],
        "connection_id": connection.json()["id"],
        "experiment_id": str(experiment.id),
        "user_id": ada.id,
        "key_id": keys.json()["items"][0]["id"],
    }


def served(app: FastAPI) -> Iterator[tuple[str, str, Any]]:
    """Every (method, path, route) that the application answers."""
    for route in iter_route_contexts(app.routes):
        for method in sorted((route.methods or {"ANY"}) - {"HEAD"}):
            yield method, route.path or "", route


def filled(path: str, ids: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)(:path)?\}", lambda match: ids[match[1]], path)


async def test_every_route_is_classified(app: FastAPI) -> None:
    found = {(method, path) for method, path, _ in served(app)}
    assert found - set(ROUTES) == set(), "classify these routes in ROUTES"
    assert set(ROUTES) - found == set(), "these routes are gone"


async def test_every_route_but_the_public_ones_is_built_to_need_a_caller(app: FastAPI) -> None:
    def needs_caller(dependant: Any) -> bool:
        return any(inner.call is get_caller or needs_caller(inner) for inner in dependant.dependencies)

    for method, path, route in served(app):
        if ROUTES[method, path].access in {"public", "metrics"}:
            assert not is_protected(path), path
            continue
        assert is_protected(path), f"{path} lies outside of the protected paths"
        assert isinstance(route.original_route, StrictRoute), f"{path}: make its router with make_router"
        assert needs_caller(route.dependant), path


@pytest.mark.parametrize(
    "header", [None, "Bearer", "Bearer ", "Basic YWRhOmFkYQ==", "Bearer parley_AAAAAAAA_" + "A" * 43]
)
async def test_every_route_refuses_who_has_no_key(
    app: FastAPI, anonymous: httpx.AsyncClient, owned: dict[str, str], header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    for (method, path), rule in ROUTES.items():
        if rule.access == "public":
            continue
        answer = await anonymous.request(method, filled(path, owned), headers=headers, **rule.send)
        assert answer.status_code == 401, f"{method} {path}: {answer.text}"
        assert answer.headers["www-authenticate"].startswith("Bearer"), path
        # The key is asked for before the body is looked at.
        torn = await anonymous.request(
            method,
            filled(path, owned),
            headers={**headers, "Content-Type": "application/json"},
            content=b"{",
        )
        assert torn.status_code == 401, f"{method} {path}: {torn.text}"


async def test_every_owned_route_hides_what_is_somebody_elses(
    app: FastAPI, eve: User, ada: User, owned: dict[str, str]
) -> None:
    before = await snapshot(app, ada, owned)
    nowhere = {name: str(uuid.uuid4()) for name in owned}
    for (method, path), rule in ROUTES.items():
        if rule.access != "owned":
            continue
        foreign = await eve.http.request(method, filled(path, owned), **rule.send)
        assert foreign.status_code == 404, f"{method} {path}: {foreign.status_code} {foreign.text}"
        missing = await eve.http.request(method, filled(path, nowhere), **rule.send)
        assert foreign.json() == missing.json(), f"{method} {path} tells that it exists"
    assert await snapshot(app, ada, owned) == before


async def test_a_message_is_found_only_in_its_own_conversation(
    eve: User, ada: User, owned: dict[str, str]
) -> None:
    for user in (eve, ada):
        await user.http.post(
            "/api/connections", json={"name": "c", "provider": "openai", "settings": {"model": "m"}}
        )
        other = (await user.http.post("/api/conversations", json={})).json()["id"]
        for (method, path), rule in ROUTES.items():
            if "{message_id}" in path:
                answer = await user.http.request(
                    method, filled(path, {**owned, "conversation_id": other}), **rule.send
                )
                problem(answer, 404, "message_not_found")
        switched = await user.http.patch(
            f"/api/conversations/{other}", json={"active_message_id": owned["message_id"]}
        )
        problem(switched, 404, "message_not_found")


@pytest.mark.parametrize("name", ["persona_id", "connection_id", "conversation_id"])
async def test_ids_in_bodies_are_checked_as_ids_in_paths(eve: User, owned: dict[str, str], name: str) -> None:
    code = name.replace("_id", "_not_found")
    for path in ("/api/chat/send", "/api/chat/stream"):
        problem(await eve.http.post(path, json={"message": "Hi", name: owned[name]}), 404, code)
    if name != "connection_id":
        resolved = await eve.http.post("/api/templates/resolve", json={"template": "", name: owned[name]})
        problem(resolved, 404, code)
    if name == "conversation_id":
        tried = await eve.http.post("/api/modules/test-script", json={"script": "", name: owned[name]})
        problem(tried, 404, code)
        return
    problem(await eve.http.post("/api/conversations", json={name: owned[name]}), 404, code)
    mine = (await eve.http.post("/api/conversations", json={})).json()["id"]
    problem(await eve.http.patch(f"/api/conversations/{mine}", json={name: owned[name]}), 404, code)


async def test_lists_hold_only_what_is_the_callers(ada: User, eve: User, owned: dict[str, str]) -> None:
    for (method, path), rule in ROUTES.items():
        if method != "GET" or rule.access != "caller" or path == "/api/users/me":
            continue
        answer = (await eve.http.get(path)).json()
        if "items" in answer:
            assert answer["items"] == [], path
        elif "data" in answer:
            assert answer["data"] == [], path
        elif "functions" in answer or "$schema" in answer:
            continue  # the same for everybody
        else:
            assert answer == {"active_session_count": 0, "sessions": []}, path
    searched = await eve.http.get("/api/conversations", params={"q": "Hello"})
    assert searched.json()["items"] == []


async def test_admin_routes_refuse_other_keys(
    eve: User, owned: dict[str, str], make_user: Callable[..., Awaitable[User]]
) -> None:
    # An administrator's key that was not made for administration is an ordinary one.
    modest = await make_user("modest", is_admin=True)
    for user in (eve, modest):
        for (method, path), rule in ROUTES.items():
            if rule.access == "admin":
                answer = await user.http.request(method, filled(path, owned), **rule.send)
                problem(answer, 403, "admin_key_needed")
            elif rule.access == "metrics":
                problem(await user.http.request(method, filled(path, owned)), 403, "key_scope")


async def test_a_metrics_key_opens_nothing_else(
    app: FastAPI, make_user: Callable[..., Awaitable[User]], owned: dict[str, str]
) -> None:
    scraper = await make_user("scraper", scopes=["metrics"])
    for (method, path), rule in ROUTES.items():
        if rule.access == "metrics":
            answer = await scraper.http.request(method, filled(path, owned))
            assert answer.status_code == 200, answer.text
        elif rule.access != "public":
            answer = await scraper.http.request(method, filled(path, owned), **rule.send)
            assert answer.status_code == 403, f"{method} {path}: {answer.text}"


async def test_a_path_that_only_looks_unprotected_leads_nowhere(
    app: FastAPI, anonymous: httpx.AsyncClient
) -> None:
    for path in ("//api/personas", "/API/personas", "/api%2Fpersonas", "/./api/personas", "/v1x", "/apix"):
        answer = await anonymous.get(httpx.URL("http://parley.test", raw_path=path.encode()))
        assert answer.status_code in {401, 404}, path


async def test_under_v1_errors_have_the_shape_of_openai(app: FastAPI, anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/v1/models")
    assert answer.status_code == 401
    assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
    assert answer.json()["error"]["type"] == "authentication_error"


async def snapshot(app: FastAPI, ada: User, owned: dict[str, str]) -> list[Any]:
    """All that ada can see of her own."""
    async with client_of(app, ada.key) as client:
        seen = [
            (await client.get(filled(path, owned))).text
            for (method, path), rule in ROUTES.items()
            if method == "GET"
            and rule.access in {"owned", "caller"}
            and rule.seen
            and not path.endswith("/keys")
        ]
        keys = (await client.get(f"/api/users/{ada.id}/keys")).json()["items"]
    return [*seen, [(key["id"], key["revoked_at"]) for key in keys]]
