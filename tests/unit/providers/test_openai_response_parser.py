"""What OpenAI and its look-alikes answer, read event by event."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from shared.errors import ModelNotFoundError, ProviderError, ProviderResponseError, ProviderUnavailableError
from workers.providers import StreamingChunk, ToolCallMerger, Usage
from workers.providers.base.stream_processor import ServerSentEvent
from workers.providers.openai.response_parser import (
    OpenAIStreamParser,
    parse_models,
    parse_response,
    parse_usage,
)

DONE = ServerSentEvent(b"[DONE]")


def event(body: object) -> ServerSentEvent:
    return ServerSentEvent(orjson.dumps(body))


def delta(finish: str | None = None, /, **fields: Any) -> ServerSentEvent:
    return event(
        {"id": "x", "model": "real", "choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}
    )


def run(*events: ServerSentEvent) -> list[StreamingChunk]:
    parser = OpenAIStreamParser(model="m")
    chunks = [chunk for event in events if (chunk := parser.feed(event)) is not None]
    rest = parser.rest()
    return [*chunks, *([rest] if rest else []), parser.finish()]


def text_of(chunks: list[StreamingChunk]) -> tuple[str, str]:
    return "".join(chunk.content for chunk in chunks), "".join(chunk.thinking for chunk in chunks)


def test_an_ordinary_stream() -> None:
    chunks = run(
        delta(role="assistant", content=""),
        delta(content="Hel"),
        delta(content="lo"),
        delta("stop"),
        event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}),
        DONE,
    )
    assert chunks[:-1] == [StreamingChunk("Hel"), StreamingChunk("lo")]
    last = chunks[-1]
    assert (last.done, last.finish_reason, last.usage) == (True, "stop", Usage(3, 2))
    assert last.metadata == {"provider": "openai", "model": "real", "id": "x"}


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_thinking_in_a_field_of_its_own(field: str) -> None:
    chunks = run(delta(**{field: "hm "}), delta(**{field: "yes"}), delta(content="<think>"), delta("stop"))
    # A provider that tells thinking apart means a tag in its text as text.
    assert text_of(chunks) == ("<think>", "hm yes")


def test_thinking_beside_the_delta() -> None:
    choice = {"index": 0, "delta": {}, "reasoning": "hm", "finish_reason": None}
    assert text_of(run(event({"choices": [choice]}), delta("stop", content="a"))) == ("a", "hm")


def test_thinking_inline() -> None:
    pieces = ["<th", "ink>h", "m</", "think>", "\n\n", "yes"]
    assert text_of(run(*(delta(content=piece) for piece in pieces), delta("stop"), DONE)) == ("yes", "hm")


def test_text_that_looked_like_a_tag_is_not_lost() -> None:
    assert text_of(run(delta(content="<thi"), delta("length"), DONE)) == ("<thi", "")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], ("ab", "")),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "h"}]}, "a"], ("a", "h")),
        ([{"type": "thinking", "thinking": "h"}], ("", "h")),
    ],
)
def test_content_in_parts(content: Any, expected: tuple[str, str]) -> None:
    assert text_of(run(delta(content=content), delta("stop"))) == expected


def test_a_refusal_is_text() -> None:
    chunks = run(delta(refusal="I cannot"), delta("stop"))
    assert text_of(chunks) == ("I cannot", "")
    assert chunks[-1].metadata is not None
    assert chunks[-1].metadata["refusal"] is True


@pytest.mark.parametrize("where", ["own", "last", "both"])
def test_usage_wherever_it_comes(where: str) -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 1}}
    last: dict[str, Any] = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    if where != "own":
        last["usage"] = usage
    events = [delta(content="a"), event(last)]
    if where != "last":
        events.append(event({"choices": [], "usage": usage}))
    assert run(*events, DONE)[-1].usage == Usage(1, 2, 1)


def test_tool_calls_keep_their_index() -> None:
    chunks = run(
        delta(
            tool_calls=[
                {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
            ]
        ),
        delta(tool_calls=[{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{"}}]),
        delta(
            tool_calls=[
                {"index": 0, "function": {"arguments": "{}"}},
                {"index": 1, "function": {"arguments": "}"}},
            ]
        ),
        delta("tool_calls"),
        DONE,
    )
    merger = ToolCallMerger()
    for chunk in chunks:
        merger.add(chunk.tool_calls or ())
    assert [
        (call["id"], call["function"]["name"], call["function"]["arguments"]) for call in merger.result()
    ] == [
        ("a", "f", "{}"),
        ("b", "g", "{}"),
    ]
    assert chunks[-1].finish_reason == "tool_calls"


def test_whole_tool_calls_without_an_index() -> None:
    chunks = run(
        delta(tool_calls=[{"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}]),
        delta(tool_calls=[{"id": "b", "function": {"name": "g", "arguments": "{}"}}]),
        delta("tool_calls"),
    )
    assert [chunk.tool_calls[0]["index"] for chunk in chunks if chunk.tool_calls] == [0, 1]
    assert chunks[0].tool_calls is not None
    assert chunks[0].tool_calls[0]["function"]["arguments"] == '{"x":1}'


def test_other_choices_are_not_mixed_in() -> None:
    other = event({"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": None}]})
    assert text_of(run(delta(content="yes"), other, delta("stop"))) == ("yes", "")


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([], "empty stream"),
        ([DONE], "empty stream"),
        ([delta(role="assistant")], "before it said anything"),
        ([delta(role="assistant"), DONE], "before it said anything"),
        ([delta(content="a")], "cut off"),
        ([ServerSentEvent(b"{nope")], "not JSON"),
        ([event([1])], "not an object"),
        ([event({"choices": "none"})], "choices is not"),
        ([event({"choices": [5]})], "choices is not"),
        ([event({"hello": 1})], "no choices"),
        ([event({"choices": [{"index": 0}]})], "no delta"),
        ([delta(content=5)], "neither text nor"),
        ([delta(content=[{"type": "image"}])], "no text"),
        ([delta(tool_calls="x")], "not a list"),
        ([delta(tool_calls=["x"])], "not an object"),
        ([delta(tool_calls=[{"index": 0, "function": "x"}])], "not an object"),
    ],
)
def test_what_cannot_be_understood(events: list[ServerSentEvent], message: str) -> None:
    with pytest.raises(ProviderResponseError, match=message):
        run(*events)


@pytest.mark.parametrize("last", [[delta("stop")], [delta("stop"), DONE], [DONE]])
def test_either_end_mark_ends_an_answer(last: list[ServerSentEvent]) -> None:
    assert run(delta(content="a"), *last)[-1].done


def test_a_model_may_say_nothing() -> None:
    assert run(delta("stop"), DONE) == [
        StreamingChunk(
            done=True, finish_reason="stop", metadata={"provider": "openai", "model": "real", "id": "x"}
        )
    ]


@pytest.mark.parametrize(
    ("failing", "kind", "words"),
    [
        (event({"error": {"message": "boom", "type": "server_error"}}), ProviderUnavailableError, "boom"),
        (event({"error": "boom"}), ProviderError, "boom"),
        (ServerSentEvent(b'{"message": "boom"}', b"error"), ProviderError, "boom"),
        (ServerSentEvent(b"boom", b"error"), ProviderError, "boom"),
        (event({"error": {"message": "gone", "code": "model_not_found"}}), ModelNotFoundError, "gone"),
    ],
)
def test_a_failure_in_mid_stream(failing: ServerSentEvent, kind: type[Exception], words: str) -> None:
    parser = OpenAIStreamParser(model="m")
    assert parser.feed(delta(content="kept")) == StreamingChunk("kept")
    with pytest.raises(kind, match=words):
        parser.feed(failing)


def test_a_whole_answer() -> None:
    response = parse_response(
        {
            "id": "x",
            "model": "real",
            "choices": [
                {
                    "message": {
                        "content": "<think>hm</think>yes",
                        "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}],
                    },
                    "finish_reason": "tool_calls",
                }
            ],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2},
        },
        model="m",
    )
    assert (response.content, response.thinking, response.finish_reason) == ("yes", "hm", "tool_calls")
    assert response.tool_calls == [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    ]
    assert response.usage == Usage(1, 2)
    assert response.metadata == {"provider": "openai", "model": "real", "id": "x"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"choices": []},
        {"choices": ["x"]},
        {"choices": [{}]},
        {"choices": [{"message": {"content": 5}}]},
        {"choices": [{"message": {"tool_calls": "x"}}]},
        {"choices": [{"message": {"tool_calls": [{"function": "x"}]}}]},
    ],
)
def test_whole_answers_of_another_shape(body: dict[str, Any]) -> None:
    with pytest.raises(ProviderResponseError, match="another shape"):
        parse_response(body, model="m")


def test_an_error_as_a_whole_answer() -> None:
    with pytest.raises(ProviderError, match="boom"):
        parse_response({"error": {"message": "boom"}}, model="m")


@pytest.mark.parametrize("usage", [None, {}, [], {"prompt_tokens": "3"}, {"prompt_tokens": -1}])
def test_no_usage_is_none(usage: object) -> None:
    assert parse_usage(usage) is None


def test_models_with_their_context_where_it_is_told() -> None:
    models = parse_models(
        {
            "data": [
                {"id": "a"},
                {"id": "b", "max_model_len": 4096},
                {"id": "c", "meta": {"n_ctx_train": 2048}},
                {"id": "d", "context_length": 99},
                {"id": "e", "meta": {"n_ctx": 1024, "n_ctx_train": 2048}},
                {"no": "id"},
            ]
        }
    )
    assert [(model.name, model.context_length) for model in models] == [
        ("a", None),
        ("b", 4096),
        ("c", 2048),
        ("d", 99),
        ("e", 1024),
    ]
    with pytest.raises(ProviderResponseError):
        parse_models({"models": []})
