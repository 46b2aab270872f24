"""Turns that run while something is done to the services, and what must have come of them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from deploy.cli.api import Api, ApiError
from tests.containers.installation import patiently

#: Jobs of these states go on.
_ACTIVE = ("queued", "running", "cancelling")


def expected(tokens: int) -> str:
    """What the fake model says in so many tokens."""
    return "".join(f"t{number} " for number in range(tokens))


@dataclass
class Turns:
    """Turns of one user, each in a conversation of its own."""

    user: Api
    accepted: list[dict[str, Any]] = field(default_factory=list)
    _tokens: dict[str, int] = field(default_factory=dict)

    def ask(self, tokens: int = 60, tps: float = 15.0) -> dict[str, Any]:
        """Have a turn accepted that answers ``tokens`` at ``tps`` a second; does not wait for the answer."""
        body = {"message": f"[[fake tokens={tokens} tps={tps}]]"}
        headers = {"Prefer": "respond-async", "Idempotency-Key": str(uuid.uuid4())}
        answer: dict[str, Any] = self.user.call("POST", "/api/chat/send", body, headers=headers)
        self.accepted.append(answer)
        self._tokens[answer["session_id"]] = tokens
        return answer

    def status(self, turn: dict[str, Any]) -> dict[str, Any]:
        """How far a turn is."""
        status: dict[str, Any] = self.user.get(f"/api/chat/status/{turn['session_id']}")
        return status

    def job(self, turn: dict[str, Any]) -> dict[str, Any]:
        """The job of a turn, with its attempts."""
        job: dict[str, Any] = self.user.get(f"/api/jobs/{turn['session_id']}")
        return job

    def workers(self) -> set[str]:
        """The workers of all attempts."""
        return {one["worker"] for turn in self.accepted for one in self.job(turn)["attempts"]}

    def wait_running(self, turn: dict[str, Any]) -> None:
        """Wait until a turn generates."""
        patiently(lambda: self.status(turn), lambda status: status["status"] == "running", pause=0.1)

    def none_is_lost(self, seconds: float = 90.0) -> None:
        """Every turn that was accepted ends with its whole answer, stored once."""
        for turn in self.accepted:
            status = patiently(
                lambda turn=turn: self.status(turn),
                lambda status: status["status"] not in _ACTIVE and status["post_response"] != "running",
                seconds=seconds,
            )
            assert status["status"] == "succeeded", (status, self.job(turn))
            path = f"/api/conversations/{turn['conversation_id']}/messages"
            said = [one for one in self.user.get(path)["items"] if one["role"] == "assistant"]
            assert [one["content"] for one in said] == [expected(self._tokens[turn["session_id"]])]

    def read(self, session_id: str, after: str | None = None, stop_after: int | None = None) -> Events:
        """Read the events of a turn, all or only some."""
        return Events(self.user, session_id).read(after, stop_after)


class Events:
    """What one client has received of a turn, over as many connections as it took."""

    def __init__(self, user: Api, session_id: str) -> None:
        self._user = user
        self._path = f"/api/chat/events/{session_id}"
        self.ids: list[str] = []
        self.types: list[str] = []
        self.text = ""

    def read(self, after: str | None = None, stop_after: int | None = None) -> Events:
        """Read on after the last event, to the end or hanging up after ``stop_after`` more."""
        query = after or (self.ids[-1] if self.ids else None)
        path = f"{self._path}?starting_after={query}" if query else self._path
        for count, event in enumerate(self._user.stream("GET", path), 1):
            if event.id is not None:
                self.ids.append(event.id)
            self.types.append(event.type)
            if event.type == "restart":
                self.text = ""
            elif event.type == "chunk":
                self.text += event.data["content"]
            if count == stop_after:
                break
        return self

    def read_through(self, seconds: float = 90.0) -> Events:
        """Read to the last event of the turn, connecting anew whenever the connection breaks."""

        def on() -> bool:
            try:
                self.read()
            except ApiError as error:
                if error.status not in (0, 502, 503):
                    raise
            return bool(self.types) and self.types[-1] in ("post_response_complete", "cancelled", "error")

        patiently(on, seconds=seconds)
        return self
