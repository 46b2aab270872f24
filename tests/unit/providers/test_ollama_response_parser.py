"""What Ollama answers, read line by line."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from shared.errors import ProviderError, ProviderResponseError
from workers.providers import PullProgress, StreamingChunk, Usage
from workers.providers.ollama.response_parser import (
    LineDecoder,
    OllamaStreamParser,
    parse_model,
    parse_models,
    parse_progress,
    parse_response,
)

CALL = {"function": {"name": "f", "arguments": {"x": 1}}}


def said(**fields: Any) -> bytes:
    return orjson.dumps({"model": "real", "message": {"role": "assistant", **fields}, "done": False})


def last(**fields: Any) -> bytes:
    return orjson.dumps(
        {"model": "real", "message": {"content": ""}, "done": True, "done_reason": "stop", **fields}
    )


def run(*lines: bytes) -> list[StreamingChunk]:
    parser = OllamaStreamParser(model="m")
    chunks = [chunk for line in lines if (chunk := parser.feed(line)) is not None]
    rest = parser.rest()
    return [*chunks, *([rest] if rest else []), parser.finish()]


def text_of(chunks: list[StreamingChunk]) -> tuple[str, str]:
    return "".join(chunk.content for chunk in chunks), "".join(chunk.thinking for chunk in chunks)


def test_an_ordinary_stream() -> None:
    chunks = run(
        said(content="Hel"), said(content="lo"), last(prompt_eval_count=3, eval_count=2, total_duration=5)
    )
    assert chunks[:-1] == [StreamingChunk("Hel"), StreamingChunk("lo")]
    assert chunks[-1] == StreamingChunk(
        done=True,
        finish_reason="stop",
        usage=Usage(3, 2),
        metadata={"provider": "ollama", "model": "real", "total_duration": 5},
    )


def test_text_in_the_last_line_counts() -> None:
    assert text_of(run(said(content="a"), last(message={"content": "b"}))) == ("ab", "")


def test_thinking_in_its_field() -> None:
    assert text_of(run(said(content="", thinking="hm"), said(content="<think>"), last())) == ("<think>", "hm")


def test_thinking_inline() -> None:
    lines = [said(content=piece) for piece in ("<thi", "nk>", "hm</thi", "nk>", " yes")]
    assert text_of(run(*lines, last())) == ("yes", "hm")


def test_tool_calls_become_deltas_with_an_index() -> None:
    chunks = run(said(content="", tool_calls=[CALL]), said(tool_calls=[{**CALL, "id": "own"}]), last())
    deltas = [delta for chunk in chunks for delta in chunk.tool_calls or ()]
    assert [delta["index"] for delta in deltas] == [0, 1]
    assert deltas[0]["id"].startswith("call_")
    assert deltas[1]["id"] == "own"
    assert deltas[0]["function"] == {"name": "f", "arguments": '{"x":1}'}
    assert chunks[-1].finish_reason == "tool_calls"


@pytest.mark.parametrize(("reason", "told"), [("stop", "stop"), ("length", "length"), (None, None)])
def test_why_it_ended(reason: str | None, told: str | None) -> None:
    assert run(said(content="a"), last(done_reason=reason))[-1].finish_reason == told


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "empty stream"),
        ([said(content="a")], "cut off"),
        ([b"nope"], "not JSON"),
        ([b"[1]"], "not an object"),
        ([b"{}"], "no message"),
        ([b'{"message": "x"}'], "no message"),
        ([said(content=5)], "not text"),
        ([said(thinking=["x"])], "not text"),
        ([said(tool_calls="x")], "not a list"),
        ([said(tool_calls=[{}])], "no function"),
    ],
)
def test_what_cannot_be_understood(lines: list[bytes], message: str) -> None:
    with pytest.raises(ProviderResponseError, match=message):
        run(*lines)


def test_a_failure_in_mid_stream() -> None:
    parser = OllamaStreamParser(model="m")
    assert parser.feed(said(content="kept")) == StreamingChunk("kept")
    with pytest.raises(ProviderError, match="boom"):
        parser.feed(b'{"error": "boom"}')


def test_a_whole_answer() -> None:
    response = parse_response(
        {
            "model": "real",
            "message": {"content": "<think>hm</think>yes", "tool_calls": [CALL]},
            "done": True,
            "done_reason": "stop",
            "prompt_eval_count": 1,
            "eval_count": 2,
        },
        model="m",
    )
    assert (response.content, response.thinking, response.finish_reason) == ("yes", "hm", "tool_calls")
    assert response.tool_calls[0]["function"] == {"name": "f", "arguments": '{"x":1}'}
    assert response.usage == Usage(1, 2)


@pytest.mark.parametrize("body", [{}, {"message": 1}, {"message": {"content": ["x"]}}])
def test_whole_answers_of_another_shape(body: dict[str, Any]) -> None:
    with pytest.raises(ProviderResponseError, match="another shape"):
        parse_response(body, model="m")


def test_lines_without_the_blank_ones() -> None:
    decoder = LineDecoder()
    assert decoder.feed(b"\n  \na\r\n\r\nb") == [b"a"]
    assert decoder.flush() == [b"b"]
    assert decoder.flush() == []


def test_models_and_what_is_known_of_one() -> None:
    assert [
        (model.name, model.size) for model in parse_models({"models": [{"name": "a", "size": 5}, {"x": 1}]})
    ] == [("a", 5)]
    with pytest.raises(ProviderResponseError):
        parse_models({})
    shown = parse_model({"model_info": {"llama.context_length": 8192}, "capabilities": ["tools"]}, "a")
    assert (shown.name, shown.context_length, shown.details["capabilities"]) == ("a", 8192, ["tools"])
    assert parse_model({}, "a").context_length is None


@pytest.mark.parametrize(
    ("line", "progress"),
    [
        ({"status": "pulling manifest"}, PullProgress("pulling manifest")),
        (
            {"status": "pulling x", "digest": "d", "total": 9, "completed": 3},
            PullProgress("pulling x", "d", 9, 3),
        ),
        ({"status": "success"}, PullProgress("success", done=True)),
    ],
)
def test_progress(line: dict[str, Any], progress: PullProgress) -> None:
    assert parse_progress(line, model="m") == progress


@pytest.mark.parametrize(("line", "kind"), [({"error": "no"}, ProviderError), ({}, ProviderResponseError)])
def test_progress_that_fails(line: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        parse_progress(line, model="m")
