"""Jobs: listed for their owner, looked into, retried."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.integration.gateway.conftest import fields, problem
from tests.support.stack import Stack, StackUser

FAULTY = "[[fake fault=500]]"


async def turn(http: httpx.AsyncClient, message: str = "hello", **body: Any) -> str:
    """Run a turn to its end, however that is, and return its id."""
    async with http.stream("POST", "/api/chat/stream", json={"message": message, **body}) as events:
        assert events.status_code == 200, await events.aread()
        await events.aread()
        session_id: str = events.headers["x-session-id"]
    return session_id


async def test_a_job_and_its_attempts(user: StackUser) -> None:
    async with user.http() as http:
        job_id = await turn(http)
        job = (await http.get(f"/api/jobs/{job_id}")).json()
    assert job["kind"] == "chat"
    assert job["status"] == "succeeded"
    assert job["active"] is False
    assert job["metadata"]["model"] == "fake"
    (attempt,) = job["attempts"]
    assert attempt["attempt"] == job["attempt"] == 1
    assert attempt["outcome"] == "succeeded"
    assert attempt["worker"]
    assert job["created_at"] <= attempt["started_at"] <= attempt["finished_at"]


async def test_the_list_is_filtered_and_paged(user: StackUser) -> None:
    async with user.http() as http:
        good = [await turn(http) for _ in range(3)]
        bad = await turn(http, FAULTY)

        async def ids(**query: Any) -> list[str]:
            answer = await http.get("/api/jobs", params=query)
            assert answer.status_code == 200, answer.text
            return [job["id"] for job in answer.json()["items"]]

        assert await ids() == [bad, *reversed(good)]
        assert await ids(status="failed") == [bad]
        assert await ids(status="succeeded", kind="chat") == good[::-1]
        assert await ids(kind="experiment") == await ids(status="cancelling") == await ids(kind="query") == []
        seen: list[str] = []
        cursor: str | None = None
        while True:
            page = (
                await http.get("/api/jobs", params={"limit": 2, **({"cursor": cursor} if cursor else {})})
            ).json()
            seen += [job["id"] for job in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert seen == [bad, *reversed(good)]
        for query in ({"kind": "dance"}, {"status": "odd"}, {"cursor": "x"}, {"limit": 0}):
            told = problem(await http.get("/api/jobs", params=query), 422, "validation_error")
            assert fields(told) == set(query)


async def test_a_cancelled_job_that_still_runs_is_cancelling(user: StackUser, stack: Stack) -> None:
    async with user.http() as http:
        body = {"message": "[[fake tokens=1000 tps=5]]"}
        async with http.stream("POST", "/api/chat/stream", json=body) as events:
            job_id = events.headers["x-session-id"]
            await stack.model.await_("tokens")
            (running,) = (await http.get("/api/jobs", params={"status": "running"})).json()["items"]
            assert running["id"] == job_id
            assert running["active"] is True
            attempts = (await http.get(f"/api/jobs/{job_id}")).json()["attempts"]
            assert [attempt["outcome"] for attempt in attempts] == [None]
            await http.post(f"/api/chat/cancel/{job_id}")
            await events.aread()
        assert [job["id"] for job in (await http.get("/api/jobs?status=cancelled")).json()["items"]] == [
            job_id
        ]


async def test_a_failed_job_is_retried(user: StackUser, stack: Stack) -> None:
    async with user.http() as http:
        # Three requests fail: the attempt and its two retries; then the server has recovered.
        job_id = await turn(http, "[[fake fault=503x3]]")
        failed = (await http.get(f"/api/jobs/{job_id}")).json()
        assert failed["status"] == "failed"
        assert failed["error"]["code"] == "provider_unavailable"
        answer = await http.post(f"/api/jobs/{job_id}/retry")
        assert answer.status_code == 202, answer.text
        assert answer.json()["status"] in {"queued", "running", "succeeded"}
        await http.get(f"/api/chat/events/{job_id}")
        job = (await http.get(f"/api/jobs/{job_id}")).json()
        assert job["status"] == "succeeded", job
        assert job["error"] is None
        assert [(a["attempt"], a["outcome"]) for a in job["attempts"]] == [(1, "failed"), (2, "succeeded")]
        messages = (await http.get(f"/api/conversations/{job['conversation_id']}/messages")).json()["items"]
        assert {message["role"] for message in messages} == {"user", "assistant"}
        problem(await http.post(f"/api/jobs/{job_id}/retry"), 409, "job_not_ended")


async def test_what_cannot_be_retried(user: StackUser, stack: Stack) -> None:
    async with user.http() as http:
        failed = await turn(http, FAULTY)
        conversation = (await http.get(f"/api/jobs/{failed}")).json()["conversation_id"]
        body = {"message": "[[fake tokens=1000 tps=5]]", "conversation_id": conversation}
        async with http.stream("POST", "/api/chat/stream", json=body) as events:
            running = events.headers["x-session-id"]
            await stack.model.await_("tokens")
            problem(await http.post(f"/api/jobs/{running}/retry"), 409, "job_not_ended")
            problem(await http.post(f"/api/jobs/{failed}/retry"), 409, "conversation_busy")
            await http.post(f"/api/chat/cancel/{running}")
            await events.aread()
        told = problem(
            await http.post(f"/api/jobs/{failed}/retry", json={"api_key": "sk-x"}), 422, "validation_error"
        )
        assert fields(told) == {"api_key"}


async def test_a_turn_of_a_deleted_conversation_is_not_retried(user: StackUser, stack: Stack) -> None:
    async with user.http() as http:
        job_id = await turn(http, FAULTY)
        conversation = (await http.get(f"/api/jobs/{job_id}")).json()["conversation_id"]
        stack.model.reset()
        assert (await http.delete(f"/api/conversations/{conversation}")).status_code == 204
        answer = await http.post(f"/api/jobs/{job_id}/retry")
        assert answer.status_code == 404, answer.text
        # The sweep may have removed the turn with its conversation by now.
        assert answer.json()["code"] in {"conversation_not_found", "session_not_found"}
        assert await stack.model.alog() == []


async def test_a_key_that_came_with_the_job_must_come_again(user: StackUser, stack: Stack) -> None:
    own = {
        "provider": "openai",
        "provider_settings": {
            "base_url": stack.model.openai_url,
            "model": "fake",
            "api_key": "sk-first",
            "extra_headers": {"X-Team": "red"},
        },
    }
    async with user.http() as http:
        job_id = await turn(http, "[[fake fault=500x1]]", **own)
        path = f"/api/jobs/{job_id}/retry"
        problem(await http.post(path), 409, "secret_erased")
        told = problem(await http.post(path, json={"api_key": "sk-second"}), 409, "secret_erased")
        assert fields(told) == {"extra_headers"}
        unusable = await http.post(path, json={"api_key": "sk second"})
        assert fields(problem(unusable, 422, "validation_error")) == {"api_key"}
        assert "sk second" not in unusable.text
        stack.model.reset()
        again = {"api_key": "sk-second", "extra_headers": {"X-Team": "blue"}}
        answer = await http.post(path, json=again)
        assert answer.status_code == 202, answer.text
        await http.get(f"/api/chat/events/{job_id}")
        await stack.model.await_("ended")
        (asked,) = await stack.model.alog()
        assert asked["headers"]["authorization"] == "Bearer sk-second"
        assert asked["headers"]["x-team"] == "blue"


async def test_jobs_are_their_owners(user: StackUser, stack: Stack) -> None:
    eve = stack.user()
    async with user.http() as http, eve.http() as other:
        job_id = await turn(http, FAULTY)
        problem(await other.get(f"/api/jobs/{job_id}"), 404, "session_not_found")
        problem(await other.post(f"/api/jobs/{job_id}/retry"), 404, "session_not_found")
        assert (await other.get("/api/jobs")).json() == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("body", [{"key": "x"}, {"extra_headers": {"Host": "x"}}])
async def test_a_retry_is_checked(user: StackUser, body: dict[str, Any]) -> None:
    async with user.http() as http:
        job_id = await turn(http, FAULTY)
        problem(await http.post(f"/api/jobs/{job_id}/retry", json=body), 422, "validation_error")
