"""What the stages make of a turn: the prompt that the provider gets, to the letter, and what is told."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import openai
import pytest

from tests.integration.chat.talk import Talk

SECRET = "the-harbour-password-is-heron"


def say(text: str, **knobs: object) -> str:
    """Have the fake model answer with ``text``."""
    quoted = text.replace(" ", "%20")
    return " ".join([f"[[fake text={quoted}", *(f"{name}={value}" for name, value in knobs.items())]) + "]]"


async def test_the_provider_gets_the_resolved_prompt_to_the_letter(talk: Talk) -> None:
    await talk.module("outer", content="<@inner|\\@inner|@innermost>")
    await talk.module("inner", content="in @innermost")
    await talk.module("innermost", content="${last_user_message}")
    await talk.module("clock", "hour = 7\nparts = {'b': [1, None], 'ä': 0.5}", "${hour}h ${parts} ${unset}")
    await talk.module("bare", "one = 'first'\ntwo = 2\n_hidden = 3")
    persona = await talk.persona("A @outer B @clock\n@bare @absent \\@outer ${hour}.")
    # What a user wrote is never read as a template.
    message = "say @inner and ${hour} and \\@clock"
    turn = await talk.say(message, **persona)
    inner = f"in {message}"
    expected = (
        f'A <{inner}|@inner|{message}> B 7h {{"b": [1, null], "ä": 0.5}} ${{unset}}\n'
        "first\n2 @absent @outer 7."
    )
    assert await talk.sent() == [[("system", expected), ("user", message)]]
    assert turn.prompt == expected
    assert [warning["warning_type"] for warning in turn.answer["warnings"]] == ["module_not_found"]
    assert turn.trace["request"] == (await talk.requests())[0]["body"]


async def test_every_stage_is_told_and_the_second_waits_for_its_model(talk: Talk) -> None:
    await talk.module("first", "word = 'one'", "${word}")
    await talk.module("thought", f"seen = ctx.generate({say('it rains')!r}, 'Look: ' + ctx.stage_name)")
    await talk.module("around", content="<@thought>")
    await talk.after("fourth", "kept = ctx.ai_response")
    await talk.after("fifth", f"felt = ctx.reflect({say('glad')!r}, role='user')")
    turn = await talk.say(**await talk.persona("@first @around @fourth @fifth"))
    asked, answered, reflected = await talk.sent()
    assert asked == [("user", f"{say('it rains')}\n\nInput:\nLook: pre_response_ai")]
    assert answered == [("system", "one <it rains>  "), ("user", "Hello.")]
    assert reflected == [
        ("system", "one <it rains>  "),
        ("assistant", turn.text),
        ("user", say("glad")),
    ]
    assert [(u["stage"], u["state"], u["label"], u["modules"]) for u in turn.of("stage_update")] == [
        (number, state, label, modules)
        for number, label, modules in [
            (1, "thinking_before", ["fifth", "first", "fourth"]),
            (2, "thinking_before", ["thought", "around"]),
            (3, "generating", []),
            (4, "thinking_after", ["fourth"]),
            (5, "thinking_after", ["fifth"]),
        ]
        for state in ("started", "finished")
    ]
    assert turn.types.index("done") < turn.types.index("post_response_complete")
    stages = {stage["stage"]: stage for stage in turn.trace["stages"]}
    assert stages[1]["prompt_after"] == "one <@thought>  "
    assert stages[2]["prompt_before"] == stages[1]["prompt_after"]
    assert stages[2]["prompt_after"] == "one <it rains>  "
    assert stages[3]["prompt_before"] == stages[3]["prompt_after"] == stages[2]["prompt_after"]
    assert stages[3]["duration_ms"] > 0
    assert turn.modules(2)["thought"]["tokens"]["output"] == 2
    assert turn.modules(4)["fourth"]["outputs"] == {"kept": turn.text}
    assert turn.modules(5)["fifth"]["outputs"] == {"felt": "glad"}


async def test_reflection_in_the_second_stage_sees_the_text_after_the_first(talk: Talk) -> None:
    await talk.module("thought", f"felt = ctx.reflect({say('so so')!r}, role='system')", "[${felt}]")
    await talk.module("fact", content="It is late.")
    turn = await talk.say(**await talk.persona("@fact @thought"))
    reflected, answered = await talk.sent()
    assert reflected[0] == ("system", "It is late. @thought")
    assert reflected[1][0] == "system"
    assert len(reflected) == 2
    assert answered[0] == ("system", f"It is late. [{turn.modules(2)['thought']['outputs']['felt']}]")


# One rule for errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "named"),
    [
        ("raise ValueError(ctx.last_user_message)", "ValueError"),
        ("x = 1\nx.y.z", "AttributeError"),
        ("while True:\n    pass", "CpuTimeLimit"),
        (f"ctx.generate({say('x', fault='401')!r})", "provider_authentication_error"),
    ],
)
async def test_a_module_that_fails_gives_its_fallback_and_a_warning(
    talk: Talk, script: str, named: str
) -> None:
    module_id = await talk.module("broken", f"lost = 1\n{script}", "got ${lost}", fallback="@nothing ${x}")
    await talk.module("whole", content="fine")
    before = len(talk.stack.workers[0].log.read_text())
    turn = await talk.say(SECRET, **await talk.persona("@whole: @broken, @broken."))
    stage = 2 if "generate" in script else 1
    assert (await talk.sent())[-1] == [("system", "fine: @nothing ${x}, @nothing ${x}."), ("user", SECRET)]
    [warning] = turn.of("warning")
    assert (warning["module_name"], warning["warning_type"]) == ("broken", "execution_error")
    assert warning["stage"] == stage
    assert named in warning["message"] or named == "CpuTimeLimit"
    assert turn.answer["warnings"] == [warning]
    told = {name: value for name, value in warning.items() if name != "session_id"}
    assert turn.trace["warnings"] == [told]
    traced = turn.modules(stage)["broken"]
    assert (traced["id"], traced["warnings"], traced["outputs"]) == (module_id, [told], {})
    assert traced["error"] is not None
    assert traced["output_text"] == "@nothing ${x}"
    assert await talk.variables(turn) == {}
    # The log tells of it, without a word of what was said.
    logged = talk.stack.workers[0].log.read_text()[before:]
    assert "broken" in logged
    assert "execution_error" in logged
    assert SECRET not in logged


CATCHING = """
try:
    text = {function}({asked!r}{more})
except ctx.GenerationError as error:
    text = str(error).split(":")[0]
"""


@pytest.mark.parametrize(("function", "more"), [("generate", ""), ("ctx.reflect", ", role='user'")])
async def test_a_script_catches_what_its_model_call_fails_with(talk: Talk, function: str, more: str) -> None:
    script = CATCHING.format(function=function, asked=say("x", fault="401"), more=more)
    await talk.module("before", script)
    await talk.after("behind", script)
    turn = await talk.say(**await talk.persona("I say @before@behind."))
    assert turn.of("warning") == []
    code = "provider_authentication_error"
    assert turn.prompt == f"I say {code}."
    assert turn.modules(2)["before"]["outputs"] == turn.modules(5)["behind"]["outputs"] == {"text": code}


# Controls ---------------------------------------------------------------------------------------------------


async def test_controls_of_the_session_stand_below_what_a_script_names(talk: Talk) -> None:
    await talk.module("cold", "a = ctx.generate('a', temperature=0.2, seed=5)\nb = ctx.generate('b')")
    persona = await talk.persona("@cold")
    await talk.say(**persona, chat_controls={"temperature": 0.9, "max_tokens": 7, "seed": 1})
    await talk.say(**persona)
    named, inherited, answer, bare, defaults, plain = [one["body"] for one in await talk.requests()]
    controls = ("temperature", "max_tokens", "seed")

    def of(body: dict[str, Any]) -> list[Any]:
        return [body.get(name) for name in controls]

    assert of(named) == [0.2, 7, 5]
    assert of(inherited) == of(answer) == [0.9, 7, 1]
    assert of(bare) == [0.2, 1000, 5]
    assert of(defaults) == [0.1, 1000, None]
    assert of(plain) == [None, None, None]


async def test_scripts_take_the_permits_of_their_connection_like_the_turn(talk: Talk) -> None:
    """One call at a time, and nobody waits for a permit while holding one."""
    await talk.module("left", "a = ctx.generate('[[fake first=0.1 tokens=1]]')")
    await talk.module("right", "b = ctx.generate('[[fake first=0.1 tokens=1]]')")
    await talk.after("behind", "c = ctx.reflect('[[fake first=0.1 tokens=1]]', role='user')")
    made = await asyncio.to_thread(talk.user.connect, "narrow", max_in_flight=1)
    persona = await talk.persona("@left@right@behind")
    turns = [await talk.begin(**persona, connection_id=made["id"]) for _ in range(2)]
    for session in turns:
        assert (await talk.ended(session)).last["post_response"] == "done"
    spans = sorted((one["at"], one["ended_at"]) for one in await talk.requests())
    assert len(spans) == 8
    assert all(ended <= begun for (_, ended), (begun, _) in pairwise(spans))


# ON_DEMAND --------------------------------------------------------------------------------------------------


async def test_a_module_on_demand_runs_when_it_is_named(talk: Talk) -> None:
    on_demand = {"execution_context": "ON_DEMAND", "fallback": "none"}
    await talk.module("joke", "kind = 'dry'", "a ${kind} joke", **on_demand)
    await talk.module("referrer", content="with @joke")
    await talk.module("caller", "got = ctx.run_module('joke')['text']", "got ${got}")
    template_alone = await talk.persona("Tell @joke.", "Alone")
    referred = await talk.persona("Tell @referrer.", "Referred")
    called = await talk.persona("Tell @caller.", "Called")
    turns = [
        await talk.say(**template_alone),
        await talk.say(**template_alone, modules=["joke"]),
        await talk.say(**referred),
        await talk.say(**called),
    ]
    assert [turn.prompt for turn in turns] == [
        "Tell none.",
        "Tell a dry joke.",
        "Tell with a dry joke.",
        "Tell got a dry joke.",
    ]
    assert turns[0].modules(1)["joke"]["skipped"] == "not_requested"
    assert turns[3].modules(1)["joke"]["called_by"] == "caller"


async def test_a_name_that_the_client_got_wrong_is_refused(talk: Talk) -> None:
    await talk.module("always", content="Hi.")
    answer = await talk.send("Hello.", **await talk.persona("@always"), modules=["always", "nowhere"])
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["modules.0", "modules.1"]
    assert await talk.requests() == []


async def test_a_module_that_nothing_shows_runs_when_the_client_names_it(talk: Talk) -> None:
    await talk.module("note", "n = ctx.get_variable('n', 0) + 1", "${n}", execution_context="ON_DEMAND")
    turn = await talk.say(modules=["note"])
    assert await talk.sent() == [[("user", "Hello.")]]
    assert await talk.variables(turn) == {"note": {"n": 1}}
    again = await talk.say(**turn.conversation)
    assert again.modules(1) == {}
    assert await talk.variables(again) == {"note": {"n": 1}}


# Triggers ---------------------------------------------------------------------------------------------------


async def test_triggers_hear_the_message_and_after_the_answer_the_reply_too(talk: Talk) -> None:
    await talk.module("storm", content="Mind the storm.", trigger_pattern="storm|gale", fallback="Calm.")
    await talk.after("heard", "said = ctx.trigger_data['source']", trigger_pattern="t3")
    await talk.after("unheard", "said = 1", trigger_pattern="never said")
    persona = await talk.persona("@storm @heard @unheard")
    calm = await talk.say("Hello.", **persona)
    rough = await talk.say("A GALE!", **persona)
    assert [calm.prompt, rough.prompt] == ["Calm.  ", "Mind the storm.  "]
    assert calm.modules(1)["storm"]["skipped"] == "trigger"
    assert calm.last["modules"] == ["heard"]
    assert calm.modules(4)["heard"]["outputs"] == {"said": "ai_response"}


# Without modules --------------------------------------------------------------------------------------------


async def test_a_persona_without_modules_has_one_stage_and_one_call(talk: Talk) -> None:
    await talk.after("other", "x = 1")
    turn = await talk.say(**await talk.persona("You are Ava."))
    assert await talk.sent() == [[("system", "You are Ava."), ("user", "Hello.")]]
    assert [update["stage"] for update in turn.of("stage_update")] == [3, 3]
    assert turn.types[-2:] == ["done", "post_response_complete"]
    assert (turn.last["modules"], turn.last["state_updated"], turn.last["post_response"]) == (
        [],
        False,
        "done",
    )
    (answer,) = turn.trace["stages"]
    assert (answer["stage"], answer["label"], answer["modules"]) == (3, "generating", [])
    assert (answer["prompt_before"], answer["prompt_after"]) == ("You are Ava.", "You are Ava.")
    assert turn.trace["post_response"] == "done"
    assert (await talk.status(turn.session_id))["post_response"] == "done"


# The OpenAI-compatible door ---------------------------------------------------------------------------------


async def test_a_persona_behind_the_openai_door_runs_its_modules_and_keeps_nothing(talk: Talk) -> None:
    await talk.module(
        "reader",
        "count = ctx.get_message_count()\nold = [one['content'] for one in ctx.get_conversation_history()]\n"
        "seen = ctx.recall('seen', 'nothing')\nturns = ctx.get_variable('turns', 0) + 1\n"
        "ctx.store_memory('x')\nctx.remember('seen', 'something')",
        "${count} ${old} ${seen} ${turns}",
    )
    await talk.after("writer", "reply = ctx.get_recent_messages(1)\nleft = ctx.recall('seen')")
    await talk.persona("@reader@writer", "Juno")
    messages: list[Any] = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "mine"},
        {"role": "user", "content": "second"},
    ]
    async with openai.AsyncOpenAI(
        base_url=f"{talk.stack.url}/v1", api_key=talk.user.key, max_retries=0, timeout=30
    ) as client:
        for _ in range(2):
            whole = await client.chat.completions.create(model="persona:Juno", messages=messages)
            assert whole.choices[0].message.content
        pieces = [
            chunk
            async for chunk in await client.chat.completions.create(
                model="persona:Juno", messages=messages, stream=True
            )
        ]
    assert pieces
    prompt = '3 ["first", "mine", "second"] nothing 1'
    expected = [("system", prompt), ("user", "first"), ("assistant", "mine"), ("user", "second")]
    assert await talk.sent() == [expected] * 3
    assert (await talk.http.get("/api/conversations")).json()["items"] == []
    jobs = (await talk.http.get("/api/jobs")).json()["items"]
    for job in [one for one in jobs if one["kind"] == "chat"]:
        turn = await talk.ended(job["id"])
        writer = turn.modules(4)["writer"]
        assert writer["outputs"]["left"] == "something"
        assert writer["outputs"]["reply"].endswith(f"Assistant: {turn.text}")
