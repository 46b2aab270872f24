"""One turn of a chat in the terminal: streamed, resumed when the connection breaks, cancelled by Ctrl-C."""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from deploy.cli.api import Api, ApiError, ServerEvent, path_part
from deploy.exit_codes import ExitCode

_ANSWER_TIMEOUT = 960.0  # seconds: a provider may take 900
_RETRIES = 8
#: Answers that pass: none, or one of a gateway that goes down or of a proxy before it.
_PASSING = (0, 502, 503, 504)
_FINAL = ("post_response_complete", "cancelled", "error")
_FIRST_PAUSE = 0.2  # seconds
_LONGEST_PAUSE = 5.0  # seconds


@dataclass
class Turn:
    """What a turn is sent with; remembers its conversation for the next one."""

    api: Api
    settings: dict[str, Any] = field(default_factory=dict)

    def request(self, message: str) -> dict[str, Any]:
        """The body of the request."""
        return {**self.settings, "message": message}

    def went_on_in(self, conversation_id: str | None) -> None:
        """The next turn belongs to this conversation, which has its persona already."""
        if conversation_id:
            self.settings["conversation_id"] = conversation_id
            self.settings.pop("persona_id", None)


def send(turn: Turn, message: str, *, as_json: bool = False) -> ExitCode:
    """Send a message, wait for the whole answer and print it."""
    answer = turn.api.call(
        "POST",
        "/api/chat/send",
        turn.request(message),
        headers={"Idempotency-Key": str(uuid.uuid4())},
        timeout=_ANSWER_TIMEOUT,
    )
    turn.went_on_in(answer.get("conversation_id"))
    print(json.dumps(answer, indent=2, ensure_ascii=False) if as_json else answer["content"], flush=True)
    return ExitCode.OK


def stream(turn: Turn, message: str, *, as_json: bool = False) -> ExitCode:
    """Send a message and print the answer as it comes; ``as_json`` is ``send``'s."""
    del as_json
    screen = _Screen()
    events = StreamedTurn(turn.api, turn.request(message))
    try:
        for event in events:
            match event.type:
                case "session_start":
                    turn.went_on_in(event.data.get("conversation_id"))
                case "restart":
                    screen.restart()
                case "chunk":
                    screen.thinking(event.data.get("thinking") or "")
                    screen.text(event.data.get("content") or "")
                case "warning":
                    screen.word(str(event.data.get("message") or ""))
                case "done" | "post_response_complete":
                    turn.went_on_in(event.data.get("conversation_id"))
                    screen.end()
                    return ExitCode.OK
                case "cancelled":
                    screen.end()
                    screen.word("cancelled")
                    return ExitCode.FAILED
                case "error":
                    raise ApiError(
                        str(event.data.get("message")), status=500, code=str(event.data.get("code") or "")
                    )
    except KeyboardInterrupt:
        screen.end()
        events.cancel()
        screen.word("cancelled")
        return ExitCode.INTERRUPTED
    finally:
        screen.end()
    return ExitCode.FAILED  # only after an event that is handled above


class StreamedTurn:
    """The events of one turn, each once, over as many connections as it takes."""

    def __init__(self, api: Api, body: dict[str, Any]) -> None:
        self._api = api
        self._body = body
        #: The same key joins the same job, should the first connection break before it tells its id.
        self._key = str(uuid.uuid4())
        self.session_id: str | None = None
        self.last_id: str | None = None

    def __iter__(self) -> Iterator[ServerEvent]:
        """Every event, up to the final one.

        Raises:
            ApiError: the turn was refused, or the gateway stays away.
        """
        failures = 0
        while True:
            lost = ApiError("The stream ended without its last event.")
            try:
                for event in self._connect():
                    failures = 0
                    self.session_id = event.data.get("session_id") or self.session_id
                    self.last_id = event.id or self.last_id
                    yield event
                    if event.type in _FINAL:
                        return
            except ApiError as error:
                if error.status not in _PASSING or (self.session_id is None and _nobody_there(error)):
                    raise
                lost = error
            # The gateway died or shut down; the turn goes on, and another gateway tells of it.
            failures += 1
            if failures > _RETRIES:
                raise lost
            time.sleep(min(_FIRST_PAUSE * 2**failures, _LONGEST_PAUSE))

    def _connect(self) -> Iterator[ServerEvent]:
        if self.session_id is None:
            return self._api.stream(
                "POST", "/api/chat/stream", self._body, headers={"Idempotency-Key": self._key}
            )
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        return self._api.stream("GET", f"/api/chat/events/{path_part(self.session_id)}", headers=headers)

    def cancel(self) -> None:
        """Cancel the turn, if it began."""
        if self.session_id is not None:
            self._api.call("POST", f"/api/chat/cancel/{path_part(self.session_id)}")


def _nobody_there(error: ApiError) -> bool:
    return isinstance(error.__cause__, ConnectionRefusedError)


class _Screen:
    """Writes text as it comes: the answer to stdout, everything else to stderr."""

    def __init__(self) -> None:
        self._styled = sys.stdout.isatty()
        self._thinking = False
        self._open = False  # whether the current line has text

    def text(self, text: str) -> None:
        if not text:
            return
        self._end_thinking()
        sys.stdout.write(text)
        sys.stdout.flush()
        self._open = not text.endswith("\n")

    def thinking(self, text: str) -> None:
        if text and self._styled:
            sys.stdout.write(text if self._thinking else f"\x1b[2m{text}")
            sys.stdout.flush()
            self._thinking = True

    def _end_thinking(self) -> None:
        if self._thinking:
            sys.stdout.write("\x1b[0m\n\n")
            self._thinking = False

    def restart(self) -> None:
        self.end()
        self.word("the worker was lost; the answer starts again:")

    def word(self, text: str) -> None:
        if text:
            print(text, file=sys.stderr, flush=True)

    def end(self) -> None:
        self._end_thinking()
        if self._open:
            sys.stdout.write("\n")
            sys.stdout.flush()
            self._open = False
