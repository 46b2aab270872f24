"""What modules keep from turn to turn: their variables, on the branch they were left on, and memories."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.chat.talk import Talk

#: Adds what was said to what was said before; a turn that says "break" fails.
TRAIL = """
trail = ctx.get_variable("trail", "") + "|" + ctx.last_user_message
if ctx.last_user_message == "break":
    raise ValueError("broken")
"""


async def prompts(talk: Talk) -> list[str]:
    """The system prompts that were sent, as far as there were any."""
    return [sent[0][1] for sent in await talk.sent() if sent[0][0] == "system"]


async def test_what_runs_after_an_answer_shows_in_the_next_prompt(talk: Talk) -> None:
    await talk.after("trail", TRAIL, "<${trail}>", fallback="nothing yet")
    persona = await talk.persona("@trail")
    first = await talk.say("a", **persona)
    second = await talk.say("b", **first.conversation)
    await talk.say("c", **second.conversation)
    assert await prompts(talk) == ["nothing yet", "<|a>", "<|a|b>"]
    assert first.modules(1)["trail"]["skipped"] == "no_state"
    assert second.modules(1)["trail"]["skipped"] == "stored"
    assert second.modules(4)["trail"]["inputs"]["variables"] == {"trail": "|a"}
    # Another conversation begins anew.
    await talk.say("d", **persona)
    assert (await prompts(talk))[-1] == "nothing yet"


async def test_a_failing_module_keeps_its_last_good_state(talk: Talk) -> None:
    await talk.after("trail", TRAIL, "<${trail}>", fallback="nothing yet")
    await talk.after("z_count", "n = ctx.get_variable('n', 0) + 1", "${n}")
    turn = await talk.say("a", **await talk.persona("@trail@z_count"))
    broken = await talk.say("break", **turn.conversation)
    [warning] = broken.of("warning")
    assert (warning["module_name"], warning["stage"]) == ("trail", 4)
    assert broken.types.index("warning") > broken.types.index("done")
    assert broken.answer["warnings"] == []  # the answer was there before
    assert broken.last == {
        "modules": ["trail", "z_count"],
        "state_updated": True,
        "post_response": "done",
        "session_id": broken.session_id,
    }
    assert broken.modules(4)["trail"]["error"]["type"] == "ValueError"
    assert await talk.variables(broken) == {"trail": {"trail": "|a"}, "z_count": {"n": 2}}
    assert (await talk.say("b", **turn.conversation)).prompt == "<|a>2"


async def test_set_variable_and_immediate_modules_are_kept_with_the_answer(talk: Talk) -> None:
    await talk.module("count", "ctx.set_variable('n', ctx.get_variable('n', 0) + 1)", "${n}")
    persona = await talk.persona("@count")
    turn = await talk.say(**persona)
    failed = await talk.send("x", **turn.conversation, model="fault-401")
    assert failed.status_code == 502
    assert await talk.variables(turn) == {"count": {"n": 1}}
    again = await talk.say(**turn.conversation)
    assert again.prompt == "2"
    assert again.last["state_updated"] is True


@pytest.mark.parametrize("fault", ["fault-401", "fault-truncate"])
async def test_nothing_of_a_failed_turn_stays(talk: Talk, fault: str) -> None:
    """Whether there was text of it or not."""
    await talk.module(
        "keeper",
        "n = ctx.get_variable('n', 0) + 1\nctx.remember('n', n)\nctx.store_memory('told ' + str(n))",
    )
    await talk.after("behind", "x = 1")
    turn = await talk.say(**await talk.persona("@keeper@behind"))
    assert await talk.memories(turn) == (["told 1"], {"n": 1})
    failed = await talk.send("x", **turn.conversation, model=fault)
    assert failed.status_code == 502
    assert await talk.memories(turn) == (["told 1"], {"n": 1})
    assert await talk.variables(turn) == {"keeper": {"n": 1}, "behind": {"x": 1}}


# Branches ---------------------------------------------------------------------------------------------------


async def test_a_branch_sees_the_state_of_its_own(talk: Talk) -> None:
    await talk.after("trail", TRAIL + "\nctx.remember('last', ctx.last_user_message)", "${trail}")
    await talk.module("last", "word = ctx.recall('last', 'none')", "${word}")
    a = await talk.say("a", **await talk.persona("@trail/@last"))
    conversation: dict[str, Any] = a.conversation
    b = await talk.say("b", **conversation)
    assert b.prompt == "|a/a"
    # Answered again: as it was before the first answer to it.
    again = await talk.regenerate(b)
    assert again.prompt == "|a/a"
    assert await talk.variables(again, module="trail") == {"trail": {"trail": "|a|b"}}
    # Edited: another question in its place.
    path = f"/api/conversations/{conversation['conversation_id']}/messages/{b.answer['user_message_id']}"
    edited = await talk.http.patch(path, json={"content": "c"})
    assert edited.is_success, edited.text
    answered = await talk.http.post(
        f"/api/conversations/{conversation['conversation_id']}/messages/{edited.json()['id']}/regenerate"
    )
    c = await talk.ended(answered.json()["session_id"], answered.json())
    assert c.prompt == "|a/a"
    assert (await talk.say("d", **conversation)).prompt == "|a|c/c"
    # And on from the older branch.
    assert (await talk.say("e", **conversation, parent_message_id=b.message_id)).prompt == "|a|b/b"


# Of a persona -----------------------------------------------------------------------------------------------


async def test_state_of_a_persona_reaches_its_other_conversations(talk: Talk) -> None:
    await talk.after("all", TRAIL, "${trail}", state_scope="persona")
    await talk.after("own", TRAIL, "${trail}")
    ava = await talk.persona("@all/@own", "Ava")
    juno = await talk.persona("@all/@own", "Juno")
    first = await talk.say("a", **ava)
    other = await talk.say("b", **ava)
    assert [first.prompt, other.prompt] == ["/", "|a/"]
    assert (await talk.say("c", **first.conversation)).prompt == "|a|b/|a"
    assert (await talk.say("d", **juno)).prompt == "/"


# Memories ---------------------------------------------------------------------------------------------------


def keeping(name: str) -> str:
    """A script that tells what it finds in memory, and then what it finds of its own."""
    return (
        "found = [one['content'] for one in ctx.get_recent_memories()][::-1]\nknown = sorted(ctx.recall())\n"
        f"ctx.store_memory({name!r})\nctx.remember({name!r}, 1)\n"
        "after = [one['content'] for one in ctx.get_recent_memories()][::-1]\nknows = sorted(ctx.recall())"
    )


async def test_memories_are_seen_from_the_next_stage_on_and_kept_with_their_stage(talk: Talk) -> None:
    thinking = "\nword = ctx.generate('x', max_tokens=1)"
    await talk.module("a1", keeping("a1"))
    await talk.module("b1", keeping("b1"))
    await talk.module("c2", keeping("c2") + thinking)
    await talk.after("d4", keeping("d4"), priority=1)
    await talk.after("e5", keeping("e5") + thinking)
    turn = await talk.say(**await talk.persona("@a1@b1@c2@d4@e5"))
    # Those of one stage run side by side: neither sees what the other one writes.
    before = {
        "a1": [],
        "b1": [],
        "c2": ["a1", "b1"],
        "d4": ["a1", "b1", "c2"],
        "e5": ["a1", "b1", "c2", "d4"],
    }
    ran = {name: one for stage in (2, 4, 5) for name, one in turn.modules(stage).items()}
    ran |= {name: turn.modules(1)[name] for name in ("a1", "b1")}
    for name, there in before.items():
        outputs = ran[name]["outputs"]
        assert (outputs["found"], outputs["known"]) == (there, there), name
        assert (outputs["after"], outputs["knows"]) == ([*there, name], [*there, name]), name
    stored, remembered = await talk.memories(turn)
    assert stored == ["a1", "b1", "c2", "d4", "e5"]
    assert remembered == dict.fromkeys(stored, 1)
    memory = (await talk.state(turn))["memory"]["stored"]
    assert [one["sequence"] for one in memory] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("slow", ["a", "b"])
async def test_what_modules_of_one_stage_find_does_not_depend_on_who_is_first(talk: Talk, slow: str) -> None:
    """``c`` waits for ``a``; whether ``b`` has ended by then must not show."""
    pause = "\nword = ctx.generate('[[fake first=0.3 tokens=1]]')"
    quick = "\nword = ctx.generate('[[fake tokens=1]]')"
    await talk.after("b", keeping("b") + (pause if slow == "b" else quick), priority=1)
    await talk.after("a", keeping("a") + (pause if slow == "a" else quick), priority=2)
    await talk.after("c", keeping("c") + quick, "@a", priority=3)
    turn = await talk.say(**await talk.persona("@a@b@c"))
    assert [one["outputs"]["found"] for one in turn.modules(5).values()] == [[], [], []]
    assert (await talk.memories(turn))[0] == list(turn.modules(5)) == ["b", "a", "c"]


async def test_what_is_cleared_is_gone_on_this_branch_only(talk: Talk) -> None:
    await talk.after(
        "keeper",
        "if ctx.last_user_message == 'clear':\n    gone = ctx.clear_memories()\n"
        "left = [one['content'] for one in ctx.get_recent_memories()]\n"
        "ctx.store_memory(ctx.last_user_message)\nctx.remember('last', ctx.last_user_message)",
    )
    a = await talk.say("a", **await talk.persona("@keeper"))
    b = await talk.say("b", **a.conversation)
    cleared = await talk.say("clear", **a.conversation)
    assert cleared.modules(4)["keeper"]["outputs"]["left"] == []
    assert await talk.memories(cleared) == (["clear"], {"last": "clear"})
    other = await talk.say("c", **a.conversation, parent_message_id=b.message_id)
    assert other.modules(4)["keeper"]["outputs"]["left"] == ["b", "a"]
    assert await talk.memories(other) == (["a", "b", "c"], {"last": "c"})


async def test_a_module_that_fails_leaves_no_memory(talk: Talk) -> None:
    broken = "ctx.store_memory('x')\nctx.remember('x', 1)\nctx.set_variable('x', 1)\nraise ValueError('no')"
    await talk.module("early", broken)
    await talk.after("late", broken)
    turn = await talk.say(**await talk.persona("@early@late"))
    assert [warning["stage"] for warning in turn.of("warning")] == [1, 4]
    assert await talk.memories(turn) == ([], {})
    assert await talk.variables(turn) == {}
    assert turn.last["state_updated"] is False
