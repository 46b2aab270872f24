"""A turn end to end: accepted, run, streamed, stored; and every way to ask for one wrongly."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import httpx
import pytest

from tests.integration.chat.talk import Event, read_events
from tests.support.stack import Stack, StackUser


def tokens(count: int) -> str:
    """What the fake model says."""
    return "".join(f"t{number} " for number in range(count))


async def stream(http: httpx.AsyncClient, **body: Any) -> list[Event]:
    async with http.stream("POST", "/api/chat/stream", json=body) as response:
        assert response.status_code == 200, await response.aread()
        return [event async for event in read_events(response)]


def text_of(events: list[Event]) -> str:
    text: list[str] = []
    for event in events:
        if event["event"] == "restart":
            text.clear()
        elif event["event"] == "chunk":
            text.append(event["data"]["content"])
    return "".join(text)


def user(stack: Stack, **connection: Any) -> StackUser:
    made = stack.user(f"u-{uuid.uuid4().hex[:8]}")
    made.connect(**connection)
    return made


async def messages_of(http: httpx.AsyncClient, conversation_id: str, *, every: bool = False) -> list[Any]:
    params = {"all": "true"} if every else {}
    answer = await http.get(f"/api/conversations/{conversation_id}/messages", params=params)
    assert answer.status_code == 200, answer.text
    items: list[Any] = answer.json()["items"]
    return items


async def test_a_stream_tells_the_turn_in_order_and_what_it_told_is_stored(stack: Stack) -> None:
    async with user(stack).http() as http:
        events = await stream(http, message="hello")
        numbered = [event for event in events if "id" in event]
        assert [event["id"] for event in numbered] == [f"1-{n}" for n in range(len(numbered))]
        assert numbered[0]["event"] == "session_start"
        assert [event["event"] for event in numbered[-2:]] == ["done", "post_response_complete"]
        done = numbered[-2]["data"]
        stored = await messages_of(http, done["conversation_id"])
        assert [message["role"] for message in stored] == ["assistant", "user"]
        assert stored[0]["id"] == done["message_id"]
        assert stored[0]["content"] == text_of(events) == tokens(10)
        assert done["metadata"]["provider"] == "openai"
        assert done["metadata"]["attempt"] == 1
        assert stored[0]["output_tokens"] == done["metadata"]["output_tokens"] == 10


async def test_send_answers_with_what_is_stored(stack: Stack) -> None:
    async with user(stack).http() as http:
        answer = await http.post("/api/chat/send", json={"message": "hello"})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert answer.headers["X-Session-ID"] == body["session_id"]
        assert set(body) == {
            "session_id",
            "conversation_id",
            "user_message_id",
            "message_id",
            "content",
            "thinking",
            "tool_calls",
            "metadata",
            "warnings",
        }
        assert body["content"] == tokens(10)
        assert set(body["metadata"]) >= {
            "provider",
            "model",
            "finish_reason",
            "input_tokens",
            "output_tokens",
            "response_time",
            "time_to_first_token",
            "attempt",
        }
        status = (await http.get(f"/api/chat/status/{body['session_id']}")).json()
        assert (status["status"], status["post_response"], status["attempt"]) == ("succeeded", "done", 1)


async def test_an_asynchronous_turn_is_followed_by_its_urls(stack: Stack) -> None:
    async with user(stack).http() as http:
        accepted = await http.post(
            "/api/chat/send", json={"message": "hello"}, headers={"Prefer": "respond-async"}
        )
        assert accepted.status_code == 202
        async with http.stream("GET", accepted.json()["events_url"]) as response:
            events = [event async for event in read_events(response)]
        assert events[-1]["event"] == "post_response_complete"
        assert text_of(events).startswith("t0 t1")


async def test_persona_prompt_and_history_go_to_the_model(stack: Stack) -> None:
    ada = user(stack)
    persona = ada.persona(f"P{uuid.uuid4().hex[:6]}", "You are Ava, and brief.", first_message="Hello there.")
    async with ada.http() as http:
        first = (
            await http.post("/api/chat/send", json={"message": "first", "persona_id": persona["id"]})
        ).json()
        await http.post(
            "/api/chat/send", json={"message": "second", "conversation_id": first["conversation_id"]}
        )
    sent = [r for r in await stack.model.alog() if r["method"] == "POST"][-1]["body"]["messages"]
    assert [(m["role"], m["content"]) for m in sent] == [
        ("system", "You are Ava, and brief."),
        ("assistant", "Hello there."),
        ("user", "first"),
        ("assistant", first["content"]),
        ("user", "second"),
    ]


async def test_a_persona_may_want_no_history(stack: Stack) -> None:
    ada = user(stack)
    persona = ada.persona(
        f"P{uuid.uuid4().hex[:6]}", "Prompt.", history={"max_messages": 0, "max_tokens": None}
    )
    async with ada.http() as http:
        first = (
            await http.post("/api/chat/send", json={"message": "first", "persona_id": persona["id"]})
        ).json()
        await http.post(
            "/api/chat/send", json={"message": "second", "conversation_id": first["conversation_id"]}
        )
    sent = [r for r in await stack.model.alog() if r["method"] == "POST"][-1]["body"]["messages"]
    assert [m["content"] for m in sent] == ["Prompt.", "second"]


async def test_regenerating_and_answering_elsewhere_make_branches(stack: Stack) -> None:
    async with user(stack).http() as http:
        first = (await http.post("/api/chat/send", json={"message": "q"})).json()
        conversation = first["conversation_id"]
        again = (
            await http.post(f"/api/conversations/{conversation}/messages/{first['message_id']}/regenerate")
        ).json()
        assert again["user_message_id"] == first["user_message_id"]
        assert again["message_id"] != first["message_id"]
        shown = await messages_of(http, conversation)
        assert shown[0]["id"] == again["message_id"]
        tree = await messages_of(http, conversation, every=True)
        assert {m["id"] for m in tree} >= {first["message_id"], again["message_id"]}
        branch = (
            await http.post(
                "/api/chat/send",
                json={
                    "message": "on the old branch",
                    "conversation_id": conversation,
                    "parent_message_id": first["message_id"],
                },
            )
        ).json()
        shown = await messages_of(http, conversation)
        assert [m["id"] for m in shown] == [
            branch["message_id"],
            branch["user_message_id"],
            first["message_id"],
            first["user_message_id"],
        ]


async def test_a_client_that_resumes_gets_each_later_event_once(stack: Stack) -> None:
    async with user(stack).http() as http:
        events: list[Event] = []
        session = ""
        body = {"message": "[[fake tokens=40 tps=200]]"}
        async with http.stream("POST", "/api/chat/stream", json=body) as response:
            session = response.headers["X-Session-ID"]
            async for event in read_events(response):
                events.append(event)
                if len(events) > 7:
                    break
        while events[-1]["event"] != "post_response_complete":
            last = events[-1]["id"]
            got = 0
            url = f"/api/chat/events/{session}"
            async with http.stream("GET", url, headers={"Last-Event-ID": last}) as response:
                async for event in read_events(response):
                    events.append(event)
                    got += 1
                    if got == 9:
                        break
        ids = [event["id"] for event in events if "id" in event]
        assert ids == [f"1-{n}" for n in range(len(ids))]
        assert text_of(events) == tokens(40)
        after = await http.get(url, headers={"Last-Event-ID": ids[-1]})
        assert after.status_code == 204
        beyond = await http.get(url, params={"starting_after": "1-0"})
        assert beyond.text.count("event: ") == len(ids) - 1


@pytest.mark.parametrize("model", ["slow-first:30s", "fake/tokens=2000,tps=20"])
async def test_cancel_reaches_the_provider_and_keeps_what_there_was(stack: Stack, model: str) -> None:
    async with user(stack).http() as http:
        stack.model.reset()
        accepted = await http.post(
            "/api/chat/send", json={"message": "x", "model": model}, headers={"Prefer": "respond-async"}
        )
        session = accepted.json()["session_id"]
        await asyncio.to_thread(stack.model.wait, "requests" if model.startswith("slow") else "tokens", 1)
        first = (await http.post(f"/api/chat/cancel/{session}")).json()
        assert first["cancelled"] is True
        await asyncio.to_thread(stack.model.wait, "aborted", 1)
        async with http.stream("GET", accepted.json()["events_url"]) as response:
            events = [event async for event in read_events(response)]
        assert events[-1]["event"] == "cancelled"
        stored = await messages_of(http, accepted.json()["conversation_id"])
        text = text_of(events)
        if text:
            assert stored[0]["content"] == text
            assert stored[0]["metadata"]["finish_reason"] == "cancelled"
            assert events[-1]["data"]["message_id"] == stored[0]["id"]
        else:
            assert events[-1]["data"]["message_id"] is None
            assert [message["role"] for message in stored] == ["user"]
        again = (await http.post(f"/api/chat/cancel/{session}")).json()
        assert (again["cancelled"], again["status"]) == (True, "cancelled")
        status = (await http.get(f"/api/chat/status/{session}")).json()
        assert (status["status"], status["active"]) == ("cancelled", False)


async def test_a_busy_conversation_rejects_enqueues_or_interrupts(stack: Stack) -> None:
    async with user(stack).http() as http:
        first = (await http.post("/api/chat/send", json={"message": "q"})).json()
        conversation = {"conversation_id": first["conversation_id"]}
        respond_async = {"Prefer": "respond-async"}
        slow = {**conversation, "message": "[[fake tokens=1000 tps=50]]"}
        active = (await http.post("/api/chat/send", json=slow, headers=respond_async)).json()
        refused = await http.post("/api/chat/send", json={**conversation, "message": "x"})
        assert (refused.status_code, refused.json()["code"]) == (409, "conversation_busy")
        queued = (
            await http.post(
                "/api/chat/send",
                json={**conversation, "message": "waits", "on_busy": "enqueue"},
                headers=respond_async,
            )
        ).json()
        status = (await http.get(f"/api/chat/status/{queued['session_id']}")).json()
        assert (status["status"], status["queue_position"]) == ("queued", 1)
        answered = await http.post(
            "/api/chat/send", json={**conversation, "message": "now", "on_busy": "interrupt"}
        )
        assert answered.status_code == 200, answered.text
        for interrupted in (active, queued):
            status = (await http.get(f"/api/chat/status/{interrupted['session_id']}")).json()
            assert status["status"] == "cancelled"
        shown = await messages_of(http, first["conversation_id"])
        assert shown[0]["id"] == answered.json()["message_id"]
        assert shown[2]["metadata"]["finish_reason"] == "cancelled"
        assert (await http.get("/api/chat/sessions/active")).json()["active_session_count"] == 0


async def test_an_enqueued_turn_runs_when_the_one_before_has_ended(stack: Stack) -> None:
    async with user(stack).http() as http:
        first = (await http.post("/api/chat/send", json={"message": "q"})).json()
        conversation = {"conversation_id": first["conversation_id"]}
        bodies = [
            {**conversation, "message": "[[fake tokens=20 tps=40]] a"},
            {**conversation, "message": "b", "on_busy": "enqueue"},
            {**conversation, "message": "c", "on_busy": "enqueue"},
        ]
        sessions = []
        for body in bodies:
            accepted = await http.post("/api/chat/send", json=body, headers={"Prefer": "respond-async"})
            assert accepted.status_code == 202, accepted.text
            sessions.append(accepted.json()["events_url"])
        for url in sessions:
            async with http.stream("GET", url) as response:
                assert [e async for e in read_events(response)][-1]["event"] == "post_response_complete"
        shown = await messages_of(http, first["conversation_id"])
        assert [m["content"] for m in reversed(shown) if m["role"] == "user"] == [
            "q",
            "[[fake tokens=20 tps=40]] a",
            "b",
            "c",
        ]


async def test_the_same_key_gives_the_same_turn_once(stack: Stack) -> None:
    async with user(stack).http() as http:
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        body = {"message": "[[fake tokens=10 tps=50]]"}
        stack.model.reset()
        answers = await asyncio.gather(
            *(http.post("/api/chat/send", json=body, headers=headers) for _ in range(5))
        )
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["message_id"] for answer in answers}) == 1
        async with http.stream("POST", "/api/chat/stream", json=body, headers=headers) as response:
            events = [event async for event in read_events(response)]
        assert text_of(events) == answers[0].json()["content"]
        assert len([r for r in await stack.model.alog() if r["method"] == "POST"]) == 1
        other = await http.post("/api/chat/send", json={"message": "other"}, headers=headers)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("fault-401", 502, "provider_authentication_error"),
        ("fault-400", 502, "provider_request_error"),
        ("fault-500", 502, "provider_unavailable"),
        ("fault-empty", 502, "provider_response_error"),
        ("fault-truncate", 502, "provider_response_error"),
        ("fault-error", 502, "provider_unavailable"),
        ("missing", 502, "model_not_found"),
    ],
)
async def test_a_failing_provider_is_told_and_what_came_before_is_kept(
    stack: Stack, model: str, status: int, code: str
) -> None:
    async with user(stack).http() as http:
        answer = await http.post("/api/chat/send", json={"message": "x", "model": model})
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert "127.0.0.1" not in answer.text
        events = await stream(http, message="x", model=model)
        assert events[-1]["event"] == "error"
        assert events[-1]["data"]["code"] == code
        session = events[-1]["data"]["session_id"]
        assert (await http.get(f"/api/chat/status/{session}")).json()["error"]["code"] == code
        if text_of(events):
            conversation = next(e["data"] for e in events if e["event"] == "session_start")["conversation_id"]
            kept = (await messages_of(http, conversation))[0]
            assert kept["content"] == text_of(events)
            assert kept["metadata"]["finish_reason"] == "error"


async def test_an_unreachable_provider_is_told_without_its_address(stack: Stack) -> None:
    async with user(stack).http() as http:
        own = {"provider": "openai", "provider_settings": {"base_url": "http://127.0.0.1:9/v1", "model": "m"}}
        answer = await http.post("/api/chat/send", json={"message": "x", **own})
        assert (answer.status_code, answer.json()["code"]) == (502, "provider_connection_error")
        assert "127.0.0.1" not in answer.text


async def test_settings_of_the_request_answer_it_and_their_key_is_erased(stack: Stack) -> None:
    async with user(stack).http() as http:
        own = {
            "provider": "ollama",
            "provider_settings": {"host": stack.model.ollama_url, "model": "fake", "api_key": "sk-only-once"},
        }
        stack.model.reset()
        answer = await http.post("/api/chat/send", json={"message": "x", **own})
        assert answer.status_code == 200, answer.text
        assert answer.json()["metadata"]["provider"] == "ollama"
        [sent] = [r for r in await stack.model.alog() if r["method"] == "POST"]
        assert sent["headers"]["authorization"] == "Bearer sk-only-once"
        assert "sk-only-once" not in answer.text


NOBODY = str(uuid.uuid4())


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"message": "  \n "}, 422, "validation_error", "message"),
        ({"message": "x" * 100_001}, 422, "validation_error", "message"),
        ({"message": 5}, 422, "validation_error", "message"),
        ({"message": "a\u0000b"}, 422, "validation_error", "message"),
        ({}, 422, "validation_error", "message"),
        ({"message": "x", "mesage": "y"}, 422, "validation_error", "mesage"),
        ({"message": "x", "persona_id": NOBODY}, 404, "persona_not_found", None),
        ({"message": "x", "persona_id": "nobody"}, 422, "validation_error", "persona_id"),
        ({"message": "x", "conversation_id": NOBODY}, 404, "conversation_not_found", None),
        ({"message": "x", "connection_id": NOBODY}, 404, "connection_not_found", None),
        ({"message": "x", "parent_message_id": NOBODY}, 422, "validation_error", None),
        (
            {"message": "x", "chat_controls": {"temperature": 9}},
            422,
            "validation_error",
            "chat_controls.temperature",
        ),
        ({"message": "x", "chat_controls": {"top_k": 3}}, 422, "unsupported_control", "chat_controls.top_k"),
        (
            {"message": "x", "chat_controls": {"tool_choice": "auto"}},
            422,
            "validation_error",
            "chat_controls",
        ),
        (
            {"message": "x", "provider": "skynet", "provider_settings": {}},
            422,
            "validation_error",
            "provider",
        ),
        ({"message": "x", "provider": "ollama"}, 422, "validation_error", None),
        (
            {"message": "x", "provider": "ollama", "provider_settings": {"model": "m"}},
            422,
            "validation_error",
            "settings.host",
        ),
        ({"message": "x", "on_busy": "wait"}, 422, "validation_error", "on_busy"),
        ({"message": "x", "modules": ["Not A Name"]}, 422, "validation_error", "modules.0"),
    ],
)
async def test_bad_input_names_the_field_and_creates_nothing(
    stack: Stack, body: Event, status: int, code: str, field: str | None
) -> None:
    async with user(stack).http() as http:
        for path in ("/api/chat/send", "/api/chat/stream"):
            answer = await http.post(path, json=body)
            problem = answer.json()
            assert (answer.status_code, problem["code"]) == (status, code), problem
            assert answer.headers["content-type"].startswith("application/problem+json")
            if field is not None:
                assert field in [error["field"] for error in problem["errors"]], problem
        assert (await http.get("/api/conversations")).json()["items"] == []


async def test_malformed_json_is_no_turn(stack: Stack) -> None:
    async with user(stack).http() as http:
        answer = await http.post(
            "/api/chat/send", content=b'{"message": "x"', headers={"Content-Type": "application/json"}
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


async def test_without_any_connection_the_remedy_is_told(stack: Stack) -> None:
    async with stack.user(f"u-{uuid.uuid4().hex[:8]}").http() as http:
        answer = await http.post("/api/chat/send", json={"message": "x"})
        assert (answer.status_code, answer.json()["code"]) == (404, "connection_not_found")
        assert "POST /api/connections" in answer.json()["detail"]


async def test_without_a_model_anywhere_the_remedy_is_told(stack: Stack) -> None:
    async with user(stack, model=None).http() as http:
        answer = await http.post("/api/chat/send", json={"message": "x"})
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
        assert answer.json()["errors"][0]["field"] == "model"


async def test_what_is_somebody_elses_is_not_there(stack: Stack) -> None:
    async with user(stack).http() as mine, user(stack).http() as other:
        turn = (await mine.post("/api/chat/send", json={"message": "secret"})).json()
        session, conversation = turn["session_id"], turn["conversation_id"]
        for method, url, body in [
            ("GET", f"/api/chat/events/{session}", None),
            ("GET", f"/api/chat/status/{session}", None),
            ("POST", f"/api/chat/cancel/{session}", None),
            ("POST", f"/api/conversations/{conversation}/messages/{turn['message_id']}/regenerate", {}),
            ("POST", "/api/chat/send", {"message": "x", "conversation_id": conversation}),
        ]:
            answer = await other.request(method, url, json=body)
            assert answer.status_code == 404, (method, url, answer.text)


@pytest.mark.parametrize("event_id", ["x", "1", "1-", "-1", "0-1", "1-x", "9-1", "1-0-0", "²-1", ""])
async def test_an_event_id_that_makes_no_sense_is_refused(stack: Stack, event_id: str) -> None:
    async with user(stack).http() as http:
        turn = (await http.post("/api/chat/send", json={"message": "x"})).json()
        answer = await http.get(f"/api/chat/events/{turn['session_id']}", params={"starting_after": event_id})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_event_id")


async def test_thinking_and_tool_calls_are_told_and_stored(stack: Stack) -> None:
    async with user(stack).http() as http:
        tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
        events = await stream(
            http,
            message="[[fake tokens=3 thinking=field tools=1]]",
            chat_controls={"tools": tools},
        )
        done = next(e["data"] for e in events if e["event"] == "done")
        stored = (await messages_of(http, done["conversation_id"]))[0]
        thinking = "".join(e["data"]["thinking"] for e in events if e["event"] == "chunk")
        assert stored["thinking"] == thinking != ""
        assert stored["tool_calls"][0]["function"]["name"] == "weather"
        assert any(e["data"]["tool_calls"] for e in events if e["event"] == "chunk")
