"""Templates: checked without a worker, resolved by one."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from shared.settings import Settings
from tests.integration.gateway.conftest import User, client_of, fields, problem, running
from tests.support.stack import Stack, StackUser


async def new(user: User, name: str, content: str | None = None, **given: Any) -> None:
    answer = await user.http.post("/api/modules", json={"name": name, "content": content, **given})
    assert answer.status_code == 201, answer.text


async def checked(user: User, template: str) -> dict[str, Any]:
    answer = await user.http.post("/api/templates/validate", json={"template": template})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_a_template_is_checked_against_the_callers_modules(ada: User, eve: User) -> None:
    await new(ada, "top", "@middle")
    await new(ada, "middle", "@gone ${x}")
    await new(ada, "off", is_active=False)
    template = "Hi @top,\n@off @Wrong \\@home ${name} @top"
    told = await checked(ada, template)
    assert {name: value for name, value in told.items() if name != "problems"} == {
        "is_valid": False,
        "module_references": ["top", "off"],
        "existing_modules": ["top", "off"],
        "missing_modules": [],
        "invalid_module_names": ["Wrong"],
        "variables": ["name"],
        "total": 3,
    }
    assert [(one["type"], one["path"], one["line"], one["column"]) for one in told["problems"]] == [
        ("module_not_found", ["top", "middle", "gone"], 1, 4),
        ("module_inactive", ["off"], 2, 1),
        ("invalid_name", ["Wrong"], 2, 6),
    ]
    await new(ada, "gone", "found")
    assert (await checked(ada, "@top"))["is_valid"] is True
    assert (await checked(eve, "@top"))["missing_modules"] == ["top"]
    assert (await checked(ada, ""))["is_valid"] is True


async def test_a_circle_through_saved_modules_is_found(ada: User) -> None:
    await new(ada, "a", "@b")
    await new(ada, "b", "@c")
    await new(ada, "c", "@b")
    (found,) = (await checked(ada, "@a"))["problems"]
    assert found["type"] == "circular_dependency"
    assert "b > c > b" in found["message"]


async def test_the_limit_of_depth_is_the_settings(settings: Settings, ada: User) -> None:
    for name, content in (("a", "@b"), ("b", "@c"), ("c", "end")):
        await new(ada, name, content)
    assert (await checked(ada, "@a"))["is_valid"] is True
    async with (
        running(settings.model_copy(update={"module_depth": 2})) as app,
        client_of(app, ada.key) as http,
    ):
        told = (await http.post("/api/templates/validate", json={"template": "@a"})).json()
    assert [one["type"] for one in told["problems"]] == ["max_depth_exceeded"]


@pytest.mark.parametrize("path", ["/api/templates/validate", "/api/templates/resolve"])
@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "template"), ({"template": "x" * 200_001}, "template"), ({"template": "", "other": 1}, "other")],
)
async def test_what_is_wrong_is_named(ada: User, path: str, body: dict[str, Any], field: str) -> None:
    answer = await ada.http.post(path, json=body)
    assert fields(problem(answer, 422, "validation_error")) == {field}


async def test_a_turn_may_only_ask_for_modules_that_run_on_demand(stack: Stack, user: StackUser) -> None:
    other = stack.user()
    on_demand = {"type": "advanced", "script": "x = 1", "execution_context": "ON_DEMAND"}
    other.post("/api/modules", json={"name": "foreign", **on_demand})
    for name, given in (
        ("asked", on_demand),
        ("always", {}),
        ("off", {**on_demand, "is_active": False}),
        ("simple", {"execution_context": "ON_DEMAND"}),
    ):
        user.post("/api/modules", json={"name": name, "content": "x", **given})
    names = ["asked", "always", "off", "simple", "foreign", "missing"]
    wrong = {f"modules.{place}" for place in range(1, 6)}
    async with user.http() as http:
        for path in ("/api/chat/send", "/api/chat/stream"):
            refused = await http.post(path, json={"message": "Hi", "modules": names})
            assert fields(problem(refused, 422, "validation_error")) == wrong
        assert (await http.get("/api/jobs")).json()["items"] == []
        headers = {"Idempotency-Key": "once"}
        sent = {"message": "Hi", "modules": ["asked"]}
        answered = await http.post("/api/chat/send", json=sent, headers=headers)
        assert answered.status_code == 200, answered.text
        told = answered.json()
        again = f"/api/conversations/{told['conversation_id']}/messages/{told['message_id']}/regenerate"
        refused = await http.post(again, json={"modules": names})
        assert fields(problem(refused, 422, "validation_error")) == wrong
        # A request that was answered is answered again, whatever became of its modules.
        (module,) = [one for one in user.get("/api/modules")["items"] if one["name"] == "asked"]
        assert (await http.delete(f"/api/modules/{module['id']}")).status_code == 204
        repeated = await http.post("/api/chat/send", json=sent, headers=headers)
        assert repeated.json()["message_id"] == told["message_id"]


# With a worker ----------------------------------------------------------------------------------------------


async def test_a_template_is_resolved_and_every_stage_is_shown(stack: Stack, user: StackUser) -> None:
    persona = user.persona(template="@outer", first_message="Welcome.")
    conversation = user.post("/api/conversations", json={"persona_id": persona["id"]})
    for module in (
        {"name": "outer", "content": "<@inner>"},
        {"name": "inner", "content": "it was said: ${last_user_message}"},
        {
            "name": "counted",
            "type": "advanced",
            "script": "n = ctx.get_variable('n', 0) + 1\nsaid = ctx.get_message_count()",
            "content": "${n} of ${said}",
        },
    ):
        user.post("/api/modules", json=module)
    async with user.http() as http:
        body = {
            "template": "@outer @counted @gone \\@home",
            "conversation_id": conversation["id"],
            "message": "@inner ${n}",
        }
        for _ in range(2):  # nothing is kept of it
            answer = await http.post("/api/templates/resolve", json=body)
            assert answer.status_code == 200, answer.text
            told = answer.json()
            assert told["resolved_template"].startswith("<it was said: @inner ${n}> 1 of ")
            assert told["resolved_template"].endswith(" @gone @home")
        assert [stage["stage"] for stage in told["stages"]] == [1]
        assert told["stages"][0]["prompt_before"] == body["template"]
        assert told["stages"][0]["prompt_after"] == told["resolved_template"]
        by_name = {module["name"]: module for module in told["modules"]}
        assert {"outer", "inner", "counted"} <= by_name.keys()
        assert by_name["counted"]["outputs"]["n"] == 1
        assert [one["warning_type"] for one in told["warnings"]] == ["module_not_found"]
        assert told["token_estimate"] > 0
        state = (await http.get(f"/api/conversations/{conversation['id']}/state")).json()
        assert state["modules"] == []
        assert (await http.get("/api/jobs")).json()["items"] == []


async def test_a_reference_in_the_content_of_a_script_is_no_call_of_it(stack: Stack, user: StackUser) -> None:
    for module in (
        {"name": "round", "script": "a = 1", "content": "1 @again"},
        {"name": "again", "script": "a = 2", "content": "2 @round"},
        {"name": "asking", "script": "a = generate('x')", "content": "${a}", "trigger_pattern": "zebra"},
        {"name": "shown", "script": "b = 1", "content": "${b} @asking"},
    ):
        user.post("/api/modules", json={"type": "advanced", **module})
    body = {"template": "@round @shown", "message": "Hello"}
    async with user.http() as http:
        told = (await http.post("/api/templates/resolve", json=body)).json()
    assert told["resolved_template"] == "1 2  1 "
    assert [one["message"].partition(",")[0] for one in told["warnings"]] == ["again refers to round"]
    # What it refers to takes no part, so it need not wait for the stage of model calls.
    assert [stage["stage"] for stage in told["stages"]] == [1]


async def test_a_stage_after_the_answer_tells_how_long_it_took(stack: Stack, user: StackUser) -> None:
    script = "import time\n_end = time.monotonic() + 0.02\nwhile time.monotonic() < _end: pass\nx = 1"
    module = {"name": "later", "type": "advanced", "execution_context": "POST_RESPONSE", "script": script}
    user.post("/api/modules", json=module)
    persona = user.persona(template="@later")
    async with user.http() as http:
        body = {"message": "Hi", "persona_id": persona["id"]}
        session = (await http.post("/api/chat/send", json=body)).json()["session_id"]
        await http.get(f"/api/chat/events/{session}")  # to their end
        trace = (await http.get(f"/api/chat/trace/{session}")).json()
    (stage,) = [stage for stage in trace["stages"] if stage["stage"] == 4]
    assert stage["duration_ms"] >= stage["modules"][0]["duration_ms"] >= 20


async def test_a_module_runs_on_demand_in_the_turn_that_asks_for_it(stack: Stack, user: StackUser) -> None:
    module = {"name": "asked", "type": "advanced", "execution_context": "ON_DEMAND", "script": "x = 'ran'"}
    user.post("/api/modules", json=module)
    persona = user.persona(template="<@asked>")
    async with user.http() as http:

        async def prompt(answer: httpx.Response) -> str:
            assert answer.status_code == 200, answer.text
            trace = await http.get(f"/api/chat/trace/{answer.json()['session_id']}")
            sent: str = trace.json()["request"]["messages"][0]["content"]
            return sent

        body = {"message": "Hi", "persona_id": persona["id"]}
        plain = await http.post("/api/chat/send", json=body)
        assert await prompt(plain) == "<>"
        assert await prompt(await http.post("/api/chat/send", json={**body, "modules": ["asked"]})) == "<ran>"
        place = plain.json()
        again = f"/api/conversations/{place['conversation_id']}/messages/{place['message_id']}/regenerate"
        assert await prompt(await http.post(again, json={"modules": ["asked"]})) == "<ran>"
