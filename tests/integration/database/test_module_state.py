"""What a turn sees: the modules it may need, and their state on its branch or of its persona."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import direct
from shared.database.models import Conversation, Module, Persona, User
from shared.database.repositories import module_state, modules
from shared.database.repositories.module_state import ModuleRun
from shared.database.repositories.modules import TurnModule
from tests.integration.database.conftest import Owner


async def record(
    owner: Owner,
    module: Module,
    *,
    conversation: Conversation | None = None,
    message_id: uuid.UUID | None = None,
    persona_id: uuid.UUID | None = None,
    job_id: uuid.UUID | None = None,
    stage: int = 4,
    **variables: Any,
) -> None:
    async with direct.begin(owner.engine) as connection:
        await module_state.record(
            connection,
            [ModuleRun(module.id, stage, variables)],
            owner_id=owner.id,
            job_id=job_id or uuid.uuid4(),
            persona_id=persona_id,
            conversation_id=conversation.id if conversation else None,
            message_id=message_id,
        )


async def of_turn(engine: AsyncEngine, owner_id: uuid.UUID, **options: Any) -> dict[str, TurnModule]:
    async with direct.begin(engine) as connection:
        return {module.name: module for module in await modules.of_turn(connection, owner_id, **options)}


async def test_a_turn_gets_the_modules_that_its_persona_reaches(owner: Owner) -> None:
    persona = await owner.persona("@top and @missing, not \\@escaped")
    await owner.module("top", content="@middle ${x}")
    await owner.module("middle", content="@top @bottom")  # a cycle ends
    await owner.module("bottom", content="text")
    for name in ("escaped", "other", "asked"):
        await owner.module(name, content="text")
    script = {"requires_ai_inference": True, "module_names": ["bottom", "escaped"]}
    await owner.module("scripted", type="advanced", script="x = 1", content="@top", analysis=script)
    found = await of_turn(owner.engine, owner.id, persona_id=persona.id)
    assert set(found) == {"top", "middle", "bottom"}
    assert found["middle"].module_names == ("top", "bottom")
    asked = await of_turn(owner.engine, owner.id, persona_id=persona.id, names=["asked", "missing"])
    assert set(asked) == {"top", "middle", "bottom", "asked"}
    reached = await of_turn(owner.engine, owner.id, names=["scripted"])
    assert set(reached) == {"scripted", "top", "middle", "bottom", "escaped"}
    assert reached["scripted"].module_names == ("top", "bottom", "escaped")
    assert reached["scripted"].called_names == ("bottom", "escaped")
    assert reached["scripted"].requires_ai_inference
    assert reached["top"].called_names == ()
    async with owner.session() as session:
        assert set(await modules.reached(session, owner.id, ["scripted"])) == set(reached)
        assert await modules.reached(session, uuid.uuid4(), ["scripted"]) == {}


async def test_a_script_that_runs_modules_may_make_up_their_names(owner: Owner) -> None:
    script = {"requires_ai_inference": False, "module_names": [], "functions": ["log", "run_module"]}
    await owner.module("runner", type="advanced", script="ctx.run_module('a' + 'b')", analysis=script)
    await owner.module("caller", content="@runner")
    await owner.module("ab", content="@behind")
    await owner.module("behind")
    await owner.module("off", is_active=False)
    assert set(await of_turn(owner.engine, owner.id, names=["caller"])) == {
        "caller",
        "runner",
        "ab",
        "behind",
    }
    assert set(await of_turn(owner.engine, owner.id, names=["ab"])) == {"ab", "behind"}


async def test_nobody_gets_another_ones_modules_or_state(owner: Owner, engine: AsyncEngine) -> None:
    eve = Owner(engine)
    await eve.add(User(id=eve.id, name="eve"))
    module = await owner.module("notes", content="@secret")
    await owner.module("secret", content="of ada")
    persona = await owner.persona("@notes")
    conversation = await owner.conversation()
    leaf = await owner.say(conversation, None)
    await record(owner, module, conversation=conversation, message_id=leaf, x=1)
    assert await of_turn(engine, eve.id, persona_id=persona.id, names=["notes"]) == {}
    await eve.module("notes", content="of eve")
    found = await of_turn(
        engine, eve.id, names=["notes"], conversation_id=conversation.id, leaf=leaf, persona_id=persona.id
    )
    assert [(one.content, one.variables) for one in found.values()] == [("of eve", None)]
    # Nor is anything recorded for a module of another owner.
    foreign = Owner(engine, id=eve.id)
    await record(foreign, module, conversation=conversation, message_id=leaf, x=2)
    seen = await of_turn(engine, owner.id, names=["notes"], conversation_id=conversation.id, leaf=leaf)
    assert seen["notes"].variables == {"x": 1}


async def test_each_branch_sees_its_own_state(owner: Owner) -> None:
    conversation = await owner.conversation()
    first, second = await owner.module("first"), await owner.module("second")
    asked = await owner.say(conversation, None, "user")
    trunk = await owner.say(conversation, asked)
    left, right = await owner.say(conversation, trunk), await owner.say(conversation, trunk)
    leaf = await owner.say(conversation, left, "user")
    await record(owner, first, conversation=conversation, message_id=trunk, n=1)
    await record(owner, second, conversation=conversation, message_id=trunk, n=10)
    await record(owner, first, conversation=conversation, message_id=left, n=2)
    await record(owner, first, conversation=conversation, message_id=right, n=3)

    async def seen(leaf: uuid.UUID | None) -> dict[str, Any]:
        found = await of_turn(
            owner.engine, owner.id, names=["first", "second"], conversation_id=conversation.id, leaf=leaf
        )
        return {name: module.variables for name, module in found.items()}

    assert await seen(leaf) == {"first": {"n": 2}, "second": {"n": 10}}
    assert await seen(right) == {"first": {"n": 3}, "second": {"n": 10}}
    assert await seen(trunk) == {"first": {"n": 1}, "second": {"n": 10}}
    assert await seen(asked) == {"first": None, "second": None}
    assert await seen(None) == {"first": None, "second": None}
    other = await owner.conversation()
    assert (await of_turn(owner.engine, owner.id, names=["first"], conversation_id=other.id, leaf=leaf))[
        "first"
    ].variables is None


async def test_the_last_stage_of_a_turn_counts_and_a_repeated_commit_replaces(owner: Owner) -> None:
    conversation = await owner.conversation()
    module = await owner.module("m")
    message, job = await owner.say(conversation, None), uuid.uuid4()
    place: dict[str, Any] = {"conversation": conversation, "message_id": message, "job_id": job}
    await record(owner, module, **place, stage=1, n=1)
    await record(owner, module, **place, stage=4, n=2)
    await record(owner, module, **place, stage=4, n=3)
    found = await of_turn(owner.engine, owner.id, names=["m"], conversation_id=conversation.id, leaf=message)
    assert found["m"].variables == {"n": 3}
    async with owner.session() as session:
        runs = await module_state.history(session, conversation, leaf=message, limit=10)
    assert [(run.stage, run.variables) for run in runs] == [(4, {"n": 3}), (1, {"n": 1})]


async def test_state_of_a_persona_is_seen_in_its_next_conversation(owner: Owner) -> None:
    ava, bea = await owner.persona("@mood", "Ava"), await owner.persona("@mood", "Bea")
    module = await owner.module("mood", state_scope="persona")
    first = await owner.conversation(ava.id)
    message = await owner.say(first, None)
    await record(owner, module, conversation=first, message_id=message, persona_id=ava.id, mood="fine")
    await record(owner, module, conversation=first, message_id=message, persona_id=ava.id, mood="glad")
    second = await owner.conversation(ava.id)
    for conversation in (first, second):
        found = await of_turn(owner.engine, owner.id, persona_id=ava.id, conversation_id=conversation.id)
        assert found["mood"].variables == {"mood": "glad"}
    assert (await of_turn(owner.engine, owner.id, persona_id=bea.id))["mood"].variables is None
    # It outlives the conversation that it comes from.
    async with owner.session() as session, session.begin():
        await session.delete(await session.get_one(Conversation, first.id))
    assert (await of_turn(owner.engine, owner.id, persona_id=ava.id))["mood"].variables == {"mood": "glad"}


@pytest.mark.parametrize("gone", [Module, Persona])
async def test_what_was_deleted_meanwhile_is_left_out_and_the_rest_recorded(owner: Owner, gone: Any) -> None:
    persona = await owner.persona("@kept")
    conversation = await owner.conversation()
    message = await owner.say(conversation, None)
    kept = await owner.module("kept")
    lost = await owner.module("lost", state_scope="persona" if gone is Persona else "conversation")
    async with owner.session() as session, session.begin():
        await session.delete(await session.get_one(gone, persona.id if gone is Persona else lost.id))
    async with direct.begin(owner.engine) as connection:
        await module_state.record(
            connection,
            [ModuleRun(lost.id, 4, {"n": 1}), ModuleRun(kept.id, 4, {"n": 2})],
            owner_id=owner.id,
            job_id=uuid.uuid4(),
            persona_id=persona.id,
            conversation_id=conversation.id,
            message_id=message,
        )
    found = await of_turn(
        owner.engine,
        owner.id,
        names=["kept", "lost"],
        persona_id=persona.id,
        conversation_id=conversation.id,
        leaf=message,
    )
    assert {name: module.variables for name, module in found.items()} == {
        "kept": {"n": 2},
        **({"lost": None} if gone is Persona else {}),
    }


async def test_without_a_stored_answer_only_what_belongs_to_the_persona_is_kept(owner: Owner) -> None:
    persona = await owner.persona("@a @b")
    of_conversation = await owner.module("a")
    of_persona = await owner.module("b", state_scope="persona")
    for module in (of_conversation, of_persona):
        await record(owner, module, persona_id=persona.id, n=1)
    found = await of_turn(owner.engine, owner.id, persona_id=persona.id)
    assert {name: module.variables for name, module in found.items()} == {"a": None, "b": {"n": 1}}


async def test_deleting_a_module_deletes_its_state(owner: Owner) -> None:
    conversation = await owner.conversation()
    message = await owner.say(conversation, None)
    module = await owner.module("m")
    await record(owner, module, conversation=conversation, message_id=message, n=1)
    async with owner.session() as session, session.begin():
        await modules.remove(session, await modules.get(session, owner.id, module.id, lock=True))
    await owner.module("m")
    async with owner.session() as session:
        assert await module_state.history(session, conversation, leaf=message, limit=10) == []


async def test_history_is_of_the_branch_or_of_all_and_goes_on_from_a_run(owner: Owner) -> None:
    persona = await owner.persona("@a @b")
    conversation = await owner.conversation(persona.id)
    a, b = await owner.module("a"), await owner.module("b", state_scope="persona")
    trunk = await owner.say(conversation, None)
    left, right = await owner.say(conversation, trunk), await owner.say(conversation, trunk)
    for n, message in enumerate((trunk, left, right)):
        await record(owner, a, conversation=conversation, message_id=message, n=n)
    await record(owner, b, persona_id=persona.id, mood="fine")

    async def told(**options: Any) -> list[tuple[str, Any]]:
        async with owner.session() as session:
            runs = await module_state.history(session, conversation, **{"limit": 10, **options})
        return [(run.module_name, run.variables.get("n", "persona")) for run in runs]

    assert await told(leaf=left) == [("a", 1), ("a", 0), ("b", "persona")]
    assert await told(leaf=right, limit=1) == [("a", 2), ("b", "persona")]
    assert await told(leaf=None, everywhere=True) == [("a", 2), ("a", 1), ("a", 0), ("b", "persona")]
    assert await told(leaf=None, everywhere=True, module="a", limit=2) == [("a", 2), ("a", 1)]
    async with owner.session() as session:
        runs = await module_state.history(session, conversation, leaf=None, everywhere=True, limit=2)
    assert await told(leaf=None, everywhere=True, before=runs[1].id) == [("a", 0)]
    async with owner.session() as session, session.begin():
        await module_state.clear(session, conversation.id)
    assert await told(leaf=None, everywhere=True) == [("b", "persona")]
