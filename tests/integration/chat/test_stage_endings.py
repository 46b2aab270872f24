"""How turns with modules end: cancelled in each stage, interrupted, followed by another, told afterwards."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
import redis

from tests.integration.chat.talk import Talk

#: The fake model would answer this in half a minute.
ENDLESS = "[[fake first=30 tokens=1]]"
#: And this in a third of a second.
SLOW = "[[fake first=0.3 tokens=1]]"
QUICK = "[[fake tokens=1]]"


def told(turn_event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in turn_event.items() if name != "session_id"}


# Cancelled before the answer --------------------------------------------------------------------------------


async def test_a_cancel_ends_a_script_that_calculates(talk: Talk) -> None:
    # The call tells from outside that the script runs; without it the loop would go on for two seconds.
    await talk.module("loop", f"word = ctx.generate({QUICK!r})\nctx.remember('x', 1)\nwhile True:\n    pass")
    persona = await talk.persona("@loop")
    session = await talk.begin(**persona)
    await talk.stack.model.await_("ended", 1)
    await talk.cancel(session)
    turn = await talk.ended(session)
    assert turn.types[-1] == "cancelled"
    assert turn.last["message_id"] is None
    assert turn.of("warning") == []
    assert len(await talk.requests()) == 1  # no answer was asked for
    assert (await talk.status(session))["status"] == "cancelled"
    assert await talk.memories(turn) == ([], {})
    # The worker goes on.
    await talk.module("whole", "x = 1", "${x}")
    assert (await talk.say(**await talk.persona("@whole", "Juno"))).prompt == "1"


async def test_a_cancel_closes_the_socket_of_a_scripts_model_call(talk: Talk) -> None:
    await talk.module("asks", f"word = ctx.generate({ENDLESS!r})")
    session = await talk.begin(**await talk.persona("@asks"))
    await talk.stack.model.await_("requests", 1)
    assert (await talk.status(session))["stage"] == 2
    assert (await talk.cancel(session))["cancelled"] is True
    await talk.stack.model.await_("aborted", 1)
    turn = await talk.ended(session)
    assert (turn.types[-1], turn.last["message_id"]) == ("cancelled", None)
    assert len(await talk.requests()) == 1
    assert await talk.variables(turn) == {}


async def test_a_cancelled_answer_keeps_what_the_stages_before_it_left(talk: Talk) -> None:
    await talk.module("count", "n = ctx.get_variable('n', 0) + 1\nctx.remember('n', n)", "${n}")
    await talk.after("behind", "x = 1")
    session = await talk.begin("[[fake tokens=1000 tps=50]]", **await talk.persona("@count@behind"))
    await talk.until(session, "chunk")
    await talk.cancel(session)
    turn = await talk.ended(session)
    assert turn.types[-1] == "cancelled"
    assert turn.last["message_id"] is not None
    assert await talk.variables(turn) == {"count": {"n": 1}}
    assert await talk.memories(turn) == ([], {"n": 1})
    assert turn.modules(4) == {}
    assert turn.trace["response"]["finish_reason"] == "cancelled"


# Cancelled after it -----------------------------------------------------------------------------------------


async def test_a_cancel_after_the_answer_ends_the_last_stages_only(talk: Talk) -> None:
    await talk.after("counted", "n = 1\nctx.store_memory('counted')")
    await talk.after("felt", f"word = ctx.generate({ENDLESS!r})\nctx.store_memory('felt')", fallback="-")
    session = await talk.begin(**await talk.persona("@counted@felt"))
    await talk.stack.model.await_("requests", 2)
    status = await talk.status(session)
    assert (status["status"], status["post_response"], status["stage"]) == ("succeeded", "running", 5)
    assert status["active"] is True
    await talk.cancel(session)
    await talk.stack.model.await_("aborted", 1)
    turn = await talk.ended(session)
    assert turn.types[-2:] != ["done", "post_response_complete"]
    assert told(turn.last) == {
        "modules": ["counted"],
        "state_updated": True,
        "post_response": "cancelled",
    }
    status = await talk.status(session)
    assert (status["status"], status["post_response"], status["active"]) == ("succeeded", "cancelled", False)
    assert turn.trace["post_response"] == "cancelled"
    assert await talk.variables(turn) == {"counted": {"n": 1}}
    assert (await talk.memories(turn))[0] == ["counted"]


# Another turn meanwhile -------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_busy", ["reject", "enqueue"])
async def test_the_next_turn_waits_for_the_last_stages(talk: Talk, on_busy: str) -> None:
    await talk.after("felt", f"word = ctx.generate({SLOW!r})\nn = ctx.get_variable('n', 0) + 1", "n=${n}")
    persona = await talk.persona("@felt")
    # `send` answers before the last stages have ended.
    first = (await talk.send("a", **persona)).json()
    await talk.stack.model.await_("requests", 2)
    place = {"conversation_id": first["conversation_id"]}
    assert (await talk.status(first["session_id"]))["post_response"] == "running"
    second = await talk.send("b", **place, on_busy=on_busy)
    assert second.status_code == 200, second.text
    requests = await talk.requests()
    assert [one["body"]["messages"][-1]["content"] for one in requests[:3]] == ["a", SLOW, "b"]
    assert requests[1]["ended_at"] < requests[2]["at"]
    assert requests[2]["body"]["messages"][0]["content"] == "n=1"
    assert (await talk.status(first["session_id"]))["post_response"] == "done"


async def test_an_interrupt_ends_the_last_stages_and_the_answer_stays(talk: Talk) -> None:
    endless = f"asked = {ENDLESS!r} if ctx.last_user_message == 'a' else {QUICK!r}\n"
    await talk.after("felt", endless + "word = ctx.generate(asked)\nn = 1", "n=${n}", fallback="none")
    first = (await talk.send("a", **await talk.persona("@felt"))).json()
    await talk.stack.model.await_("requests", 2)
    place = {"conversation_id": first["conversation_id"]}
    second = await talk.send("b", **place, on_busy="interrupt")
    assert second.status_code == 200, second.text
    await talk.stack.model.await_("aborted", 1)
    interrupted = await talk.ended(first["session_id"])
    assert (interrupted.last["modules"], interrupted.last["post_response"]) == ([], "cancelled")
    assert (await talk.status(first["session_id"]))["status"] == "succeeded"
    turn = await talk.ended(second.json()["session_id"])
    assert turn.trace["request"]["messages"] == [
        {"role": "system", "content": "none"},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": "b"},
    ]
    assert await talk.variables(turn) == {"felt": {"asked": QUICK, "word": "t0 ", "n": 1}}


# Nobody there -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_disconnect", ["continue", "cancel"])
async def test_the_last_stages_go_on_when_the_client_has_gone(talk: Talk, on_disconnect: str) -> None:
    await talk.after("felt", f"word = ctx.generate({SLOW!r})\nn = 1")
    body = {"message": "a", "on_disconnect": on_disconnect, **await talk.persona("@felt")}
    async with talk.http.stream("POST", "/api/chat/stream", json=body) as response:
        session = response.headers["X-Session-ID"]
        async for line in response.aiter_lines():
            if line == "event: done":
                break
        await talk.stack.model.await_("requests", 2)
    turn = await talk.ended(session)
    assert told(turn.last) == {"modules": ["felt"], "state_updated": True, "post_response": "done"}
    assert (await talk.requests())[1]["aborted"] is False
    assert (await talk.variables(turn))["felt"]["n"] == 1


# Told afterwards --------------------------------------------------------------------------------------------


async def test_the_end_is_told_the_same_when_redis_has_lost_it(talk: Talk) -> None:
    await talk.module("early", "n = 1", "${n}")
    await talk.after("late", "m = 2")
    turn = await talk.say(**await talk.persona("@early@late"))
    await asyncio.to_thread(forget, talk.stack.redis_url, turn.session_id)
    rebuilt = await talk.ended(turn.session_id)
    assert rebuilt.types == ["restart", "chunk", "done", "post_response_complete"]
    assert rebuilt.last == turn.last
    assert told(turn.last) == {"modules": ["late"], "state_updated": True, "post_response": "done"}
    assert rebuilt.of("done") == turn.of("done")
    assert rebuilt.text == turn.text


async def test_a_repeated_request_is_warned_as_the_first_one_was(talk: Talk) -> None:
    """From the trace, where the events are lost; what came after the answer was not told then either."""
    await talk.module("early", "raise ValueError('no')")
    await talk.after("late", "raise ValueError('neither')")
    body = {"message": "a", **await talk.persona("@early@late")}
    key = {"Idempotency-Key": uuid.uuid4().hex}
    first = (await talk.http.post("/api/chat/send", json=body, headers=key)).json()
    turn = await talk.ended(first["session_id"])
    assert [warning["module_name"] for warning in turn.of("warning")] == ["early", "late"]
    assert [warning["module_name"] for warning in first["warnings"]] == ["early"]
    assert (await talk.http.post("/api/chat/send", json=body, headers=key)).json() == first
    await asyncio.to_thread(forget, talk.stack.redis_url, turn.session_id)
    assert (await talk.http.post("/api/chat/send", json=body, headers=key)).json() == first
    assert len(await talk.requests()) == 1


def forget(redis_url: str, session_id: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.delete(f"stack:events:{session_id}") == 1
