"""A persona that uses all five stages, answered by a real model: three turns, and what their traces tell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.parley_command import ParleyCommand
from tests.support.servers import backend, server_directory

pytestmark = pytest.mark.skipif(backend() != "embedded", reason="the stack starts its own servers")

TEMPLATE = (
    "You guide visitors of a lighthouse. @manners\n@visits\n@ledger\n@mood\n@idea\n@storm\n@joke\n"
    "Write to \\@keeper."
)

MODULES: list[dict[str, Any]] = [
    # Stage 1: text in text, three deep, and a script that counts.
    {"name": "manners", "content": "Be brief. @place"},
    {"name": "place", "content": "It stands on @island."},
    {"name": "island", "content": "Skerry, said ${module_name} of stage ${stage}"},
    {
        "name": "visits",
        "type": "advanced",
        "execution_context": "IMMEDIATE",
        "script": "count = ctx.get_variable('count', 0) + 1\nsaid = ctx.get_message_count()",
        "content": "Visit ${count}, ${said} messages.",
    },
    {"name": "storm", "content": "A storm is coming: ${last_user_message}", "trigger_pattern": "storm|gale"},
    # Stage 2: a model's word in the prompt.
    {
        "name": "idea",
        "type": "advanced",
        "execution_context": "IMMEDIATE",
        "script": "word = ctx.generate('Name one colour.', max_tokens=6, temperature=0, seed=1)",
        "content": "An idea: ${word}",
    },
    # Stage 4: it goes on from turn to turn.
    {
        "name": "ledger",
        "type": "advanced",
        "execution_context": "POST_RESPONSE",
        "script": (
            "answers = ctx.get_variable('answers', 0) + 1\n"
            "length = len(ctx.ai_response)\n"
            "ctx.remember('asked', (ctx.recall('asked') or []) + [ctx.last_user_message])\n"
            "asked = len(ctx.recall('asked'))"
        ),
        "content": "${answers} answers so far, the last of ${length} characters.",
    },
    # Stage 5: a model's word about the answer, for the next turn.
    {
        "name": "mood",
        "type": "advanced",
        "execution_context": "POST_RESPONSE",
        "script": (
            "feeling = ctx.reflect('Say how you feel in a word.', role='user', max_tokens=6, temperature=0)\n"
            "seen = ctx.get_variable('answers')"
        ),
        "content": "You feel: ${feeling}",
        "fallback": "You are calm.",
    },
    {
        "name": "joke",
        "type": "advanced",
        "execution_context": "ON_DEMAND",
        "script": "kind = 'short'",
        "content": "Tell a ${kind} joke.",
    },
]


@pytest.fixture(scope="module")
def http(local_model: Path) -> Iterator[httpx.Client]:
    with server_directory() as root:
        parley = ParleyCommand(root / "data", {"PARLEY_LOCAL_MODEL_PATH": str(local_model)})
        parley.run("up", "--detach", "--port", "0", "--workers", "1")
        try:
            key = parley.data.admin_key.read_text().strip()
            headers = {"Authorization": f"Bearer {key}"}
            with httpx.Client(base_url=parley.status()["url"], headers=headers, timeout=60.0) as client:
                yield client
        finally:
            parley.run("down")


def created(http: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = http.post(path, json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def events(http: httpx.Client, url: str) -> list[tuple[str, dict[str, Any]]]:
    """The events of a turn to its very end, by type and data."""
    told: list[tuple[str, dict[str, Any]]] = []
    kind = ""
    with http.stream("GET", url) as response:
        for line in response.iter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                told.append((kind, json.loads(line.removeprefix("data: "))))
    return told


def turn(http: httpx.Client, **body: Any) -> tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]:
    """One turn, to the end of its last stage: its trace and its events."""
    accepted = http.post(
        "/api/chat/send",
        json={"chat_controls": {"max_tokens": 24, "temperature": 0, "seed": 1}, **body},
        headers={"Prefer": "respond-async"},
    )
    assert accepted.status_code == 202, accepted.text
    told = events(http, accepted.json()["events_url"])
    assert told[-1][0] == "post_response_complete", told[-1]
    trace = http.get(f"/api/chat/trace/{accepted.json()['session_id']}")
    assert trace.status_code == 200, trace.text
    return trace.json(), told


def stage(trace: dict[str, Any], number: int) -> dict[str, dict[str, Any]]:
    """The modules of one stage, by name."""
    return {m["name"]: m for s in trace["stages"] if s["stage"] == number for m in s["modules"]}


def reply(told: list[tuple[str, dict[str, Any]]]) -> str:
    return "".join(data["content"] for kind, data in told if kind == "chunk")


def test_three_turns_of_a_persona_with_all_five_stages(http: httpx.Client) -> None:
    needs_ai = {
        made["name"]: made["requires_ai_inference"]
        for made in (created(http, "/api/modules", module) for module in MODULES)
    }
    assert {name for name, needs in needs_ai.items() if needs} == {"idea", "mood"}
    persona = created(http, "/api/personas", {"name": "Keeper", "template": TEMPLATE})

    # The first turn: nothing is stored yet.
    first, told = turn(http, message="What do you see?", persona_id=persona["id"])
    conversation = next(data["conversation_id"] for kind, data in told if kind == "session_start")
    reply_1 = reply(told)
    assert reply_1
    word = stage(first, 2)["idea"]["variables"]["word"]
    assert word

    def prompt(visits: str, ledger: str, mood: str, idea: str, storm: str, joke: str) -> str:
        return (
            "You guide visitors of a lighthouse. Be brief. It stands on Skerry, said island of stage 1.\n"
            f"{visits}\n{ledger}\n{mood}\nAn idea: {idea}\n{storm}\n{joke}\nWrite to @keeper."
        )

    def sent(trace: dict[str, Any]) -> Any:
        return trace["request"]["messages"][0]

    expected = prompt("Visit 1, 1 messages.", "", "You are calm.", word, "", "")
    assert sent(first) == {"role": "system", "content": expected}
    by_number = {one["stage"]: one for one in first["stages"]}
    assert sorted(by_number) == [1, 2, 3, 4, 5]
    assert by_number[1]["prompt_before"] == TEMPLATE
    assert by_number[1]["prompt_after"] == expected.replace(f"An idea: {word}", "@idea")
    assert by_number[2]["prompt_after"] == by_number[3]["prompt_after"] == expected
    assert stage(first, 1)["ledger"]["skipped"] == "no_state"
    assert stage(first, 1)["storm"]["skipped"] == "trigger"
    assert stage(first, 1)["joke"]["skipped"] == "not_requested"
    assert stage(first, 4)["ledger"]["outputs"] == {"answers": 1, "length": len(reply_1), "asked": 1}
    mood = stage(first, 5)["mood"]
    assert mood["outputs"]["seen"] == 1  # stage 5 sees what stage 4 left
    assert mood["tokens"]["input"] > stage(first, 2)["idea"]["tokens"]["input"] > 0
    assert mood["tokens"]["output"] > 0
    assert (first["warnings"], first["post_response"]) == ([], "done")
    assert told[-1][1]["modules"] == ["ledger", "mood"]
    assert told[-1][1]["state_updated"] is True
    updates = [(d["stage"], d["state"]) for kind, d in told if kind == "stage_update"]
    assert updates == [(n, state) for n in (1, 2, 3, 4, 5) for state in ("started", "finished")]

    # The second turn: what was left is in its first stage, and a trigger is heard.
    second, told = turn(http, message="Is a GALE near?", conversation_id=conversation)
    reply_2 = reply(told)
    ledger = f"1 answers so far, the last of {len(reply_1)} characters."
    feeling = mood["outputs"]["feeling"]
    expected = prompt(
        "Visit 2, 3 messages.",
        ledger,
        f"You feel: {feeling}",
        stage(second, 2)["idea"]["variables"]["word"],
        "A storm is coming: Is a GALE near?",
        "",
    )
    assert sent(second)["content"] == expected
    assert stage(second, 1)["ledger"]["skipped"] == "stored"
    assert [m["content"] for m in second["request"]["messages"][1:]] == [
        "What do you see?",
        reply_1,
        "Is a GALE near?",
    ]
    assert stage(second, 4)["ledger"]["inputs"]["variables"]["answers"] == 1
    assert stage(second, 4)["ledger"]["outputs"]["asked"] == 2

    # The third turn: a module that the client names.
    third, told = turn(http, message="Say more.", conversation_id=conversation, modules=["joke"])
    expected = prompt(
        "Visit 3, 5 messages.",
        f"2 answers so far, the last of {len(reply_2)} characters.",
        f"You feel: {stage(second, 5)['mood']['outputs']['feeling']}",
        stage(third, 2)["idea"]["variables"]["word"],
        "",
        "Tell a short joke.",
    )
    assert sent(third)["content"] == expected
    state = http.get(f"/api/conversations/{conversation}/state").json()
    kept = {one["module_name"]: one for one in state["modules"]}
    assert kept["ledger"]["variables"]["answers"] == 3
    assert [run["variables"]["answers"] for run in kept["ledger"]["history"]] == [3, 2, 1]
    assert kept["visits"]["variables"] == {"count": 3, "said": 5}
    assert state["memory"]["remembered"] == {"asked": ["What do you see?", "Is a GALE near?", "Say more."]}
    stored = http.get(f"/api/conversations/{conversation}/messages").json()["items"]
    assert [one["content"] for one in stored if one["role"] == "assistant"] == [reply(told), reply_2, reply_1]
