"""One turn, one trace: what a collector gets of it, and what it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tests.integration.chat.talk import Talk
from tests.integration.tracing.tree import Node, Trace, trace, traceparent
from tests.support.collector import Collector, Seen
from tests.support.stack import Stack

SEND = "POST /api/chat/send"
STREAM = "POST /api/chat/stream"
QUICK = "[[fake tokens=1]]"
ENDLESS = "[[fake tokens=5000 tps=50]]"


async def ask(talk: Talk, given: str, message: str = "Hello.", path: str = "send", **body: Any) -> str:
    """A turn within the trace of its client; its session."""
    headers = {"traceparent": given, "Prefer": "respond-async"}
    answer = await talk.http.post(f"/api/chat/{path}", json={"message": message, **body}, headers=headers)
    assert answer.is_success, answer.text
    return answer.headers["X-Session-ID"]


def times(node: Node) -> None:
    """A span begins no earlier than the one above it."""
    for below in node.below:
        assert node.span.began <= below.span.began <= below.span.ended
        times(below)


def ids(span: Seen) -> dict[str, Any]:
    return {name: value for name, value in span.attributes.items() if name.endswith(".id")}


async def test_a_turn_is_one_trace_from_the_request_to_the_last_stage(
    talk: Talk, collector: Collector
) -> None:
    first = await talk.module("first", "word = 'one'", "${word}")
    await talk.module("thought", f"seen = ctx.generate({QUICK!r})", "${seen}")
    fourth = await talk.after("fourth", "kept = ctx.ai_response")
    await talk.after("fifth", f"felt = ctx.reflect({QUICK!r})")
    given = traceparent()
    session = await ask(talk, given, **await talk.persona("@first @thought @fourth @fifth"))
    turn = await talk.ended(session)
    found = await trace(collector, given, "attempt chat", SEND)
    call = "provider call"
    assert found.shapes == [
        {
            SEND: [
                {
                    "accept chat": [
                        "queue chat",
                        {
                            "attempt chat": [
                                {"stage 1": ["script"]},
                                {"stage 2": [{"script": [call]}]},
                                {"stage 3": [call]},
                                {"stage 4": ["script"]},
                                {"stage 5": [{"script": [call]}]},
                            ]
                        },
                    ]
                }
            ]
        }
    ]
    times(found.roots[0])
    assert not any(span.failed for span in found.spans)
    assert {(span.name, span.service, span.kind) for span in found.spans} >= {
        (SEND, "parley-gateway", "server"),
        ("accept chat", "parley-gateway", "producer"),
        ("queue chat", "parley-worker", "internal"),
        ("attempt chat", "parley-worker", "consumer"),
        (call, "parley-worker", "client"),
    }
    request = found.only(SEND)
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/api/chat/send",
        "http.response.status_code": 202,
    }
    conversation = turn.conversation["conversation_id"]
    named = {
        "parley.job.id": session,
        "parley.conversation.id": conversation,
        "parley.owner.id": talk.user.id,
    }
    for name in ("accept chat", "queue chat", "attempt chat"):
        assert ids(found.only(name)) == named
    attempt = found.only("attempt chat")
    assert (attempt.attributes["parley.attempt"], attempt.links) == (1, ())
    assert attempt.attributes["parley.outcome"] == "succeeded"
    assert [ids(one)["parley.module.id"] for one in found.named("script")][::2] == [first, fourth]
    (answered,) = [one for one in found.named(call) if one.parent_id == found.only("stage 3").span_id]
    told = turn.of("done")[0]["metadata"]
    assert answered.attributes["gen_ai.request.model"] == "fake"
    assert answered.attributes["gen_ai.provider.name"] == "openai"
    assert answered.attributes["gen_ai.usage.input_tokens"] == told["input_tokens"]
    assert answered.attributes["gen_ai.usage.output_tokens"] == told["output_tokens"] == 10
    assert 0 < answered.attributes["parley.first_token_seconds"] < 60


async def test_a_stream_is_within_its_request_to_the_last_byte(talk: Talk, collector: Collector) -> None:
    given = traceparent()
    await ask(talk, given, path="stream")
    found = await trace(collector, given, "attempt chat", STREAM)
    assert [next(iter(shape)) for shape in found.shapes] == [STREAM]
    request, answer = found.only(STREAM), found.only("provider call")
    assert request.began < answer.began < answer.ended < request.ended


def rooted(spans: Sequence[Seen], session: str) -> str | None:
    """The trace of a turn, when its attempt and a request without a parent have come."""
    for attempt in spans:
        if attempt.name == "attempt chat" and attempt.attributes["parley.job.id"] == session:
            for one in spans:
                if one.trace_id == attempt.trace_id and one.name == SEND and not one.parent_id:
                    return one.trace_id
    return None


async def root_of(collector: Collector, session: str) -> str:
    spans = await asyncio.to_thread(collector.wait, lambda spans: rooted(spans, session))
    trace_id = rooted(spans, session)
    assert trace_id is not None
    return trace_id


async def test_without_a_clients_trace_each_turn_begins_one(talk: Talk, collector: Collector) -> None:
    sessions = [(await talk.say()).session_id, (await talk.say()).session_id]
    assert len({await root_of(collector, session) for session in sessions}) == 2


@pytest.mark.parametrize("header", ["nonsense", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", ""])
async def test_a_header_that_is_none_begins_a_trace_of_its_own(
    talk: Talk, collector: Collector, header: str
) -> None:
    session = await ask(talk, header)
    await talk.ended(session)
    assert await root_of(collector, session) not in header


async def test_what_a_client_does_not_record_is_recorded_nowhere(talk: Talk, collector: Collector) -> None:
    unrecorded, recorded = traceparent().removesuffix("01") + "00", traceparent()
    await talk.ended(await ask(talk, unrecorded))
    await talk.ended(await ask(talk, recorded))
    await trace(collector, recorded, "attempt chat", SEND)
    assert not [one for one in collector.spans if one.trace_id == unrecorded.split("-")[1]]


async def test_nothing_that_was_said_and_no_name_leaves(talk: Talk, collector: Collector) -> None:
    said, answered, named = "heron-in-the-harbour", "kingfisher", "lighthousekeeper"
    await talk.module(named, f"secret = {said!r} + ctx.generate('[[fake text={answered}]]')", "${secret}")
    await talk.after("fails", f"raise ValueError({said!r})", fallback="-")
    persona = await talk.persona(f"@{named} @fails {said}", named)
    given = traceparent()
    await talk.ended(await ask(talk, given, f"{said} [[fake text={answered}]]", **persona))
    broken = traceparent()
    fault = "[[fake fault=error@2 text=kingfisher]]"
    await talk.ended(await ask(talk, broken, f"{said} {fault}", **persona))
    await trace(collector, given, "attempt chat", SEND)
    await trace(collector, broken, "attempt chat", SEND)
    sent = b"".join(collector.bodies)
    assert talk.user.id.encode() in sent
    for word in (said, answered, named, talk.user.name, talk.user.key, "sk-of-the-fake", "127.0.0.1"):
        assert word.encode() not in sent, word


async def test_a_cancelled_turn_tells_how_far_it_came(talk: Talk, collector: Collector) -> None:
    given = traceparent()
    session = await ask(talk, given, ENDLESS)
    await talk.until(session, "chunk")
    await talk.cancel(session)
    await talk.ended(session)
    found = await trace(collector, given, "attempt chat", SEND)
    assert _below_accept(found) == ["queue chat", {"attempt chat": [{"stage 3": ["provider call"]}]}]
    assert found.only("attempt chat").attributes["parley.outcome"] == "cancelled"
    for name in ("stage 3", "provider call"):
        assert found.only(name).attributes["parley.cancelled"] is True
    assert not any(span.failed for span in found.spans)


async def test_a_turn_that_is_cancelled_while_it_waits_ends_in_its_trace(
    talk: Talk, collector: Collector
) -> None:
    session = await ask(talk, traceparent(), ENDLESS)
    conversation = (await talk.until(session, "session_start"))["data"]["conversation_id"]
    given = traceparent()
    waiting = await ask(talk, given, conversation_id=conversation, on_busy="enqueue")
    await talk.cancel(waiting)
    await talk.cancel(session)
    found = await trace(collector, given, "close chat", SEND)
    assert _below_accept(found) == ["close chat"]
    assert found.only("close chat").attributes["parley.outcome"] == "cancelled"


async def test_a_failed_turn_tells_the_code_alone(talk: Talk, collector: Collector) -> None:
    given = traceparent()
    await talk.ended(await ask(talk, given, "[[fake fault=401]]"))
    found = await trace(collector, given, "attempt chat", SEND)
    code = "provider_authentication_error"
    for name in ("provider call", "stage 3", "attempt chat"):
        span = found.only(name)
        assert (span.failed, span.attributes["error.type"]) == (True, code), name
    assert not found.only("accept chat").failed
    assert found.only("attempt chat").attributes["parley.outcome"] == "failed"


async def test_the_tries_of_a_call_are_told(talk: Talk, collector: Collector) -> None:
    given = traceparent()
    await talk.ended(await ask(talk, given, "[[fake fault=503x1]]"))
    found = await trace(collector, given, "attempt chat", SEND)
    call = found.only("provider call")
    assert call.events["retry"] == {"error.type": "provider_unavailable", "parley.try": 1}
    assert not call.failed


async def test_a_script_that_fails_is_marked_and_the_turn_is_not(talk: Talk, collector: Collector) -> None:
    await talk.module("fails", "x = 1 / 0", "${x}", fallback="-")
    given = traceparent()
    await talk.ended(await ask(talk, given, **await talk.persona("@fails")))
    found = await trace(collector, given, "attempt chat", SEND)
    script = found.only("script")
    assert (script.failed, script.attributes["error.type"]) == (True, "script_runtime")
    assert script.attributes["parley.script.succeeded"] is False
    assert not found.only("attempt chat").failed


async def test_short_operations_are_traced_too(talk: Talk, collector: Collector) -> None:
    given = traceparent()
    (connection,) = talk.user.get("/api/connections")["items"]
    path = f"/api/connections/{connection['id']}/test"
    answer = await talk.http.post(path, headers={"traceparent": given})
    assert answer.is_success, answer.text
    found = await trace(collector, given, "attempt query", "POST /api/connections/{connection_id}/test")
    assert _below_accept(found, "query") == ["queue query", {"attempt query": ["test_connection"]}]


async def test_providers_are_told_of_no_trace(talk: Talk) -> None:
    await talk.ended(await ask(talk, traceparent()))
    (request,) = await talk.requests()
    assert "traceparent" not in {name.lower() for name in request["headers"]}


async def test_requests_are_named_by_their_routes(talk: Talk, collector: Collector) -> None:
    given = traceparent()
    said = "heron-in-the-path"
    for path in ("/api/personas", f"/v1/models/{said}/{said}", f"/nowhere/{said}"):
        await talk.http.get(path, headers={"traceparent": given})
    model = {"model": "fake", "messages": [{"role": "user", "content": "Hello."}]}
    await talk.http.post("/v1/chat/completions", json=model, headers={"traceparent": given})
    completions = "POST /v1/chat/completions"
    found = await trace(collector, given, "GET /api/personas", "attempt chat", completions)
    assert [(node.span.name, node.span.attributes["http.response.status_code"]) for node in found.roots] == [
        ("GET /api/personas", 200),
        ("GET /v1/models/{model_id}", 404),
        ("GET", 404),
        (completions, 200),
    ]
    assert found.only("accept chat").parent_id == found.only(completions).span_id
    assert said.encode() not in b"".join(collector.bodies)


async def test_health_is_not_traced(talk: Talk, collector: Collector) -> None:
    given, after = traceparent(), traceparent()
    assert (await talk.http.get("/health/live", headers={"traceparent": given})).is_success
    await talk.ended(await ask(talk, after))
    await trace(collector, after, "attempt chat", SEND)
    assert not [one for one in collector.spans if one.trace_id == given.split("-")[1]]


def _below_accept(found: Trace, kind: str = "chat") -> list[Any]:
    (request,) = found.roots
    (accept,) = [node for node in request.below if node.span.name == f"accept {kind}"]
    return [node.shape for node in accept.below]


async def test_a_turn_of_a_gateway_that_does_not_trace_has_a_trace_of_its_own(
    talk: Talk, collector: Collector, traced_stack: Stack
) -> None:
    traced_stack.start_gateway(tracing="off")
    async with talk.user.http(gateway=1) as http:
        answer = await http.post("/api/chat/send", json={"message": "Hello."})
    assert answer.is_success, answer.text
    trace_id = answer.json()["session_id"].replace("-", "")
    found = await trace(collector, f"00-{trace_id}--", "attempt chat")
    assert found.shapes == ["queue chat", {"attempt chat": [{"stage 3": ["provider call"]}]}]
