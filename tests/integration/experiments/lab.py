"""Somebody who runs experiments over HTTP, and looks at everything that comes of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from tests.fakes.questions import Asked
from tests.integration.chat.talk import Event, read_events
from tests.support.stack import StackUser

#: Seconds that a run may take on a busy machine.
LONG = 90.0
NAMES = ("Alice", "Bob", "Carol", "Dave", "Erin")

Request = dict[str, Any]
Config = dict[str, Any]


def config(*plays: str, **changes: Any) -> Config:
    """A short run of agents with these plays: few calls, one round, a seed.

    A play with a comma has further knobs of the fake model server.
    """
    settings = {"max_memory_retries": 1, **changes.pop("phase2_settings", {})}
    return {
        "agents": [
            {"name": name, "personality": "You are fair.", "model": model(play), "reasoning_enabled": False}
            for name, play in zip(NAMES, plays, strict=False)
        ],
        "utility_agent_model": model("hears_3"),
        "connection": "fake",
        "memory_update_threshold": "minimal",
        "phase2_rounds": 1,
        "phase2_settings": settings,
        "seed": 11,
        **changes,
    }


def model(play: str) -> str:
    """The name of the model that plays so."""
    return f"fake/agents={play}"


@dataclass(frozen=True)
class Played:
    """A run that has ended.

    Attributes:
        events: from the first to the last, ``queued`` left out.
    """

    id: str
    events: list[Event]
    shown: dict[str, Any]
    result: dict[str, Any]

    @property
    def path(self) -> str:
        """Where it is."""
        return f"/api/experiments/{self.id}"

    @property
    def general(self) -> dict[str, Any]:
        """``general_information``."""
        found: dict[str, Any] = self.result["general_information"]
        return found

    @property
    def votes(self) -> list[dict[str, Any]]:
        """The ballots that were held."""
        found: list[dict[str, Any]] = self.result["voting_history"]["vote_rounds"]
        return found

    @property
    def types(self) -> list[str]:
        """The types of the events."""
        return [event["event"] for event in self.events]

    def of(self, kind: str, **data: Any) -> list[dict[str, Any]]:
        """The data of the events of one type that hold ``data``."""
        return [
            event["data"]
            for event in self.events
            if event["event"] == kind and data.items() <= event["data"].items()
        ]

    def agent(self, name: str) -> dict[str, Any]:
        """An entry of ``agents``."""
        found: dict[str, Any] = next(one for one in self.result["agents"] if one["name"] == name)
        return found

    def ballot(self, name: str, vote: int = 0) -> dict[str, Any]:
        """What the result tells of an agent's ballot."""
        votes = self.votes[vote]["participant_votes"]
        found: dict[str, Any] = next(one for one in votes if one["participant_name"] == name)
        return found

    def earning(self, name: str) -> dict[str, Any]:
        """What an agent was paid for what the group did."""
        found: dict[str, Any] = self.agent(name)["phase_2"]["post_group_discussion"]
        return found


@dataclass
class Lab:
    """What one user does."""

    user: StackUser
    http: httpx.AsyncClient
    key: str

    # Runs -------------------------------------------------------------------------------------------------
    async def start(self, config: Config, **body: Any) -> str:
        """Have a run accepted; its path."""
        answer = await self.http.post("/api/experiments", json={"config": config, **body})
        assert answer.status_code == 202, answer.text
        return f"/api/experiments/{answer.json()['experiment_id']}"

    async def play(self, config: Config, **body: Any) -> Played:
        """A run that comes to its end."""
        played = await self.ended(await self.start(config, **body))
        assert played.shown["status"] == "succeeded", played.shown
        return played

    async def ended(self, path: str, after: str | None = None) -> Played:
        """Follow a run to its end, from the start or after an event."""
        events = [event async for event in self.events(path, after) if event["event"] != "queued"]
        shown = (await self.http.get(path)).json()
        return Played(shown["id"], events, shown, (await self.http.get(f"{path}/result")).json())

    async def events(self, path: str, after: str | None = None) -> AsyncIterator[Event]:
        """The events of a run as they come, to the last one."""
        headers = {} if after is None else {"Last-Event-ID": after}
        async with self.http.stream("GET", f"{path}/events", headers=headers, timeout=LONG) as response:
            assert response.status_code == 200, await response.aread()
            async for event in read_events(response):
                yield event

    async def derive(self, path: str, how: str, **body: Any) -> Played:
        """A replay or a fork of a run, to its end."""
        answer = await self.http.post(f"{path}/{how}", json=body)
        assert answer.status_code == 202, answer.text
        return await self.ended(f"/api/experiments/{answer.json()['experiment_id']}")

    async def cancel(self, path: str) -> None:
        """Cancel a run."""
        answer = await self.http.post(f"{path}/cancel")
        assert answer.status_code == 200, answer.text
        assert answer.json()["cancelled"] is True

    async def transcript(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """The steps that may be seen now."""
        answer = await self.http.get(f"{path}/transcript", params=params)
        assert answer.status_code == 200, answer.text
        return [orjson.loads(line) for line in answer.text.splitlines()]

    # What the models were asked ---------------------------------------------------------------------------
    async def requests(self) -> list[Request]:
        """The calls with this user's key since the reset, in the order in which they came."""
        return [
            one
            for one in await self.user.stack.model.alog()
            if one["method"] == "POST" and one["headers"].get("authorization") == f"Bearer {self.key}"
        ]

    async def asked(self, kind: str | None = None, play: str | None = None) -> list[Asked]:
        """The questions of a kind to the agents with a play."""
        return [
            one
            for request in await self.requests()
            if (play is None or request["body"]["model"] == model(play))
            and ((one := asked(request)).kind == kind or kind is None)
        ]

    async def until_asked(self, wanted: Callable[[list[Request]], bool], timeout: float = 30.0) -> None:
        """Wait until the calls are as they should be."""
        server = self.user.stack.model
        while True:
            count = (await self._counters())["requests"]
            if wanted(await self.requests()):
                return
            await server.await_("requests", count + 1, timeout=timeout)

    async def _counters(self) -> dict[str, int]:
        counters = await asyncio.to_thread(self.user.stack.model.counters)
        return {"requests": 0, **counters}


def asked(request: Request) -> Asked:
    """The question of a call."""
    said = [str(message["content"]) for message in request["body"]["messages"]]
    form = (request["body"].get("response_format") or {}).get("json_schema") or {}
    return Asked("\n".join(said), said[-1], form.get("schema"))


def connected(user: StackUser, **connection: Any) -> str:
    """Give a user a connection ``fake`` under a key of its own, which is returned; other fields are sent."""
    key = f"sk-of-{user.id}"
    user.connect("fake", settings={"api_key": key}, **connection)
    return key


@asynccontextmanager
async def working(user: StackUser, key: str) -> AsyncIterator[Lab]:
    """A user with its connection's key."""
    # Nothing is encrypted here; to read the certificates of the world takes longer than a run.
    async with user.http(verify=False) as http:
        yield Lab(user, http, key)
