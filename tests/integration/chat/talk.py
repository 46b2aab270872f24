"""Somebody who makes modules and talks to personas, and looks at everything that came of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.stack import Stack, StackUser

Event = dict[str, Any]
#: (role, content) of each message of a provider call.
Sent = list[tuple[str, str]]


async def read_events(response: httpx.Response) -> AsyncIterator[Event]:
    """The events of an SSE response; comments are skipped."""
    event: Event = {}
    async for line in response.aiter_lines():
        if line.startswith(":"):
            continue
        if not line:
            if event:
                yield event
            event = {}
            continue
        name, _, value = line.partition(": ")
        event[name] = json.loads(value) if name == "data" else value


@dataclass(frozen=True)
class Turn:
    """A turn that has ended, its last stage included.

    Attributes:
        answer: what ``send`` answered; empty for a turn that was followed by its events only.
        events: from the first to the last.
    """

    session_id: str
    answer: dict[str, Any]
    events: list[Event]
    trace: dict[str, Any]

    @property
    def conversation(self) -> dict[str, Any]:
        """What the next turn of the conversation sends along."""
        return {"conversation_id": self.of("session_start")[0]["conversation_id"]}

    @property
    def message_id(self) -> str:
        """The stored answer."""
        found: str = self.of("done")[0]["message_id"]
        return found

    @property
    def text(self) -> str:
        """What clients have."""
        return "".join(data["content"] for data in self.of("chunk"))

    @property
    def last(self) -> Event:
        """The data of the last event."""
        data: Event = self.events[-1]["data"]
        return data

    def of(self, kind: str) -> list[Event]:
        """The data of the events of one type."""
        return [event["data"] for event in self.events if event["event"] == kind]

    @property
    def types(self) -> list[str]:
        """The types of the events."""
        return [event["event"] for event in self.events]

    def modules(self, stage: int) -> dict[str, dict[str, Any]]:
        """The traces of the modules of a stage, by name and in order."""
        return {m["name"]: m for s in self.trace["stages"] if s["stage"] == stage for m in s["modules"]}

    @property
    def prompt(self) -> str:
        """The system prompt as the trace has it; empty when none was sent."""
        first = self.trace["request"]["messages"][0]
        return first["content"] if first["role"] == "system" else ""


@dataclass
class Talk:
    """What one user does over HTTP."""

    user: StackUser
    http: httpx.AsyncClient

    @property
    def stack(self) -> Stack:
        """The stack."""
        return self.user.stack

    # What is made -----------------------------------------------------------------------------------------
    async def module(
        self, name: str, script: str | None = None, content: str | None = None, **fields: Any
    ) -> str:
        """Make a module, ``advanced`` when it has a script; its id."""
        body = {"name": name, "content": content, **fields}
        if script is not None:
            body |= {"type": "advanced", "script": script}
        answer = await self.http.post("/api/modules", json=body)
        assert answer.status_code == 201, answer.text
        made: str = answer.json()["id"]
        return made

    async def after(self, name: str, script: str, content: str | None = None, **fields: Any) -> str:
        """Make a module that runs after the answer."""
        return await self.module(name, script, content, execution_context="POST_RESPONSE", **fields)

    async def persona(self, template: str, name: str = "Ava", **fields: Any) -> dict[str, Any]:
        """Make a persona; what a turn sends along to talk to it."""
        body = {"name": name, "template": template, **fields}
        answer = await self.http.post("/api/personas", json=body)
        assert answer.status_code == 201, answer.text
        return {"persona_id": answer.json()["id"]}

    # What is said -----------------------------------------------------------------------------------------
    async def send(self, message: str, **body: Any) -> httpx.Response:
        """``POST /api/chat/send``."""
        return await self.http.post("/api/chat/send", json={"message": message, **body})

    async def say(self, message: str = "Hello.", **body: Any) -> Turn:
        """A turn that succeeds, to the end of its last stage."""
        answer = await self.send(message, **body)
        assert answer.status_code == 200, answer.text
        return await self.ended(answer.json()["session_id"], answer.json())

    async def begin(self, message: str = "Hello.", **body: Any) -> str:
        """Have a turn accepted; its session."""
        answer = await self.http.post(
            "/api/chat/send", json={"message": message, **body}, headers={"Prefer": "respond-async"}
        )
        assert answer.status_code == 202, answer.text
        session: str = answer.json()["session_id"]
        return session

    async def ended(self, session_id: str, answer: dict[str, Any] | None = None) -> Turn:
        """Wait for the end of a turn, its last stage included."""
        events = [event async for event in self.events(session_id)]
        trace = await self.http.get(f"/api/chat/trace/{session_id}")
        return Turn(session_id, answer or {}, events, trace.json() if trace.is_success else {})

    async def events(self, session_id: str) -> AsyncIterator[Event]:
        """The events of a turn as they come, to the last one."""
        async with self.http.stream("GET", f"/api/chat/events/{session_id}") as response:
            assert response.status_code == 200, await response.aread()
            async for event in read_events(response):
                yield event

    async def until(self, session_id: str, kind: str, **data: Any) -> Event:
        """Wait for an event of a turn with such data."""
        async for event in self.events(session_id):
            if event["event"] == kind and data.items() <= event["data"].items():
                return event
        raise AssertionError(f"the turn ended without {kind} {data}")

    async def cancel(self, session_id: str) -> dict[str, Any]:
        """``POST /api/chat/cancel``."""
        answer = await self.http.post(f"/api/chat/cancel/{session_id}")
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def regenerate(self, turn: Turn, **body: Any) -> Turn:
        """Have a turn answered again, to the end of its last stage."""
        path = f"/api/conversations/{turn.conversation['conversation_id']}/messages/{turn.message_id}"
        answer = await self.http.post(f"{path}/regenerate", json=body)
        assert answer.status_code == 200, answer.text
        return await self.ended(answer.json()["session_id"], answer.json())

    # What came of it --------------------------------------------------------------------------------------
    async def status(self, session_id: str) -> dict[str, Any]:
        """``GET /api/chat/status``."""
        told: dict[str, Any] = (await self.http.get(f"/api/chat/status/{session_id}")).json()
        return told

    async def state(self, turn: Turn, **params: Any) -> dict[str, Any]:
        """``GET /api/conversations/{id}/state``."""
        path = f"/api/conversations/{turn.conversation['conversation_id']}/state"
        answer = await self.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def variables(self, turn: Turn, **params: Any) -> dict[str, dict[str, Any]]:
        """The variables of each module, as the conversation sees them."""
        return {one["module_name"]: one["variables"] for one in (await self.state(turn, **params))["modules"]}

    async def memories(self, turn: Turn) -> tuple[list[str], dict[str, Any]]:
        """What is stored and what is remembered."""
        memory = (await self.state(turn))["memory"]
        return [one["content"] for one in memory["stored"]], memory["remembered"]

    async def requests(self) -> list[dict[str, Any]]:
        """The provider calls since the reset, in the order in which they came."""
        return [one for one in await self.stack.model.alog() if one["method"] == "POST"]

    async def sent(self) -> list[Sent]:
        """The messages of each of them."""
        return [
            [(said["role"], said["content"]) for said in one["body"]["messages"]]
            for one in await self.requests()
        ]


@asynccontextmanager
async def talking(user: StackUser) -> AsyncIterator[Talk]:
    """Somebody who can talk; the fake model has forgotten what was before."""
    user.stack.model.reset()
    async with user.http() as http:
        yield Talk(user, http)
