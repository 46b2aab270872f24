"""A run through the whole of Parley: over HTTP, by a worker, with a model server that plays the agents."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest

from tests.support.stack import StackUser

CONFIG: dict[str, Any] = {
    "agents": [
        {
            "name": name,
            "personality": "You are fair.",
            "model": "fake/agents=agree",
            "reasoning_enabled": False,
        }
        for name in ("Alice", "Bob")
    ],
    "utility_agent_model": "fake/agents=agree",
    "phase2_rounds": 2,
    "connection": "fake",
    "seed": 11,
}
LONG = 120.0  # seconds


async def followed(http: httpx.AsyncClient, path: str, **headers: str) -> list[tuple[str, str, Any]]:
    """The events of a run to its end: (id, type, data)."""
    found: list[tuple[str, str, Any]] = []
    async with http.stream("GET", f"{path}/events", headers=headers, timeout=LONG) as events:
        assert events.status_code == 200, await events.aread()
        event: dict[str, str] = {}
        async for line in events.aiter_lines():
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                event[name] = value
            elif not line and event:
                found.append((event.get("id", ""), event["event"], orjson.loads(event["data"])))
                event = {}
    return found


async def test_a_run_is_followed_to_its_end_and_replayed_to_the_same(user: StackUser) -> None:
    async with user.http() as http:
        accepted = await http.post("/api/experiments", json={"config": CONFIG})
        assert accepted.status_code == 202, accepted.text
        path = f"/api/experiments/{accepted.json()['experiment_id']}"
        live = await followed(http, path)
        shown = (await http.get(path)).json()
        assert shown["status"] == "succeeded", shown
        assert (shown["progress"], shown["calls"] > 0, shown["tokens"] > 0) == (1.0, True, True)
        live = [event for event in live if event[1] != "queued"]
        assert live[0][1] == "experiment_started"
        assert live[-1][1] == "experiment_finished"
        # However late, the same; and behind any event what came after it.
        assert await followed(http, path) == live
        middle = len(live) // 2
        assert await followed(http, path, **{"Last-Event-ID": live[middle][0]}) == live[middle + 1 :]
        numbers = [int(id_.partition("-")[2]) for id_, *_ in live]
        assert numbers == list(range(1, len(live) + 1))

        result = await http.get(f"{path}/result")
        assert result.status_code == 200, result.text
        assert result.headers["x-result-sha256"] == shown["result_hash"]
        transcript = (await http.get(f"{path}/transcript")).text.splitlines()
        assert all(orjson.loads(line)["path"] for line in transcript)
        report = await http.get(f"{path}/report", timeout=LONG)
        assert report.status_code == 200, report.text
        assert "<svg" in report.text

        user.stack.model.reset()
        replayed = (await http.post(f"{path}/replay")).json()
        again = f"/api/experiments/{replayed['experiment_id']}"
        await followed(http, again)
        replay = (await http.get(again)).json()
        assert (replay["status"], replay["matches_source"]) == ("succeeded", True), replay
        assert replay["result_hash"] == shown["result_hash"]
        assert await user.stack.model.alog() == []


async def test_a_budget_stops_a_run_and_a_higher_one_lets_it_go_on(user: StackUser) -> None:
    async with user.http() as http:
        accepted = await http.post("/api/experiments", json={"config": {**CONFIG, "budget": {"calls": 7}}})
        path = f"/api/experiments/{accepted.json()['experiment_id']}"
        first = await followed(http, path)
        assert (first[-1][1], first[-1][2]["code"]) == ("error", "budget_exceeded")
        assert (await http.get(path)).json()["error"]["code"] == "budget_exceeded"
        resumed = await http.post(f"{path}/resume", json={"budget": {"calls": None}})
        assert resumed.status_code == 202, resumed.text
        rest = await followed(http, path, **{"Last-Event-ID": first[-1][0]})
        assert (rest[0][1], rest[-1][1]) == ("resumed", "experiment_finished")
        assert {id_.partition("-")[0] for id_, *_ in rest} == {"2"}


@pytest.mark.parametrize("round_number", [1])
async def test_a_fork_goes_on_from_its_round(user: StackUser, round_number: int) -> None:
    async with user.http() as http:
        accepted = await http.post("/api/experiments", json={"config": CONFIG})
        path = f"/api/experiments/{accepted.json()['experiment_id']}"
        await followed(http, path)
        source = (await http.get(path)).json()
        forked = await http.post(
            f"{path}/fork", json={"round": round_number, "changes": {"decision_rule": "majority"}}
        )
        assert forked.status_code == 202, forked.text
        user.stack.model.reset()
        fork_path = f"/api/experiments/{forked.json()['experiment_id']}"
        await followed(http, fork_path)
        fork = (await http.get(fork_path)).json()
        assert fork["status"] == "succeeded", fork
        # What is in common was not asked again.
        assert 0 < len(await user.stack.model.alog()) < source["calls"]
