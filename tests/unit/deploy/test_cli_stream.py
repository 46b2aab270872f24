"""A streamed turn reaches the terminal whole, over as many connections as it takes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.cli import turn as turn_module
from deploy.cli.api import Api, ApiError, ServerEvent, parse_events
from deploy.cli.turn import StreamedTurn, Turn, send, stream
from deploy.exit_codes import ExitCode

Reply = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers each request with the next reply of its server, and notes what was asked."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        sent = self.rfile.read(length)
        body = json.loads(sent) if sent and "json" in self.headers["Content-Type"] else sent or None
        server = self.server
        assert isinstance(server, Gateway)
        server.asked.append((self.command, self.path, dict(self.headers), body))
        server.replies.pop(0)(self)
        self.close_connection = True

    do_GET = do_POST = _answer

    def log_message(self, *_: object) -> None:
        pass


class Gateway(ThreadingHTTPServer):
    """A server of this test."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies: list[Reply] = []
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []

    @property
    def api(self) -> Api:
        return Api(f"http://127.0.0.1:{self.server_address[1]}", "the-key")


@contextmanager
def serving() -> Iterator[Gateway]:
    """A gateway that answers what it is told to."""
    server = Gateway()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    monkeypatch.setattr(turn_module, "_FIRST_PAUSE", 0.001)
    with serving() as server:
        yield server


def sse(*events: tuple[str | None, str, dict[str, Any]], cut: bool = False) -> Reply:
    """A stream of these events; ``cut`` breaks it off in the middle of a promised body."""

    def reply(handler: Handler) -> None:
        text = ": hello\n\n"
        for identity, kind, data in events:
            text += f"id: {identity}\n" if identity else ""
            text += f"event: {kind}\ndata: {json.dumps({**data, 'session_id': 's1'})}\n\n"
        body = text.encode()
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Content-Length", str(len(body) + (100 if cut else 0)))
        handler.end_headers()
        handler.wfile.write(body)

    return reply


def problem(status: int, code: str, detail: str, **more: Any) -> Reply:
    def reply(handler: Handler) -> None:
        body = json.dumps({"code": code, "detail": detail, "status": status, **more}).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return reply


START = ("1-0", "session_start", {"conversation_id": "c1", "attempt": 1})
DONE = ("1-3", "done", {"conversation_id": "c1", "message_id": "m1"})


def chunk(identity: str, text: str) -> tuple[str, str, dict[str, Any]]:
    return identity, "chunk", {"content": text}


def test_an_answer_is_printed_as_it_comes(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.replies = [sse(START, chunk("1-1", "Hello, "), chunk("1-2", "world"), DONE)]
    turn = Turn(gateway.api, {"persona_id": "p1"})
    assert stream(turn, "hi") == ExitCode.OK
    assert capsys.readouterr().out == "Hello, world\n"
    method, path, headers, body = gateway.asked[0]
    assert (method, path, body) == ("POST", "/api/chat/stream", {"persona_id": "p1", "message": "hi"})
    assert headers["Authorization"] == "Bearer the-key"
    assert turn.settings == {"conversation_id": "c1"}


def test_a_broken_stream_is_resumed_after_its_last_event(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.replies = [
        sse(START, chunk("1-1", "Hello, "), cut=True),
        problem(503, "shutting_down", "the gateway is shutting down"),
        sse(chunk("1-2", "world"), DONE),
    ]
    assert stream(Turn(gateway.api), "hi") == ExitCode.OK
    assert capsys.readouterr().out == "Hello, world\n"
    assert [(method, path) for method, path, _, _ in gateway.asked] == [
        ("POST", "/api/chat/stream"),
        ("GET", "/api/chat/events/s1"),
        ("GET", "/api/chat/events/s1"),
    ]
    assert gateway.asked[2][2]["Last-Event-ID"] == "1-1"


def test_a_stream_that_breaks_before_its_first_event_is_asked_for_under_the_same_key(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.replies = [sse(cut=True), sse(START, chunk("1-1", "once"), DONE)]
    assert stream(Turn(gateway.api), "hi") == ExitCode.OK
    assert capsys.readouterr().out == "once\n"
    first, second = (headers["Idempotency-Key"] for _, _, headers, _ in gateway.asked)
    assert first == second


def test_a_restart_is_said_and_the_text_comes_anew(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.replies = [
        sse(START, chunk("1-1", "Hel"), ("2-1", "restart", {"attempt": 2}), chunk("2-2", "Hello"), DONE)
    ]
    assert stream(Turn(gateway.api), "hi") == ExitCode.OK
    printed = capsys.readouterr()
    assert printed.out == "Hel\nHello\n"
    assert "starts again" in printed.err


def test_a_failed_turn_is_an_error_after_its_text(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.replies = [
        sse(START, chunk("1-1", "Hel"), ("1-2", "error", {"code": "provider_error", "message": "it broke"}))
    ]
    with pytest.raises(ApiError, match="it broke") as told:
        stream(Turn(gateway.api), "hi")
    assert told.value.exit_code == ExitCode.FAILED
    assert capsys.readouterr().out == "Hel\n"


def test_a_refusal_is_told_with_its_fields_and_not_repeated(gateway: Gateway) -> None:
    fault = {"field": "message", "message": "must not be blank"}
    gateway.replies = [problem(422, "validation_error", "The request is not valid", errors=[fault])]
    with pytest.raises(ApiError, match=r"not valid\n  message: must not be blank") as told:
        stream(Turn(gateway.api), "hi")
    assert told.value.code == "validation_error"
    assert len(gateway.asked) == 1


def test_a_wrong_key_has_an_exit_code_of_its_own(gateway: Gateway) -> None:
    gateway.replies = [problem(401, "unauthorized", "An API key is needed")]
    with pytest.raises(ApiError) as told:
        send(Turn(gateway.api), "hi")
    assert told.value.exit_code == ExitCode.UNAUTHORIZED


def test_nobody_there_is_told_at_once() -> None:
    with pytest.raises(ApiError, match="does not answer") as told:
        stream(Turn(Api("http://127.0.0.1:1", "k")), "hi")
    assert told.value.exit_code == ExitCode.UNREACHABLE


def test_a_gateway_that_stays_away_is_given_up(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn_module, "_RETRIES", 2)
    gateway.replies = [sse(START, cut=True), *[problem(503, "shutting_down", "going down")] * 3]
    with pytest.raises(ApiError, match="going down"):
        list(StreamedTurn(gateway.api, {"message": "hi"}))
    assert len(gateway.asked) == 3


def test_the_whole_answer_as_json_is_what_the_gateway_said(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = {"content": "Grüße", "conversation_id": "c9", "metadata": {}}
    gateway.replies = [problem(200, "-", "-", **answer)]
    turn = Turn(gateway.api)
    assert send(turn, "hi", as_json=True) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["content"] == "Grüße"
    assert turn.settings["conversation_id"] == "c9"


events = st.lists(
    st.builds(
        ServerEvent,
        type=st.sampled_from(["chunk", "done"]),
        data=st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3),
        id=st.none() | st.from_regex(r"\A[1-9]-[0-9]\Z"),
    ),
    max_size=5,
)


@given(events, st.sampled_from(["\n", "\r\n"]))
def test_every_event_is_parsed_once(sent: list[ServerEvent], newline: str) -> None:
    text = ""
    for event in sent:
        text += f": comment{newline}event: {event.type}{newline}data: {json.dumps(event.data)}{newline}"
        text += f"id: {event.id}{newline}{newline}" if event.id else newline
    assert list(parse_events(iter(text.encode().splitlines(keepends=True)))) == sent


@pytest.mark.parametrize("cut", [b"event: chunk\ndata: {}", b"event: chunk\ndata: {}\n", b"data: {}\n\ndata"])
def test_an_event_that_was_cut_off_does_not_count(cut: bytes) -> None:
    complete = cut.count(b"\n\n")
    assert len(list(parse_events(iter(cut.splitlines(keepends=True))))) == complete
