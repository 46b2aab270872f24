"""Conversations: a tree of messages in which nothing is overwritten, and a hidden one is skipped in view."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from gateway.state import GatewayState
from shared.database.models import Conversation, Job, Message
from shared.database.repositories import conversations
from tests.integration.gateway.conftest import User, fields, problem


async def new(user: User, **body: Any) -> dict[str, Any]:
    answer = await user.http.post("/api/conversations", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def say(state: GatewayState, conversation: dict[str, Any], *lines: str, **columns: Any) -> list[str]:
    """Put messages under one another, as turns do, beginning at the active leaf."""
    async with state.sessions.begin() as session:
        row = await session.get_one(Conversation, uuid.UUID(conversation["id"]))
        ids = []
        for number, line in enumerate(lines):
            role = "user" if number % 2 == 0 else "assistant"
            message = Message(
                conversation_id=row.id, parent_id=row.active_message_id, role=role, content=line, **columns
            )
            session.add(message)
            await session.flush()
            row.active_message_id = message.id
            ids.append(str(message.id))
        return ids


async def turn(state: GatewayState, user: User, conversation: dict[str, Any], phase: str) -> uuid.UUID:
    async with state.sessions.begin() as session:
        job = Job(
            kind="chat",
            owner_id=uuid.UUID(user.id),
            conversation_id=uuid.UUID(conversation["id"]),
            phase=phase,
            status="queued",
            payload={},
        )
        session.add(job)
        await session.flush()
        return job.id


async def branch(user: User, conversation: dict[str, Any], **params: Any) -> list[dict[str, Any]]:
    answer = await user.http.get(f"/api/conversations/{conversation['id']}/messages", params=params)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def texts(messages: list[dict[str, Any]]) -> list[str]:
    return [message["content"] for message in messages]


def message_url(conversation: dict[str, Any], message_id: str) -> str:
    return f"/api/conversations/{conversation['id']}/messages/{message_id}"


async def test_a_conversation_begins_with_the_first_message_of_its_persona(ada: User) -> None:
    persona = (
        await ada.http.post("/api/personas", json={"name": "Ava", "template": "t", "first_message": "Hello."})
    ).json()
    made = await new(ada, persona_id=persona["id"])
    assert made["title"] == "Ava"
    (first,) = await branch(ada, made)
    assert first["id"] == made["active_message_id"]
    assert (first["role"], first["content"], first["parent_id"]) == ("assistant", "Hello.", None)
    assert first.keys() == {
        "id", "parent_id", "role", "content", "thinking", "tool_calls", "tool_call_id", "metadata",
        "input_tokens", "output_tokens", "job_id", "created_at",
    }  # fmt: skip
    bare = await new(ada)
    assert bare["title"] == "New conversation"
    assert bare["active_message_id"] is None
    assert await branch(ada, bare) == []


async def test_a_persona_that_is_not_active_begins_nothing(ada: User) -> None:
    persona = (
        await ada.http.post("/api/personas", json={"name": "A", "template": "t", "is_active": False})
    ).json()
    answer = await ada.http.post("/api/conversations", json={"persona_id": persona["id"]})
    assert fields(problem(answer, 422, "validation_error")) == {"persona_id"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"title": " "}, "title"),
        ({"title": "x" * 256}, "title"),
        ({"model": ""}, "model"),
        ({"model": "x" * 201}, "model"),
        ({"persona_id": "ava"}, "persona_id"),
        ({"owner_id": str(uuid.uuid4())}, "owner_id"),
    ],
)
async def test_wrong_fields(ada: User, body: dict[str, Any], field: str) -> None:
    document = problem(await ada.http.post("/api/conversations", json=body), 422, "validation_error")
    assert fields(document) == {field}
    made = await new(ada)
    changed = await ada.http.patch(f"/api/conversations/{made['id']}", json=body)
    assert fields(problem(changed, 422, "validation_error")) == {field}


async def test_changing_fields(ada: User) -> None:
    connection = (
        await ada.http.post("/api/connections", json={"name": "c", "provider": "openai", "settings": {}})
    ).json()
    made = await new(ada, title="Old", model="m", connection_id=connection["id"])
    url = f"/api/conversations/{made['id']}"
    changed = (await ada.http.patch(url, json={"title": "New", "model": None})).json()
    assert (changed["title"], changed["model"], changed["connection_id"]) == ("New", None, connection["id"])
    assert changed["updated_at"] > made["updated_at"]
    assert (await ada.http.patch(url, json={})).json() == (await ada.http.get(url)).json()
    assert fields(problem(await ada.http.patch(url, json={"title": None}), 422, "validation_error")) == {
        "title"
    }
    await ada.http.delete(f"/api/connections/{connection['id']}")
    assert (await ada.http.get(url)).json()["connection_id"] is None


async def test_pages_are_newest_first_and_stable_under_inserts(ada: User) -> None:
    for number in range(5):
        await new(ada, title=f"c{number}")
    first = (await ada.http.get("/api/conversations", params={"limit": 2})).json()
    await new(ada, title="c5")
    second = (
        await ada.http.get("/api/conversations", params={"limit": 2, "cursor": first["next_cursor"]})
    ).json()
    third = (
        await ada.http.get("/api/conversations", params={"limit": 2, "cursor": second["next_cursor"]})
    ).json()
    pages = [[item["title"] for item in page["items"]] for page in (first, second, third)]
    assert pages == [["c4", "c3"], ["c2", "c1"], ["c0"]]
    assert third["next_cursor"] is None
    exact = (await ada.http.get("/api/conversations", params={"limit": 6})).json()
    assert len(exact["items"]) == 6
    assert exact["next_cursor"] is None


async def test_search_looks_in_titles_and_visible_texts(ada: User, state: GatewayState) -> None:
    async def found(q: str) -> set[str]:
        answer = await ada.http.get("/api/conversations", params={"q": q})
        return {item["title"] for item in answer.json()["items"]}

    weather = await new(ada, title="Weather")
    sales = await new(ada, title="100% of sales_total")
    ids = await say(state, weather, "Will it RAIN?", "Yes.")
    await say(state, sales, r"see C:\temp", "snow")
    assert await found("rain") == {"Weather"}
    assert await found("weather") == {"Weather"}
    assert await found("100%") == {"100% of sales_total"}
    assert await found("s_t") == {"100% of sales_total"}
    assert await found("s%l") == set()
    assert await found("a_n") == set()
    assert await found("C:\\t") == {"100% of sales_total"}
    assert await found("'; DROP TABLE messages; --") == set()
    await ada.http.delete(message_url(weather, ids[0]))
    assert await found("rain") == set()


async def test_conversations_of_a_persona(ada: User) -> None:
    persona = (await ada.http.post("/api/personas", json={"name": "A", "template": "t"})).json()
    mine = await new(ada, persona_id=persona["id"])
    await new(ada)
    answer = await ada.http.get("/api/conversations", params={"persona_id": persona["id"]})
    assert [item["id"] for item in answer.json()["items"]] == [mine["id"]]
    await ada.http.delete(f"/api/personas/{persona['id']}")
    assert (await ada.http.get(f"/api/conversations/{mine['id']}")).json()["persona_id"] is None


async def test_the_branch_is_paged_from_its_leaf(ada: User, state: GatewayState) -> None:
    made = await new(ada)
    ids = await say(state, made, *(f"m{n}" for n in range(7)))
    seen: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = (
            await ada.http.get(f"/api/conversations/{made['id']}/messages", params={"limit": 3, **cursor})
        ).json()
        seen += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
        await say(state, made, "said meanwhile")
    assert [message["id"] for message in seen] == ids[::-1]
    assert [message["parent_id"] for message in seen] == [*ids[-2::-1], None]
    wrong = await ada.http.get(f"/api/conversations/{made['id']}/messages", params={"cursor": "x"})
    problem(wrong, 422, "validation_error")


async def test_an_edit_is_a_sibling_and_the_old_text_stays(ada: User, state: GatewayState) -> None:
    made = await new(ada)
    question, answer, further = await say(state, made, "Why?", "Because.", "I see.")
    edited = await ada.http.patch(message_url(made, question), json={"content": "Why not?"})
    assert edited.status_code == 200
    assert edited.json()["parent_id"] is None
    assert edited.json()["role"] == "user"
    assert edited.json()["metadata"] == {"edited_from": question}
    assert texts(await branch(ada, made)) == ["Why not?"]
    conversation = (await ada.http.get(f"/api/conversations/{made['id']}")).json()
    assert conversation["active_message_id"] == edited.json()["id"]

    tree = await branch(ada, made, all=True)
    assert {(item["id"], item["parent_id"]) for item in tree} == {
        (question, None), (answer, question), (further, answer), (edited.json()["id"], None),
    }  # fmt: skip
    assert [item["created_at"] for item in tree] == sorted((i["created_at"] for i in tree), reverse=True)

    back = await ada.http.patch(f"/api/conversations/{made['id']}", json={"active_message_id": further})
    assert back.status_code == 200
    assert texts(await branch(ada, made)) == ["I see.", "Because.", "Why?"]
    other = await ada.http.patch(message_url(made, answer), json={"content": "For no reason."})
    assert other.json()["role"] == "assistant"
    assert texts(await branch(ada, made)) == ["For no reason.", "Why?"]


@pytest.mark.parametrize("content", ["", "  ", "x" * 100_001, None, 7, "a\x00"])
async def test_an_edit_is_checked_as_a_message_is(ada: User, state: GatewayState, content: Any) -> None:
    made = await new(ada)
    (message,) = await say(state, made, "Hi")
    answer = await ada.http.patch(message_url(made, message), json={"content": content})
    assert fields(problem(answer, 422, "validation_error")) == {"content"}


async def test_an_edited_tool_answer_still_belongs_to_its_call(ada: User, state: GatewayState) -> None:
    made = await new(ada)
    async with state.sessions.begin() as session:
        row = await session.get_one(Conversation, uuid.UUID(made["id"]))
        message = Message(conversation_id=row.id, role="tool", content="7", tool_call_id="call_1")
        session.add(message)
        await session.flush()
        row.active_message_id = message.id
    edited = (await ada.http.patch(message_url(made, str(message.id)), json={"content": "8"})).json()
    assert (edited["role"], edited["tool_call_id"]) == ("tool", "call_1")


async def test_a_hidden_message_is_skipped_in_view_and_kept_as_data(ada: User, state: GatewayState) -> None:
    made = await new(ada)
    a, b, c, _ = await say(state, made, "a", "b", "c", "d")
    for hidden in (b, c):
        assert (await ada.http.delete(message_url(made, hidden))).status_code == 204
    shown = await branch(ada, made)
    assert [(item["content"], item["parent_id"]) for item in shown] == [("d", a), ("a", None)]
    tree = await branch(ada, made, all=True)
    assert [(item["content"], item["parent_id"]) for item in tree] == [("d", a), ("a", None)]
    for method, body in (("DELETE", None), ("PATCH", {"content": "x"})):
        problem(await ada.http.request(method, message_url(made, b), json=body), 404, "message_not_found")
    switch = await ada.http.patch(f"/api/conversations/{made['id']}", json={"active_message_id": b})
    problem(switch, 404, "message_not_found")
    # A page that ends before the hidden ones goes on behind them.
    first = (await ada.http.get(f"/api/conversations/{made['id']}/messages", params={"limit": 1})).json()
    assert [(item["content"], item["parent_id"]) for item in first["items"]] == [("d", a)]
    second = await branch(ada, made, cursor=first["next_cursor"])
    assert texts(second) == ["a"]
    async with state.sessions() as session:
        rows = (await session.scalars(select(Message.content))).all()
    assert sorted(rows) == ["a", "b", "c", "d"]


async def test_a_hidden_leaf_hands_over_to_its_visible_parent(ada: User, state: GatewayState) -> None:
    made = await new(ada)
    a, b, c = await say(state, made, "a", "b", "c")
    await ada.http.delete(message_url(made, b))
    await ada.http.delete(message_url(made, c))
    assert (await ada.http.get(f"/api/conversations/{made['id']}")).json()["active_message_id"] == a
    await ada.http.delete(message_url(made, a))
    assert (await ada.http.get(f"/api/conversations/{made['id']}")).json()["active_message_id"] is None
    assert await branch(ada, made) == []
    # What is said next begins a new root, and a sibling of a hidden message is visible.
    await say(state, made, "d")
    assert texts(await branch(ada, made)) == ["d"]


async def test_only_as_much_of_a_branch_is_read_as_is_asked_for(ada: User, state: GatewayState) -> None:
    made = await new(ada)
    ids = await say(state, made, *(f"m{n}" for n in range(30)))
    await ada.http.delete(message_url(made, ids[28]))
    async with state.sessions() as session:
        read = await conversations.branch(session, uuid.UUID(made["id"]), uuid.UUID(ids[-1]), limit=3)
    assert [message.content for message in read] == ["m29", "m27", "m26"]


@pytest.mark.parametrize("phase", ["waiting", "ready", "held"])
async def test_the_branch_is_not_switched_under_a_turn(ada: User, state: GatewayState, phase: str) -> None:
    made = await new(ada)
    first, leaf = await say(state, made, "a", "b")
    await turn(state, ada, made, phase)
    url = f"/api/conversations/{made['id']}"
    problem(await ada.http.patch(url, json={"active_message_id": first}), 409, "conversation_busy")
    problem(await ada.http.patch(message_url(made, first), json={"content": "x"}), 409, "conversation_busy")
    problem(await ada.http.delete(message_url(made, leaf)), 409, "conversation_busy")
    assert (await ada.http.patch(url, json={"active_message_id": leaf, "title": "t"})).status_code == 200
    assert (await ada.http.delete(message_url(made, first))).status_code == 204


async def test_deleting_hides_at_once_and_marks_the_turns(ada: User, state: GatewayState) -> None:
    made, other = await new(ada), await new(ada)
    await say(state, made, "a")
    over = await turn(state, ada, made, "ended")
    marked = {await turn(state, ada, made, phase) for phase in ("held", "waiting")}
    spared = await turn(state, ada, other, "ready")
    url = f"/api/conversations/{made['id']}"
    assert (await ada.http.delete(url)).status_code == 204
    for path in (url, f"{url}/messages"):
        problem(await ada.http.get(path), 404, "conversation_not_found")
    problem(await ada.http.delete(url), 404, "conversation_not_found")
    listed = (await ada.http.get("/api/conversations")).json()["items"]
    assert [item["id"] for item in listed] == [other["id"]]
    async with state.sessions() as session:
        jobs = {job.id: job for job in await session.scalars(select(Job))}
    for job_id in marked:
        assert jobs[job_id].cancel_requested_at is not None
    assert jobs[over].cancel_requested_at is None
    assert jobs[spared].cancel_requested_at is None


async def test_two_edits_at_once_both_become_branches(ada: User, state: GatewayState) -> None:
    made = await new(ada)
    (message,) = await say(state, made, "a")
    answers = await asyncio.gather(
        *(ada.http.patch(message_url(made, message), json={"content": f"e{n}"}) for n in range(4))
    )
    assert [answer.status_code for answer in answers] == [200] * 4
    tree = await branch(ada, made, all=True)
    assert sorted(texts(tree)) == ["a", "e0", "e1", "e2", "e3"]
    active = (await ada.http.get(f"/api/conversations/{made['id']}")).json()["active_message_id"]
    assert active in {answer.json()["id"] for answer in answers}


async def test_no_first_message_of_a_stranger_is_seen(
    eve: User, ada: User, anonymous: httpx.AsyncClient
) -> None:
    persona = (
        await ada.http.post(
            "/api/personas", json={"name": "Ava", "template": "t", "first_message": "private"}
        )
    ).json()
    answer = await eve.http.post("/api/conversations", json={"persona_id": persona["id"]})
    problem(answer, 404, "persona_not_found")
    assert "private" not in answer.text
