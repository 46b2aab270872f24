"""A model server that speaks Ollama's and OpenAI's protocols, and does what it is told.

``python -m tests.fakes.model_server --port 0`` prints ``{"port": …, "pid": …}`` and serves until SIGTERM, or
until its standard input closes when ``--until-stdin-closes`` is given. It keeps to one process and one
loop and carries 1,000 streams of 5 tokens a second.

Paths: ``/api/chat``, ``/api/tags``, ``/api/show``, ``/api/ps``, ``/api/pull``, ``/api/version``;
``/v1/chat/completions``, ``/v1/models``.

The answer is ``t0 t1 t2 …`` so that a lost or doubled token shows. **Knobs** change it: defaults come from
the command line (``--knob tps=20``), then from the model's name (``fake/tokens=5,tps=100``, or in short
``fault-truncate``, ``fault-429x2``, ``slow-first:3s``), then from the last user message
(``[[fake tokens=5 fault=error@2]]``). Values are percent-decoded.

======== ===========================================================================================
tokens   how many (10); ``max_tokens`` and ``num_predict`` of the request cut them (``length``)
tps      tokens a second (0: all at once)
first    seconds before the first token (0)
headers  ``early`` (default): at once; ``late``: with the first token
framing  ``chunked`` (default); ``close``: the body ends where the connection does
text     answer with this text, a token for each word
agents   answer as an agent of an experiment, by this play (:mod:`tests.fakes.agents`)
unicode  tokens of several bytes a character
stamp    tokens carry the monotonic nanoseconds of their sending: ``t7@123456789``
split    write the body in pieces of so many bytes
crlf     end lines with CR LF (OpenAI)
comments a comment (OpenAI) or an empty line (Ollama) before every n-th token
thinking ``field`` (``message.thinking``, ``reasoning_content``), ``reasoning``, ``reasoning_content``,
         ``inline`` (``<think>``, its tags cut in two); ``think_tokens`` of them: ``h0 h1 h2``
tools    so many calls of ``weather`` after the text
usage    ``auto`` (OpenAI: when asked for), ``last`` (in a chunk of its own), ``final`` (in the last chunk
         with a choice), ``none``
fault    ``500`` (any status; with ``retry_after``: seconds, or an HTTP date; ``redirect`` is 307),
         ``close`` (the connection is closed without an answer), ``silent`` (no answer ever), ``html``,
         ``empty`` (200 with nothing), ``done-only``, ``plain`` (a whole answer instead of a stream),
         ``plain-error`` (200 with an error as JSON), ``no-stream-options``, ``no-temperature``,
         ``no-schema`` (400 when asked for them), ``gzip``; in mid-stream, after ``@n`` tokens (3):
         ``truncate``, ``reset``, ``end``, ``hang``, ``error``, ``event-error``, ``garbage``, ``shape``; at
         the end: ``no-done``, ``hang-end``.
         ``x2`` after the name of one that precedes the stream: the first two requests only
======== ===========================================================================================

The model ``missing`` does not exist. With ``--api-key`` every request needs it.

**Control.** ``GET /_fake/log`` → ``{"counters": {…}, "requests": [{id, connection, at, method, path, headers,
body, tokens, first_at, ended_at, closed_at, aborted}]}``; times are ``time.monotonic_ns()``, comparable
between processes; ``aborted``: the connection was lost before the answer ended. ``GET
/_fake/wait?event=requests|tokens|ended|closed|aborted&count=N&timeout=S`` answers when so many were counted
since the reset (408 when not). ``POST /_fake/reset`` forgets everything.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httptools
import orjson

from tests.fakes.dialects import Dialect, Frame, Ollama, OpenAI, Step
from tests.fakes.script import BadKnob, Script, read_knobs, script_for

_REASONS = {
    200: "OK",
    307: "Temporary Redirect",
    400: "Bad Request",
    404: "Not Found",
    429: "Too Many Requests",
}


class State:
    """What all connections share."""

    def __init__(
        self, script: Script, models: list[str], api_key: str | None, bodies: bool, log_size: int
    ) -> None:
        self.script = script
        self.models = models
        self.api_key = api_key
        self.bodies = bodies
        self.log: collections.deque[dict[str, Any]] = collections.deque(maxlen=log_size)
        self.waiters: list[tuple[str, int, asyncio.Future[None]]] = []
        self.connections = 0
        self.requests = 0
        self.reset()

    def reset(self) -> None:
        """Forget the log, the counters and the faults already played."""
        self.log.clear()
        self.counters: collections.Counter[str] = collections.Counter()
        self.played: collections.Counter[tuple[str, str | None]] = collections.Counter()

    def count(self, event: str) -> None:
        """Count, and wake who waits for it."""
        self.counters[event] += 1
        if self.waiters:
            for waiter in self.waiters:
                name, wanted, future = waiter
                if name == event and self.counters[event] >= wanted and not future.done():
                    future.set_result(None)

    async def wait(self, event: str, count: int, timeout: float) -> bool:
        """Whether ``event`` was counted ``count`` times within ``timeout`` seconds."""
        if self.counters[event] >= count:
            return True
        waiter = (event, count, asyncio.get_running_loop().create_future())
        self.waiters.append(waiter)
        try:
            await asyncio.wait_for(waiter[2], timeout)
        except TimeoutError:
            return False
        finally:
            self.waiters.remove(waiter)
        return True

    def has_model(self, name: str) -> bool:
        """Every model exists but ``missing``."""
        return name.partition(":")[0] != "missing"


def _unsupported(message: str) -> dict[str, Any]:
    return {"error": {"message": f"Unsupported value: {message}", "code": "unsupported_value"}}


class Connection(asyncio.Protocol):
    """One client's connection: one request after the other."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.loop = asyncio.get_running_loop()
        state.connections += 1
        self.number = state.connections
        self.parser: Any = httptools.HttpRequestParser(self)
        self.transport: Any = None
        self.entry: dict[str, Any] | None = None
        self.timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self.task: asyncio.Task[None] | None = None
        self.lost = False
        self.url = b""
        self.headers: dict[str, str] = {}
        self.body: list[bytes] = []

    # The transport's calls ---------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self.timer is not None:
            self.timer.cancel()
        if self.task is not None:
            self.task.cancel()
        entry = self.entry
        if entry is not None and entry["closed_at"] is None:
            entry["closed_at"] = time.monotonic_ns()
            entry["aborted"] = entry["ended_at"] is None
            self.state.count("closed")
            if entry["aborted"]:
                self.state.count("aborted")

    # The parser's calls ------------------------------------------------------------------------------
    def on_message_begin(self) -> None:
        self.url, self.headers, self.body = b"", {}, []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        url = urlsplit(self.url.decode())
        raw = b"".join(self.body)
        if url.path.startswith("/_fake/"):
            self.task = self.loop.create_task(self.control(url.path, parse_qs(url.query)))
            return
        try:
            body = orjson.loads(raw) if raw else {}
        except orjson.JSONDecodeError:
            body = {}
        state = self.state
        state.requests += 1
        self.entry = {
            "id": state.requests,
            "connection": self.number,
            "at": time.monotonic_ns(),
            "method": self.parser.get_method().decode(),
            "path": url.path,
            "headers": self.headers if state.bodies else {},
            "body": body if state.bodies else None,
            "tokens": 0,
            "first_at": None,
            "ended_at": None,
            "closed_at": None,
            "aborted": False,
        }
        state.log.append(self.entry)
        state.count("requests")
        try:
            self.dispatch(url.path, body)
        except (BadKnob, ValueError) as error:
            self.reply(400, {"error": f"the fake has no such knob: {error}"})

    # Paths -------------------------------------------------------------------------------------------
    def dispatch(self, path: str, body: dict[str, Any]) -> None:
        if self.state.api_key and self.headers.get("authorization") != f"Bearer {self.state.api_key}":
            self.reply(401, {"error": {"message": f"Incorrect API key: {self.headers.get('authorization')}"}})
        elif path in {"/v1/chat/completions", "/chat/completions"}:
            self.chat(OpenAI, body, stream=bool(body.get("stream", False)))
        elif path == "/api/chat":
            self.chat(Ollama, body, stream=bool(body.get("stream", True)))
        elif path in {"/v1/models", "/models"}:
            data = [{"id": name, "object": "model", "owned_by": "fake"} for name in self.state.models]
            self.reply(200, {"object": "list", "data": data})
        elif path == "/api/version":
            self.reply(200, {"version": "0.12.0"})
        elif path in {"/api/tags", "/api/ps"}:
            models = [
                {
                    "name": name,
                    "model": name,
                    "size": 1_000_000,
                    "digest": "f" * 64,
                    "details": {"family": "fake", "parameter_size": "1M", "quantization_level": "Q4_0"},
                }
                | ({"context_length": 4096, "size_vram": 0} if path == "/api/ps" else {})
                for name in self.state.models
            ]
            self.reply(200, {"models": models})
        elif path == "/api/show":
            self.show(str(body.get("model")))
        elif path == "/api/pull":
            self.pull(str(body.get("model")))
        else:
            self.reply(404, {"detail": "Not Found"})

    def show(self, model: str) -> None:
        if not self.state.has_model(model):
            self.reply(404, {"error": f"model '{model}' not found"})
            return
        info = {"general.architecture": "fake", "fake.context_length": 32768}
        self.reply(200, {"model_info": info, "capabilities": ["completion", "tools"], "details": {}})

    def pull(self, model: str) -> None:
        lines: list[dict[str, Any]] = [{"status": "pulling manifest"}]
        if self.state.has_model(model):
            layer = {"status": "pulling ffffffffffff", "digest": "sha256:" + "f" * 64, "total": 300}
            lines += [layer | {"completed": done} for done in (100, 200, 300)]
            lines += [{"status": "verifying sha256 digest"}, {"status": "success"}]
        else:
            lines.append({"error": "pull model manifest: file does not exist"})
        frames = (Frame(orjson.dumps(line) + b"\n", token=True) for line in lines)
        self.begin_stream(self.state.script, "application/x-ndjson", frames)

    def chat(self, kind: type[Dialect], body: dict[str, Any], *, stream: bool) -> None:
        model = str(body.get("model"))
        script = script_for(self.state.script, model, body)
        dialect = kind(script, model, body, self.state.requests)
        if not self.state.has_model(model):
            self.reply(404, dialect.status_body(404))
            return
        fault, times, _ = script.fault_parts()
        if times is not None:
            key = (model, script.fault)
            self.state.played[key] += 1
            if self.state.played[key] > times:
                fault = "none"
        if self.fail(fault, dialect, body):
            return
        if stream:
            self.begin_stream(script, dialect.media_type, dialect.frames())
        else:
            delay = script.first + (len(dialect.words) / script.tps if script.tps else 0)
            self.timer = self.loop.call_later(delay, lambda: self.reply(200, dialect.whole()))

    def fail(self, fault: str, dialect: Dialect, body: dict[str, Any]) -> bool:
        """Play a fault that comes instead of a stream."""
        if fault.isdigit():
            after = dialect.script.retry_after
            self.reply(
                int(fault),
                dialect.status_body(int(fault)),
                {"Retry-After": after} if after is not None else {},
            )
        elif fault == "redirect":
            self.reply(307, {}, {"Location": "/elsewhere"})
        elif fault == "close":
            self.transport.close()
        elif fault == "silent":
            pass
        elif fault == "html":
            self.reply(200, b"<html><body>Sign in</body></html>", {"Content-Type": "text/html"})
        elif fault == "empty":
            self.reply(200, b"", {"Content-Type": dialect.media_type})
        elif fault == "done-only":
            self.reply(200, b"data: [DONE]\n\n", {"Content-Type": dialect.media_type})
        elif fault == "plain":
            self.reply(200, dialect.whole())
        elif fault == "plain-error":
            self.reply(200, {"error": {"message": "the model crashed", "type": "server_error"}})
        elif fault == "gzip":
            self.reply(200, b"\x1f\x8b", {"Content-Encoding": "gzip"})
        elif fault == "no-stream-options" and "stream_options" in body:
            self.reply(400, {"error": {"message": "Unknown parameter: 'stream_options'.", "code": None}})
        elif fault == "no-temperature" and "temperature" in body:
            self.reply(400, _unsupported("'temperature' does not support this value with this model."))
        elif fault == "no-schema" and "response_format" in body:
            self.reply(400, _unsupported("'response_format' of type json_schema is not supported."))
        else:
            return False
        return True

    # Answers -----------------------------------------------------------------------------------------
    def reply(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        if self.lost:
            return
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        self.transport.write(
            self.head(status, {"Content-Type": "application/json", **(headers or {})}, len(data)) + data
        )
        self.ended()

    def head(self, status: int, headers: dict[str, str], length: int | None, chunked: bool = True) -> bytes:
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Scripted')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        # A cookie on every answer shows whether the client keeps it.
        lines.append("Set-Cookie: fake=1; Path=/")
        if length is not None:
            lines.append(f"Content-Length: {length}")
        elif chunked:
            lines.append("Transfer-Encoding: chunked")
        else:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode()

    def ended(self) -> None:
        if self.entry is not None:
            self.entry["ended_at"] = time.monotonic_ns()
            self.state.count("ended")

    def begin_stream(self, script: Script, media_type: str, frames: Iterator[Frame | Step]) -> None:
        self.chunked = script.framing == "chunked"
        self.split = script.split
        self.frames = frames
        self.late: bytes = self.head(200, {"Content-Type": media_type}, None, self.chunked)
        if script.headers == "early":
            self.transport.write(self.late)
            self.late = b""
        self.pause = 1 / script.tps if script.tps else 0.0
        self.due = self.loop.time() + script.first
        self.timer = (
            self.loop.call_at(self.due, self.tick) if script.first else self.loop.call_soon(self.tick)
        )

    def tick(self) -> None:
        """Send up to and with the next token; without a rate, everything."""
        entry = self.entry
        if self.lost or entry is None:
            return
        out = [self.late] if self.late else []
        self.late = b""
        ended: Step | None = Step.END
        for frame in self.frames:
            if isinstance(frame, Step):
                ended = frame
                break
            out.append(b"%x\r\n%b\r\n" % (len(frame.data), frame.data) if self.chunked else frame.data)
            if frame.token:
                if entry["first_at"] is None:
                    entry["first_at"] = time.monotonic_ns()
                entry["tokens"] += 1
                self.state.count("tokens")
                if self.pause:
                    ended = None
                    break
        if ended is Step.END and self.chunked:
            out.append(b"0\r\n\r\n")
        self.write(b"".join(out))
        if ended is None:
            self.due += self.pause
            self.timer = self.loop.call_at(self.due, self.tick)
        elif ended is Step.END:
            self.ended()
            if not self.chunked:
                self.transport.close()
        elif ended is Step.TRUNCATE:
            self.transport.close()
        elif ended is Step.RESET:
            self.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            # What was written must have left before the reset throws it away.
            self.timer = self.loop.call_later(0.05, self.transport.abort)

    def write(self, data: bytes) -> None:
        if self.split and data:
            for start in range(0, len(data), self.split):
                self.transport.write(data[start : start + self.split])
        else:
            self.transport.write(data)

    async def control(self, path: str, query: dict[str, list[str]]) -> None:
        self.entry = None
        state = self.state
        if path == "/_fake/log":
            self.reply(200, {"counters": dict(state.counters), "requests": list(state.log)})
        elif path == "/_fake/reset":
            state.reset()
            self.reply(200, {})
        elif path == "/_fake/wait":
            event = query["event"][0]
            met = await state.wait(event, int(query["count"][0]), float(query.get("timeout", ["5"])[0]))
            self.reply(200 if met else 408, dict(state.counters))
        else:
            self.reply(404, {})


async def serve(options: argparse.Namespace) -> None:
    """Serve until a signal, or the end of standard input."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    if options.until_stdin_closes:
        loop.add_reader(0, lambda: stop.set() if not os.read(0, 4096) else None)
    state = State(
        read_knobs(Script(), options.knob),
        options.models.split(","),
        options.api_key,
        bodies=not options.no_bodies,
        log_size=options.log_size,
    )
    server = await loop.create_server(lambda: Connection(state), options.host, options.port, backlog=2048)
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"port": port, "pid": os.getpid()}), flush=True)
    await stop.wait()
    server.close()


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(
        description="A fake model server; its knobs are in the module's docstring."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--knob", action="append", default=[], help="key=value; may be repeated")
    parser.add_argument("--models", default="fake:latest,fake-large:latest", help="names that the lists hold")
    parser.add_argument("--api-key", help="refuse requests without it")
    parser.add_argument("--no-bodies", action="store_true", help="log neither headers nor bodies")
    parser.add_argument("--log-size", type=int, default=20_000)
    parser.add_argument("--until-stdin-closes", action="store_true")
    options = parser.parse_args()
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(options))
    else:
        uvloop.run(serve(options))


if __name__ == "__main__":
    main()
