"""What modules and scripts keep of a conversation, as its owner sees it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from gateway.state import GatewayState
from shared.database import direct
from shared.database.models import Job, Message
from shared.database.repositories import memories, module_state
from shared.database.repositories.memories import MemoryAct
from shared.database.repositories.module_state import ModuleRun
from tests.integration.gateway.conftest import User, fields, problem
from tests.support.stack import Stack, StackUser


@dataclass
class Kept:
    """A conversation of two branches, on which modules left something."""

    user: User
    state: GatewayState
    persona_id: str
    conversation_id: str
    modules: dict[str, str]
    trunk: uuid.UUID
    left: uuid.UUID
    right: uuid.UUID

    @property
    def path(self) -> str:
        return f"/api/conversations/{self.conversation_id}"

    async def run(self, name: str, message: uuid.UUID, **variables: Any) -> uuid.UUID:
        """Record what a run of a module left, as the turn of ``message`` would."""
        job_id = uuid.uuid4()
        async with direct.begin(self.state.engine) as connection:
            await module_state.record(
                connection,
                [ModuleRun(uuid.UUID(self.modules[name]), 4, variables, {"duration_ms": 1.5})],
                owner_id=uuid.UUID(self.user.id),
                job_id=job_id,
                persona_id=uuid.UUID(self.persona_id),
                conversation_id=uuid.UUID(self.conversation_id),
                message_id=message,
            )
        return job_id

    async def remember(self, message: uuid.UUID, *acts: MemoryAct) -> None:
        async with direct.begin(self.state.engine) as connection:
            await memories.record(
                connection,
                acts,
                conversation_id=uuid.UUID(self.conversation_id),
                message_id=message,
                job_id=uuid.uuid4(),
            )

    async def seen(self, **params: Any) -> dict[str, Any]:
        answer = await self.user.http.get(f"{self.path}/state", params=params)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def variables(self, **params: Any) -> dict[str, Any]:
        return {one["module_name"]: one["variables"] for one in (await self.seen(**params))["modules"]}


@pytest.fixture
async def kept(ada: User, state: GatewayState) -> Kept:
    persona = (await ada.http.post("/api/personas", json={"name": "Ava", "template": "@a @b"})).json()
    modules = {}
    for name, scope in (("a", "conversation"), ("b", "persona")):
        made = await ada.http.post("/api/modules", json={"name": name, "state_scope": scope})
        modules[name] = made.json()["id"]
    made = await ada.http.post("/api/conversations", json={"persona_id": persona["id"]})
    conversation_id = made.json()["id"]
    ids = []
    async with state.sessions.begin() as session:
        for parent in (None, 0, 0):
            message = Message(
                conversation_id=uuid.UUID(conversation_id),
                parent_id=None if parent is None else ids[parent],
                role="assistant",
                content="x",
            )
            session.add(message)
            await session.flush()
            ids.append(message.id)
    conversation = f"/api/conversations/{conversation_id}"
    switched = await ada.http.patch(conversation, json={"active_message_id": str(ids[1])})
    assert switched.status_code == 200, switched.text
    return Kept(ada, state, persona["id"], conversation_id, modules, *ids)


async def test_a_new_conversation_has_no_state(kept: Kept) -> None:
    assert await kept.seen() == {
        "message_id": str(kept.left),
        "modules": [],
        "memory": {"stored": [], "remembered": {}},
    }


async def test_variables_come_with_their_history_of_the_active_branch(kept: Kept) -> None:
    await kept.run("a", kept.trunk, n=1)
    job_id = await kept.run("a", kept.left, n=2)
    await kept.run("a", kept.right, n=3)
    await kept.run("b", kept.left, mood="glad")
    told = await kept.seen()
    a, b = told["modules"]
    assert (a["module_id"], a["module_name"], a["state_scope"]) == (kept.modules["a"], "a", "conversation")
    assert a["variables"] == {"n": 2}
    assert [run["variables"] for run in a["history"]] == [{"n": 2}, {"n": 1}]
    newest = a["history"][0]
    assert (newest["session_id"], newest["message_id"]) == (str(job_id), str(kept.left))
    assert (newest["stage"], newest["metadata"]) == (4, {"duration_ms": 1.5})
    assert (b["state_scope"], b["variables"]) == ("persona", {"mood": "glad"})
    assert b["history"][0]["message_id"] is None

    assert (await kept.variables(message_id=kept.right)) == {"a": {"n": 3}, "b": {"mood": "glad"}}
    assert (await kept.variables(message_id=kept.trunk))["a"] == {"n": 1}
    assert await kept.variables(module="b") == {"b": {"mood": "glad"}}
    assert await kept.variables(before=newest["id"], module="a") == {"a": {"n": 1}}
    everywhere = await kept.seen(all=True)
    assert (everywhere["message_id"], everywhere["memory"]) == (None, None)
    assert [run["variables"]["n"] for run in everywhere["modules"][0]["history"]] == [3, 2, 1]
    bare = await kept.seen(history=0)
    assert [(one["variables"], one["history"]) for one in bare["modules"]] == [
        ({"n": 2}, []),
        ({"mood": "glad"}, []),
    ]


async def test_the_memory_is_that_of_the_branch(kept: Kept) -> None:
    await kept.remember(kept.trunk, MemoryAct("stored", content="Long ago.", message_range="5-9"))
    await kept.remember(kept.right, MemoryAct("remembered", key="name", value="Ann"))
    memory = (await kept.seen())["memory"]
    assert [(one["sequence"], one["content"]) for one in memory["stored"]] == [(1, "Long ago.")]
    assert memory["remembered"] == {}
    assert (await kept.seen(message_id=kept.right))["memory"]["remembered"] == {"name": "Ann"}


async def test_a_module_that_is_deleted_takes_its_state_along(kept: Kept) -> None:
    await kept.run("a", kept.left, n=1)
    await kept.run("b", kept.left, mood="glad")
    assert (await kept.user.http.delete(f"/api/modules/{kept.modules['a']}")).status_code == 204
    assert await kept.variables() == {"b": {"mood": "glad"}}


async def test_a_conversation_forgets_on_every_branch_and_its_persona_does_not(kept: Kept) -> None:
    for message in (kept.left, kept.right):
        await kept.run("a", message, n=1)
        await kept.remember(
            message, MemoryAct("stored", content="x"), MemoryAct("remembered", key="k", value=1)
        )
    await kept.run("b", kept.left, mood="glad")
    assert (await kept.user.http.delete(f"{kept.path}/memories")).status_code == 204
    for message in (kept.left, kept.right):
        told = await kept.seen(message_id=message)
        assert told["memory"] == {"stored": [], "remembered": {}}
        assert [one["module_name"] for one in told["modules"]] == ["b"]
    assert (await kept.user.http.delete(f"{kept.path}/memories")).status_code == 204


async def test_nothing_is_forgotten_under_an_active_turn(kept: Kept) -> None:
    await kept.run("a", kept.left, n=1)
    async with kept.state.sessions.begin() as session:
        turn = Job(
            kind="chat",
            owner_id=uuid.UUID(kept.user.id),
            conversation_id=uuid.UUID(kept.conversation_id),
            phase="ready",
            status="queued",
            payload={},
        )
        session.add(turn)
    problem(await kept.user.http.delete(f"{kept.path}/memories"), 409, "conversation_busy")
    assert await kept.variables() == {"a": {"n": 1}}


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"history": 201}, "history"),
        ({"before": 0}, "before"),
        ({"module": "Not A Name"}, "module"),
        ({"message_id": "x"}, "message_id"),
        ({"message_id": str(uuid.uuid4()), "all": True}, "message_id"),
    ],
)
async def test_what_is_wrong_with_a_question_is_named(kept: Kept, params: dict[str, Any], field: str) -> None:
    answer = await kept.user.http.get(f"{kept.path}/state", params=params)
    assert fields(problem(answer, 422, "validation_error")) == {field}


async def test_a_branch_ends_in_a_message_of_the_conversation(kept: Kept) -> None:
    answer = await kept.user.http.get(f"{kept.path}/state", params={"message_id": str(uuid.uuid4())})
    problem(answer, 404, "message_not_found")


# With a worker ----------------------------------------------------------------------------------------------


async def chat(http: httpx.AsyncClient, message: str, **fields: Any) -> dict[str, Any]:
    """A turn, with its stages after the answer."""
    answer = await http.post("/api/chat/send", json={"message": message, **fields})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    await http.get(f"/api/chat/events/{told['session_id']}")  # ends with the last stage
    return told


async def test_what_turns_leave_is_seen_traced_and_forgotten(stack: Stack, user: StackUser) -> None:
    module = {
        "name": "counter",
        "type": "advanced",
        "execution_context": "POST_RESPONSE",
        "script": "n = ctx.get_variable('n', 0) + 1\nctx.remember('last', ctx.last_user_message)",
        "content": "turn ${n}",
        "fallback": "no turn",
    }
    user.post("/api/modules", json=module)
    persona = user.persona(template="This was @counter.")
    async with user.http() as http:
        first = await chat(http, "one", persona_id=persona["id"])
        place = {"conversation_id": first["conversation_id"]}
        second = await chat(http, "two", **place)
        path = f"/api/conversations/{first['conversation_id']}"
        told = (await http.get(f"{path}/state")).json()
        (counter,) = told["modules"]
        assert told["message_id"] == second["message_id"]
        assert counter["variables"] == {"n": 2}
        assert [(run["variables"], run["message_id"], run["session_id"], run["stage"])
                for run in counter["history"]] == [
            ({"n": 2}, second["message_id"], second["session_id"], 4),
            ({"n": 1}, first["message_id"], first["session_id"], 4),
        ]  # fmt: skip
        assert told["memory"]["remembered"] == {"last": "two"}
        # The other branch goes on from its own state.
        earlier = {**place, "parent_message_id": first["message_id"]}
        await chat(http, "two otherwise", **earlier)
        told = (await http.get(f"{path}/state")).json()
        assert told["modules"][0]["variables"] == {"n": 2}
        assert told["memory"]["remembered"] == {"last": "two otherwise"}
        assert len(told["modules"][0]["history"]) == 2
        everywhere = (await http.get(f"{path}/state", params={"all": True})).json()
        assert len(everywhere["modules"][0]["history"]) == 3

        trace = (await http.get(f"/api/chat/trace/{second['session_id']}")).json()
        assert trace["session_id"] == second["session_id"]
        assert trace["request"]["messages"][0]["content"] == "This was turn 1."
        stages = {stage["stage"]: stage for stage in trace["stages"]}
        assert stages[1]["prompt_before"] == "This was @counter."
        assert stages[1]["prompt_after"] == "This was turn 1."
        (ran,) = stages[4]["modules"]
        assert (ran["name"], ran["variables"]) == ("counter", {"n": 2})

        assert (await http.delete(f"{path}/memories")).status_code == 204
        third = await chat(http, "three", **place)
        trace = (await http.get(f"/api/chat/trace/{third['session_id']}")).json()
        assert trace["request"]["messages"][0]["content"] == "This was no turn."
