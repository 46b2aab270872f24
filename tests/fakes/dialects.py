"""The two protocols of the fake model server: what a token, an error and an end look like in each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import orjson

from tests.fakes.script import Script


class Step(Enum):
    """Something that happens instead of bytes."""

    #: Nothing more is sent, the connection stays.
    STALL = auto()
    #: The connection is closed in the middle of the body.
    TRUNCATE = auto()
    #: The connection is reset.
    RESET = auto()
    #: The body ends properly although the answer does not.
    END = auto()


@dataclass(frozen=True, slots=True)
class Frame:
    """Bytes of the body; a token waits for its turn, everything else goes along."""

    data: bytes
    token: bool = False


class Dialect:
    """How one API says things."""

    media_type = ""

    def __init__(self, script: Script, model: str, body: dict[str, Any], number: int) -> None:
        self.script = script
        self.model = model
        self.number = number
        self.prompt_tokens = sum(
            len(str(message.get("content") or "").split()) for message in body.get("messages") or []
        )
        self.limit = self.max_tokens(body)
        words = script.words()
        self.finish_reason = "stop"
        if self.limit is not None and len(words) > self.limit:
            words = words[: self.limit]
            self.finish_reason = "length"
        self.words = words
        self.thoughts = list(script.thoughts())
        if script.tools:
            self.finish_reason = "tool_calls"

    def frames(self) -> Iterator[Frame | Step]:
        """The stream, with the fault that the script asks for at its place."""
        fault, _, at = self.script.fault_parts()
        yield from self.begin()
        count = 0
        inline = self.script.thinking == "inline"
        if inline and self.thoughts:
            yield Frame(self.content("<thi"))
            yield Frame(self.content("nk>\n"))
        for thought in self.thoughts:
            yield Frame(self.content(thought) if inline else self.thought(thought), token=True)
        if inline and self.thoughts:
            yield Frame(self.content("</th"))
            yield Frame(self.content("ink>\n\n"))
        frame = self.content_frames()
        for word in self.words:
            if count == at and (step := self.failure(fault)) is not None:
                yield from step
                return
            if self.script.comments and count % self.script.comments == 0:
                yield Frame(self.comment())
            yield Frame(frame(word), token=True)
            count += 1
        if count <= at and (step := self.failure(fault)) is not None:
            yield from step
            return
        for index in range(self.script.tools):
            yield from (Frame(data) for data in self.tool_call(index))
        yield from self.end(fault)

    def failure(self, fault: str) -> list[Frame | Step] | None:
        """What the fault does in the middle of a stream."""
        if fault == "hang":
            return [Step.STALL]
        if fault == "truncate":
            return [Step.TRUNCATE]
        if fault == "reset":
            return [Step.RESET]
        if fault == "end":
            return [Step.END]
        if fault == "error":
            return [Frame(self.error("the model crashed")), Step.END]
        if fault == "garbage":
            return [Frame(self.garbage()), Step.END]
        if fault == "shape":
            return [Frame(self.odd_shape()), Step.END]
        return None

    def content_frames(self) -> Callable[[str], bytes]:
        """Token text → bytes, for the hot path."""
        prefix, suffix = self.content("\x00").split(b'"\\u0000"')
        plain = self.script.text is None and not self.script.unicode
        if self.script.stamp:
            return lambda word: (
                b'%b"%b@%d "%b' % (prefix, word.rstrip().encode(), time.monotonic_ns(), suffix)
            )
        if plain:
            return lambda word: b'%b"%b"%b' % (prefix, word.encode(), suffix)
        return lambda word: b"%b%b%b" % (prefix, orjson.dumps(word), suffix)

    def max_tokens(self, body: dict[str, Any]) -> int | None:
        raise NotImplementedError

    def begin(self) -> Iterator[Frame]:
        raise NotImplementedError

    def content(self, text: str) -> bytes:
        raise NotImplementedError

    def thought(self, text: str) -> bytes:
        raise NotImplementedError

    def tool_call(self, index: int) -> list[bytes]:
        raise NotImplementedError

    def end(self, fault: str) -> Iterator[Frame | Step]:
        raise NotImplementedError

    def error(self, message: str) -> bytes:
        raise NotImplementedError

    def garbage(self) -> bytes:
        raise NotImplementedError

    def odd_shape(self) -> bytes:
        raise NotImplementedError

    def comment(self) -> bytes:
        raise NotImplementedError

    def whole(self) -> dict[str, Any]:
        """The answer in one piece."""
        raise NotImplementedError

    def status_body(self, status: int) -> dict[str, Any]:
        """The body of an error status."""
        raise NotImplementedError

    def whole_text(self) -> str:
        """The answer's text, with thinking in it when that comes inline."""
        text = "".join(self.words)
        if self.script.thinking == "inline":
            return f"<think>\n{''.join(self.thoughts)}</think>\n\n{text}"
        return text


class OpenAI(Dialect):
    """``/v1/chat/completions``."""

    media_type = "text/event-stream"

    def __init__(self, script: Script, model: str, body: dict[str, Any], number: int) -> None:
        super().__init__(script, model, body, number)
        self.include_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        self.newline = b"\r\n" if script.crlf else b"\n"

    def max_tokens(self, body: dict[str, Any]) -> int | None:
        return body.get("max_completion_tokens") or body.get("max_tokens")

    def begin(self) -> Iterator[Frame]:
        yield Frame(self._delta({"role": "assistant", "content": ""}))

    def content(self, text: str) -> bytes:
        return self._delta({"content": text})

    def thought(self, text: str) -> bytes:
        field = self.script.thinking if self.script.thinking != "field" else "reasoning_content"
        return self._delta({field: text})

    def tool_call(self, index: int) -> list[bytes]:
        arguments = orjson.dumps(self.script.arguments(index)).decode()
        half = len(arguments) // 2
        first = {
            "index": index,
            "id": f"call_{self.number}_{index}",
            "type": "function",
            "function": {"name": "weather", "arguments": ""},
        }
        return [
            self._delta({"tool_calls": [delta]})
            for delta in (
                first,
                {"index": index, "function": {"arguments": arguments[:half]}},
                {"index": index, "function": {"arguments": arguments[half:]}},
            )
        ]

    def end(self, fault: str) -> Iterator[Frame | Step]:
        last = self._chunk([{"index": 0, "delta": {}, "finish_reason": self.finish_reason}])
        how = self.script.usage
        if how == "final":
            last["usage"] = self._usage()
        yield Frame(self._event(last))
        if how == "last" or (how == "auto" and self.include_usage):
            yield Frame(self._event(self._chunk([]) | {"usage": self._usage()}))
        if fault == "hang-end":
            yield Step.STALL
        elif fault != "no-done":
            yield Frame(b"data: [DONE]" + self.newline * 2)

    def error(self, message: str) -> bytes:
        body = {"error": {"message": message, "type": "server_error", "code": None}}
        return self._event(body)

    def failure(self, fault: str) -> list[Frame | Step] | None:
        if fault == "event-error":
            event = (
                b"event: error" + self.newline + self._event({"message": "the model crashed", "code": 500})
            )
            return [Frame(event), Step.END]
        return super().failure(fault)

    def garbage(self) -> bytes:
        return b"data: this is {not json" + self.newline * 2

    def odd_shape(self) -> bytes:
        return self._event({"choices": "none"})

    def comment(self) -> bytes:
        return b": keep-alive" + self.newline * 2

    def whole(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self.whole_text()}
        if self.thoughts and self.script.thinking != "inline":
            field = self.script.thinking if self.script.thinking != "field" else "reasoning_content"
            message[field] = "".join(self.thoughts)
        if self.script.tools:
            message["tool_calls"] = [
                {
                    "id": f"call_{self.number}_{index}",
                    "type": "function",
                    "function": {
                        "name": "weather",
                        "arguments": orjson.dumps(self.script.arguments(index)).decode(),
                    },
                }
                for index in range(self.script.tools)
            ]
        body = self._chunk([{"index": 0, "message": message, "finish_reason": self.finish_reason}])
        body["object"] = "chat.completion"
        if self.script.usage != "none":
            body["usage"] = self._usage()
        return body

    def status_body(self, status: int) -> dict[str, Any]:
        if status == 404:
            message = f"The model `{self.model}` does not exist"
            return {"error": {"message": message, "type": "invalid_request_error", "code": "model_not_found"}}
        messages = {401: "Incorrect API key provided", 429: "Rate limit reached", 403: "No access"}
        message = messages.get(status, f"scripted failure {status}")
        return {"error": {"message": message, "type": "scripted", "param": None, "code": None}}

    def _usage(self) -> dict[str, Any]:
        completion = len(self.words) + len(self.thoughts)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
            "completion_tokens_details": {"reasoning_tokens": len(self.thoughts)},
        }

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self.number}",
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": self.model,
            "system_fingerprint": "fp_fake",
            "choices": choices,
        }

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return self._event(self._chunk([{"index": 0, "delta": delta, "finish_reason": None}]))

    def _event(self, body: dict[str, Any]) -> bytes:
        return b"data: " + orjson.dumps(body) + self.newline * 2


class Ollama(Dialect):
    """``/api/chat``."""

    media_type = "application/x-ndjson"

    def max_tokens(self, body: dict[str, Any]) -> int | None:
        return (body.get("options") or {}).get("num_predict")

    def begin(self) -> Iterator[Frame]:
        return iter(())

    def content(self, text: str) -> bytes:
        return self._line({"message": {"role": "assistant", "content": text}, "done": False})

    def thought(self, text: str) -> bytes:
        return self._line({"message": {"role": "assistant", "content": "", "thinking": text}, "done": False})

    def tool_call(self, index: int) -> list[bytes]:
        return [
            self._line(
                {
                    "message": {"role": "assistant", "content": "", "tool_calls": [self._call(index)]},
                    "done": False,
                }
            )
        ]

    def end(self, fault: str) -> Iterator[Frame | Step]:
        yield Frame(self._line({"message": {"role": "assistant", "content": ""}, **self._last()}))

    def error(self, message: str) -> bytes:
        return orjson.dumps({"error": message}) + b"\n"

    def garbage(self) -> bytes:
        return b"this is {not json\n"

    def odd_shape(self) -> bytes:
        return b"[1, 2]\n"

    def comment(self) -> bytes:
        return b"\n"

    def whole(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self.whole_text()}
        if self.thoughts and self.script.thinking != "inline":
            message["thinking"] = "".join(self.thoughts)
        if self.script.tools:
            message["tool_calls"] = [self._call(index) for index in range(self.script.tools)]
        return {**self._head(), "message": message, **self._last()}

    def status_body(self, status: int) -> dict[str, Any]:
        if status == 404:
            return {"error": f"model '{self.model}' not found"}
        return {"error": f"scripted failure {status}"}

    def _call(self, index: int) -> dict[str, Any]:
        return {"function": {"name": "weather", "arguments": self.script.arguments(index)}}

    def _last(self) -> dict[str, Any]:
        reason = self.finish_reason if self.finish_reason != "tool_calls" else "stop"
        last: dict[str, Any] = {"done": True, "done_reason": reason, "total_duration": 1_000_000}
        if self.script.usage != "none":
            last["prompt_eval_count"] = self.prompt_tokens
            last["eval_count"] = len(self.words) + len(self.thoughts)
        return last

    def _head(self) -> dict[str, Any]:
        return {"model": self.model, "created_at": "2026-01-01T00:00:00.000000Z"}

    def _line(self, body: dict[str, Any]) -> bytes:
        return orjson.dumps({**self._head(), **body}) + b"\n"
