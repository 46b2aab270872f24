"""The published gateway of the composed installation does what Parley promises."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

import openai
import pytest

from deploy.cli.api import Api, ApiError
from tests.chaos.runs import config as experiment
from tests.containers.installation import Installation, User, patiently
from tests.containers.turns import Turns, expected


def _model(installation: Installation, path: str) -> Any:
    with urllib.request.urlopen(installation.url("TEST_MODEL_PUBLISH") + path, timeout=30) as answer:
        return json.load(answer)


def test_a_turn_goes_through_all_services(user: Api) -> None:
    answer = user.call("POST", "/api/chat/send", {"message": "[[fake tokens=7]]"})

    assert answer["content"] == expected(7)
    assert answer["metadata"]["attempt"] == 1
    stored = user.get(f"/api/conversations/{answer['conversation_id']}/messages")["items"]
    assert {one["role"]: one["content"] for one in stored}["assistant"] == expected(7)


def test_a_client_that_comes_back_gets_each_later_event_once(turns: Turns) -> None:
    turn = turns.ask(tokens=40, tps=20)
    events = turns.read(turn["session_id"], stop_after=8)
    assert 0 < len(events.ids) <= 8

    events.read()

    assert events.text == expected(40)
    assert len(set(events.ids)) == len(events.ids)
    assert events.types[-1] == "post_response_complete"
    again = turns.read(turn["session_id"])
    assert again.ids == events.ids
    assert again.text == events.text


def test_cancel_reaches_the_provider(installation: Installation, turns: Turns) -> None:
    before = _model(installation, "/_fake/log")["counters"].get("aborted", 0)
    turn = turns.ask(tokens=2000, tps=20)
    turns.read(turn["session_id"], stop_after=6)

    answer = turns.user.call("POST", f"/api/chat/cancel/{turn['session_id']}")

    assert answer["cancelled"] is True
    _model(installation, f"/_fake/wait?event=aborted&count={before + 1}&timeout=10")
    assert turns.read(turn["session_id"]).types[-1] == "cancelled"
    assert turns.status(turn)["status"] == "cancelled"


def test_a_module_runs_its_script_in_the_composed_worker(user: Api) -> None:
    fields = {"type": "advanced", "execution_context": "IMMEDIATE", "content": "${product}"}
    user.call("POST", "/api/modules", {"name": "product", "script": "product = 6 * 7", **fields})
    persona = user.call("POST", "/api/personas", {"name": "Clerk", "template": "You know @product."})
    answer = user.call("POST", "/api/chat/send", {"message": "Well?", "persona_id": persona["id"]})

    trace = user.get(f"/api/chat/trace/{answer['session_id']}")

    assert "You know 42." in json.dumps(trace)


def test_a_script_that_breaks_out_is_ended(user: Api) -> None:
    bomb = user.call("POST", "/api/modules/test-script", {"script": "while True:\n    pass"})

    assert bomb["success"] is False
    assert bomb["error"]["type"] in ("cpu", "between_calls", "total"), bomb


def test_an_experiment_runs_to_its_result(user: Api) -> None:
    accepted = user.call("POST", "/api/experiments", {"config": experiment(seed=5)})
    path = f"/api/experiments/{accepted['experiment_id']}"
    events = [event.type for event in user.stream("GET", f"{path}/events") if event.type != "queued"]

    assert events[0] == "experiment_started"
    assert events[-1] == "experiment_finished", events
    run = user.get(path)
    assert run["status"] == "succeeded"


def test_the_official_openai_client_works(installation: Installation, user: User) -> None:
    with openai.OpenAI(base_url=f"{installation.url('GATEWAY_PUBLISH')}/v1", api_key=user.key) as client:
        stream = client.chat.completions.create(
            model="fake/fake", messages=[{"role": "user", "content": "[[fake tokens=5]]"}], stream=True
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)

    assert text == expected(5)


def test_a_connection_may_not_lead_to_the_services_within(user: Api) -> None:
    """Everybody's connections lead where the operator said, and to no other address of the inner network."""
    for inside in ("http://redis:6379/v1", "http://gateway:9464/v1", "http://postgres:5432/v1"):
        settings = {"base_url": inside, "api_key": "sk-of-nobody", "model": "fake"}
        with pytest.raises(ApiError) as refused:
            user.call(
                "POST",
                "/api/chat/send",
                {"message": "Hello.", "provider": "openai", "provider_settings": settings},
            )
        assert "redis" not in str(refused.value).replace(inside, "") or refused.value.status in (400, 422)


def test_the_services_are_ready(installation: Installation) -> None:
    with urllib.request.urlopen(installation.url("GATEWAY_PUBLISH") + "/health/ready", timeout=10) as answer:
        assert json.load(answer)["status"] == "ready"


def test_many_turns_at_once(turns: Turns) -> None:
    began = time.monotonic()
    for _ in range(20):
        turns.ask(tokens=30, tps=30)
    turns.none_is_lost()

    assert time.monotonic() - began < 60
    patiently(lambda: turns.user.get("/api/chat/sessions/active")["active_session_count"] == 0)
