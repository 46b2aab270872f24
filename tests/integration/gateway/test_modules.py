"""Modules: what can be saved, what follows from it, and who may."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from gateway.state import GatewayState
from shared.database.repositories import modules
from shared.settings import Settings
from tests.integration.gateway.conftest import User, client_of, fields, problem, running
from tests.support.stack import Stack, StackUser

WHOLE: dict[str, Any] = {
    "name": "greeting",
    "description": "How she greets.",
    "content": "Hello ${name}, see @weather and \\@home.",
    "type": "simple",
    "script": None,
    "execution_context": "POST_RESPONSE",
    "trigger_pattern": "hello|hi",
    "priority": -5,
    "fallback": "Hello.",
    "state_scope": "persona",
    "is_active": False,
}
PLAIN = {
    "description": None,
    "content": None,
    "type": "simple",
    "script": None,
    "execution_context": "IMMEDIATE",
    "trigger_pattern": None,
    "priority": 100,
    "fallback": None,
    "state_scope": "conversation",
    "is_active": True,
    "requires_ai_inference": False,
    "script_analysis": None,
}
COUNTER = "count = ctx.get_variable('count', 0) + 1\nctx.run_module('weather')"
THINKER = "g = ctx.generate\nmood = g('What is the mood?')"


async def new(user: User, **given: Any) -> dict[str, Any]:
    answer = await user.http.post("/api/modules", json={**WHOLE, **given})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_a_module_comes_back_as_it_was_sent(ada: User) -> None:
    made = await new(ada)
    assert {name: made[name] for name in WHOLE} == WHOLE
    assert (await ada.http.get(f"/api/modules/{made['id']}")).json() == made
    plain = (await ada.http.post("/api/modules", json={"name": "plain"})).json()
    assert {name: plain[name] for name in PLAIN} == PLAIN


@pytest.mark.parametrize("name", ["a", "a_9", "z" * 50])
async def test_names_that_can_be_referred_to(ada: User, name: str) -> None:
    assert (await new(ada, name=name))["name"] == name


@pytest.mark.parametrize(
    ("given", "field"),
    [
        *[({"name": name}, "name") for name in ("", "A", "9a", "_a", "a-b", "ä", "z" * 51, "a\n", None)],
        ({"content": "x\x00"}, "content"),
        ({"content": "x" * 200_001}, "content"),
        ({"type": "other"}, "type"),
        ({"execution_context": "immediate"}, "execution_context"),
        ({"trigger_pattern": "x" * 501}, "trigger_pattern"),
        ({"trigger_pattern": "(open"}, "trigger_pattern"),
        ({"trigger_pattern": "|"}, "trigger_pattern"),
        # Compiling these would take gigabytes.
        ({"trigger_pattern": "[a-z]{100000000}"}, "trigger_pattern"),
        ({"trigger_pattern": "(?:(?:a{500}){500}){500}"}, "trigger_pattern"),
        ({"priority": 1_000_001}, "priority"),
        ({"priority": "1"}, "priority"),
        ({"priority": 1.5}, "priority"),
        ({"state_scope": "user"}, "state_scope"),
        ({"is_active": None}, "is_active"),
        ({"script": "x = 1"}, "script"),
        ({"type": "advanced"}, "script"),
        ({"type": "advanced", "script": "x" * 100_001}, "script"),
        ({"requires_ai_inference": True}, "requires_ai_inference"),
    ],
)
async def test_what_is_wrong_is_named(ada: User, given: dict[str, Any], field: str) -> None:
    answer = await ada.http.post("/api/modules", json={**WHOLE, **given})
    assert fields(problem(answer, 422, "validation_error")) == {field}
    made = await new(ada)
    if given.get("name", "") is not None:
        changed = await ada.http.patch(f"/api/modules/{made['id']}", json=given)
        assert fields(problem(changed, 422, "validation_error")) == {field}
    assert (await ada.http.get(f"/api/modules/{made['id']}")).json() == made


async def test_what_is_sent_is_changed(ada: User) -> None:
    made = await new(ada)
    answer = await ada.http.patch(
        f"/api/modules/{made['id']}",
        json={"content": None, "priority": 7, "trigger_pattern": None, "is_active": True},
    )
    assert answer.status_code == 200, answer.text
    changed = answer.json()
    told = {"content": None, "priority": 7, "trigger_pattern": None, "is_active": True}
    assert changed == {**made, **told, "updated_at": changed["updated_at"]}
    assert changed["updated_at"] > made["updated_at"]
    assert (await ada.http.patch(f"/api/modules/{made['id']}", json={})).json()["name"] == "greeting"


async def test_a_name_is_its_owners_only_once(ada: User, eve: User) -> None:
    await new(ada)
    other = await new(ada, name="other")
    for answer in (
        await ada.http.post("/api/modules", json=WHOLE),
        await ada.http.patch(f"/api/modules/{other['id']}", json={"name": "greeting"}),
    ):
        assert fields(problem(answer, 409, "name_taken")) == {"name"}
    assert (await new(eve))["name"] == "greeting"


async def test_lists_are_filtered_newest_first(ada: User) -> None:
    for name, active in (("first", True), ("second", False), ("third", True)):
        await new(ada, name=name, is_active=active)

    async def names(**params: Any) -> list[str]:
        answer = await ada.http.get("/api/modules", params=params)
        assert answer.status_code == 200, answer.text
        return [item["name"] for item in answer.json()["items"]]

    assert await names() == ["third", "second", "first"]
    assert await names(active_only=True) == ["third", "first"]
    assert await names(type="simple", active_only=True) == ["third", "first"]
    assert await names(type="advanced") == []
    page = (await ada.http.get("/api/modules", params={"limit": 2})).json()
    assert [item["name"] for item in page["items"]] == ["third", "second"]
    assert await names(limit=2, cursor=page["next_cursor"]) == ["first"]
    problem(await ada.http.get("/api/modules", params={"type": "other"}), 422, "validation_error")


async def test_an_owner_has_room_for_so_many_modules(
    ada: User, eve: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modules, "MAX_MODULES", 2)
    monkeypatch.setattr(modules, "MAX_TEXT", 1_000)
    first = await new(ada, name="one", content="x" * 400, fallback=None)
    await new(ada, name="two", content="x" * 400, fallback=None)
    await new(eve, name="one")
    problem(await ada.http.post("/api/modules", json={"name": "three"}), 409, "too_many_modules")
    changed = await ada.http.patch(f"/api/modules/{first['id']}", json={"content": "x" * 700})
    assert "1100 bytes" in problem(changed, 409, "too_many_modules")["detail"]
    assert (await ada.http.get(f"/api/modules/{first['id']}")).json()["content"] == "x" * 400
    file = {"format": "parley.persona", "version": 1, "persona": {"name": "p", "template": "@new"}}
    sent = await ada.http.post("/api/personas/import", json={**file, "modules": [{"name": "new"}]})
    problem(sent, 409, "too_many_modules")
    assert "p" not in {one["name"] for one in (await ada.http.get("/api/personas")).json()["items"]}
    await ada.http.delete(f"/api/modules/{first['id']}")
    await new(ada, name="three", content="x" * 500)


async def test_a_deleted_module_is_gone(ada: User) -> None:
    made = await new(ada)
    assert (await ada.http.delete(f"/api/modules/{made['id']}")).status_code == 204
    for method in ("GET", "DELETE"):
        answer = await ada.http.request(method, f"/api/modules/{made['id']}")
        problem(answer, 404, "module_not_found")
    assert (await new(ada))["id"] != made["id"]


async def test_what_a_module_may_need_follows_from_its_content(ada: User, state: GatewayState) -> None:
    made = await new(ada)

    async def needed() -> list[str]:
        async with state.sessions() as session:
            return (await modules.get(session, uuid.UUID(ada.id), uuid.UUID(made["id"]))).module_names

    assert await needed() == ["weather"]
    await ada.http.patch(f"/api/modules/{made['id']}", json={"content": "@b @a @b"})
    assert await needed() == ["b", "a"]
    await ada.http.patch(f"/api/modules/{made['id']}", json={"name": "renamed"})
    assert await needed() == ["b", "a"]
    await ada.http.patch(f"/api/modules/{made['id']}", json={"content": None})
    assert await needed() == []


async def test_a_repeated_request_makes_one_module(ada: User) -> None:
    headers = {"Idempotency-Key": "once"}
    first = await ada.http.post("/api/modules", json=WHOLE, headers=headers)
    again = await ada.http.post("/api/modules", json=WHOLE, headers=headers)
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    other = await ada.http.post("/api/modules", json={**WHOLE, "name": "x"}, headers=headers)
    problem(other, 422, "idempotency_key_reused")


async def test_simple_modules_need_no_worker_and_scripts_say_that_they_do(
    settings: Settings, ada: User
) -> None:
    async with (
        running(settings.model_copy(update={"query_timeout": 0.3})) as app,
        client_of(app, ada.key) as http,
    ):
        made = await http.post("/api/modules", json={"name": "plain"})
        assert made.status_code == 201, made.text
        path = f"/api/modules/{made.json()['id']}"
        advanced = {"type": "advanced", "script": "x = 1"}
        problem(await http.post("/api/modules", json={"name": "x", **advanced}), 503, "no_worker")
        problem(await http.patch(path, json=advanced), 503, "no_worker")
        problem(await http.post("/api/modules/test-script", json={"script": ""}), 503, "no_worker")
        problem(await http.post("/api/templates/resolve", json={"template": ""}), 503, "no_worker")
        assert (await http.get(path)).json() == made.json()
        assert len((await http.get("/api/modules")).json()["items"]) == 1


async def test_functions_are_told_as_the_workers_have_them(ada: User) -> None:
    told = (await ada.http.get("/api/modules/plugin-functions")).json()
    assert told["total_count"] == len(told["functions"])
    by_name = {function["name"]: function for function in told["functions"]}
    asked = by_name["get_recent_messages"]
    assert asked.keys() == {"name", "signature", "docstring", "category", "parameters"}
    assert asked["signature"].startswith("get_recent_messages(limit=5")
    assert asked["parameters"][0] == {"name": "limit", "type": "int", "default": 5, "required": False}
    assert {"generate", "reflect", "remember", "recall", "run_module", "log"} <= by_name.keys()


# With a worker ----------------------------------------------------------------------------------------------


async def test_a_script_is_compiled_when_it_is_saved(stack: Stack, user: StackUser) -> None:
    async with user.http() as http:
        made = await http.post(
            "/api/modules", json={"name": "counter", "type": "advanced", "script": COUNTER}
        )
        assert made.status_code == 201, made.text
        module = made.json()
        assert module["requires_ai_inference"] is False
        assert module["script_analysis"]["functions"] == ["get_variable", "run_module"]
        assert module["script_analysis"]["module_names"] == ["weather"]
        path = f"/api/modules/{module['id']}"
        thinking = (await http.patch(path, json={"script": THINKER})).json()
        assert thinking["requires_ai_inference"] is True
        assert thinking["script_analysis"]["functions"] == ["generate"]
        # Other changes leave what is known of the script as it is.
        renamed = (await http.patch(path, json={"name": "thinker", "content": "@other"})).json()
        assert renamed["script_analysis"] == thinking["script_analysis"]
        assert renamed["requires_ai_inference"] is True
        simple = await http.patch(path, json={"type": "simple", "script": None})
        assert simple.status_code == 200, simple.text
        assert simple.json()["script_analysis"] is None
        assert simple.json()["requires_ai_inference"] is False


@pytest.mark.parametrize(
    ("script", "line"),
    [("x = 1\ny = = 2", 2), ("\n\nx = ().__subclasses__()", 3), ("import os", 1), ("exec('x')", 1)],
)
async def test_a_script_that_does_not_compile_is_refused_with_its_place(
    stack: Stack, user: StackUser, script: str, line: int
) -> None:
    async with user.http() as http:
        body = {"name": "broken", "type": "advanced", "script": script}
        told = problem(await http.post("/api/modules", json=body), 422, "validation_error")
        (error,) = told["errors"]
        assert (error["field"], error["line"]) == ("script", line)
        assert isinstance(error["column"], int)
        assert error["message"]
        assert (await http.get("/api/modules")).json()["items"] == []
        made = await http.post("/api/modules", json={**body, "script": "x = 1"})
        changed = await http.patch(f"/api/modules/{made.json()['id']}", json={"script": script})
        assert fields(problem(changed, 422, "validation_error")) == {"script"}
        assert (await http.get(f"/api/modules/{made.json()['id']}")).json() == made.json()


async def test_a_type_and_its_script_change_together(stack: Stack, user: StackUser) -> None:
    async with user.http() as http:
        made = (await http.post("/api/modules", json={"name": "plain"})).json()
        path = f"/api/modules/{made['id']}"
        for wrong in ({"type": "advanced"}, {"script": "x = 1"}):
            assert fields(problem(await http.patch(path, json=wrong), 422, "validation_error")) == {"script"}
        advanced = await http.patch(path, json={"type": "advanced", "script": "x = 1"})
        assert advanced.status_code == 200, advanced.text
        for wrong in ({"type": "simple"}, {"script": None}):
            assert fields(problem(await http.patch(path, json=wrong), 422, "validation_error")) == {"script"}


async def test_a_repeated_request_compiles_nothing_again(stack: Stack, user: StackUser) -> None:
    body = {"name": "counter", "type": "advanced", "script": COUNTER}
    headers = {"Idempotency-Key": "once"}
    async with user.http() as http:
        first = await http.post("/api/modules", json=body, headers=headers)
        again = await http.post("/api/modules", json=body, headers=headers)
        assert again.json() == first.json()
        queries = (await http.get("/api/jobs", params={"kind": "query"})).json()["items"]
        assert [job["operation"] for job in queries] == ["compile_script"]


async def test_a_script_is_tried(stack: Stack, user: StackUser) -> None:
    async with user.http() as http:

        async def tried(**body: Any) -> dict[str, Any]:
            answer = await http.post("/api/modules/test-script", json=body)
            assert answer.status_code == 200, answer.text
            told: dict[str, Any] = answer.json()
            assert told.keys() == {
                "success", "resolved_content", "outputs", "omitted", "printed", "log", "error", "duration_ms",
            }  # fmt: skip
            return told

        script = "n = ctx.get_variable('n', 0) + 1\nprint('counted')\n_hidden = 1"
        told = await tried(script=script, content="It is ${n}. ${unknown}", variables={"n": 41})
        assert told["success"] is True
        assert told["resolved_content"] == "It is 42. ${unknown}"
        assert told["outputs"]["n"] == 42
        assert "_hidden" not in told["outputs"]
        assert told["printed"] == "counted\n"
        assert told["error"] is None
        assert told["duration_ms"] > 0
        told = await tried(script="ctx.log('seen')\nctx.log([1], 'warning')\nkept = {1, 2}")
        assert told["log"] == [{"level": "info", "message": "seen"}, {"level": "warning", "message": "[1]"}]
        assert told["outputs"] == {}
        assert "sorted" in told["omitted"]["kept"]
        failed = await tried(script="x = 1\n1 / 0")
        assert failed["success"] is False
        assert failed["error"]["type"] == "ZeroDivisionError"
        assert failed["error"]["line"] == 2
        torn = await tried(script="x = (")
        assert torn["success"] is False
        assert torn["error"]["line"] == 1


async def test_a_script_that_is_tried_runs_any_module_as_in_a_turn(stack: Stack, user: StackUser) -> None:
    for name in ("first", "second"):
        user.post("/api/modules", json={"name": name, "content": f"the {name}"})
    script = """
texts = [ctx.run_module(name)["text"] for name in ("fir" + "st", "@second")]
try:
    ctx.run_module("th" + "ird")
except LookupError as error:
    missing = str(error)
try:
    ctx.get_message_count(conversation_id="another")
except PermissionError as error:
    refused = str(error)
"""
    async with user.http() as http:
        told = (await http.post("/api/modules/test-script", json={"script": script})).json()
    assert told["success"] is True, told
    assert told["outputs"]["texts"] == ["the first", "the second"]
    assert "third" in told["outputs"]["missing"]
    assert "get_message_count" in told["outputs"]["refused"]


async def test_modules_that_run_each_other_in_a_circle_are_named(stack: Stack, user: StackUser) -> None:
    for name, other in (("first", "second"), ("second", "first")):
        script = f"x = ctx.run_module('{other}')['text']"
        user.post("/api/modules", json={"name": name, "type": "advanced", "script": script})
    async with user.http() as http:
        told = (await http.post("/api/templates/resolve", json={"template": "@first"})).json()
    warnings = [one["message"] for one in told["warnings"] if one["warning_type"] == "execution_error"]
    assert warnings
    assert (
        "RecursionError: run_module: modules run each other in a circle: first > second > first"
        in warnings[0]
    )


async def test_a_script_is_tried_against_a_conversation_of_the_callers(stack: Stack, user: StackUser) -> None:
    other = stack.user()
    foreign = other.post("/api/conversations", json={})["id"]
    persona = user.persona(first_message="Welcome.")
    mine = user.post("/api/conversations", json={"persona_id": persona["id"]})["id"]
    async with user.http() as http:
        for missing in (foreign, str(uuid.uuid4())):
            body = {"script": "x = 1", "conversation_id": missing}
            problem(await http.post("/api/modules/test-script", json=body), 404, "conversation_not_found")
        body = {"script": "said = ctx.get_recent_messages()", "conversation_id": mine}
        told = (await http.post("/api/modules/test-script", json=body)).json()
        assert "Assistant: Welcome." in told["outputs"]["said"]


async def test_a_script_calls_the_model_only_when_that_is_asked_for(stack: Stack, user: StackUser) -> None:
    body = {"script": "said = ctx.generate('[[fake text=Hello]]')", "content": "<${said}>"}
    async with user.http() as http:
        told = (await http.post("/api/modules/test-script", json=body)).json()
        assert told["success"] is True, told
        assert told["outputs"]["said"]
        assert stack.model.counters().get("requests", 0) == 0
        told = (await http.post("/api/modules/test-script", json={**body, "run_ai": True})).json()
        assert told["outputs"] == {"said": "Hello"}
        assert told["resolved_content"] == "<Hello>"
        assert stack.model.counters()["requests"] == 1


async def test_a_script_that_never_ends_is_stopped_and_told(stack: Stack, user: StackUser) -> None:
    async with user.http() as http:
        body = {"script": "while True: pass"}
        answer = await http.post("/api/modules/test-script", json=body)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["success"] is False
    assert told["outputs"] == {}
    assert told["error"]["type"] in {"cpu", "between_calls"}
    assert told["error"]["message"]
