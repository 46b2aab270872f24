"""Every control reaches OpenAI's API in OpenAI's own form."""

from __future__ import annotations

from typing import Any

import pytest

from shared.schemas.controls import SUPPORTED_CONTROLS, ChatControls, ProviderType
from shared.schemas.provider_settings import OPENAI_EXTRA_CONTROLS, OpenAISettings
from tests.unit.providers.requests import CALL, OPENAI, TOOL, chat_request
from workers.providers import ChatMessage
from workers.providers.openai.request_builder import build_message, build_payload

CLOSED = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}}
NESTED = {**CLOSED, "properties": {"a": OPEN}}


TITLED = {**OPEN, "title": "ballot_principle"}
ODDLY_TITLED = {**OPEN, "title": "Whose turn is it?"}


def schema_form(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, **more}}


CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"temperature": 0}, {"temperature": 0}),
    ({"top_p": 0.5}, {"top_p": 0.5}),
    ({"top_k": 40}, {"top_k": 40}),
    ({"max_tokens": 9}, {"max_tokens": 9}),
    ({"presence_penalty": -1}, {"presence_penalty": -1}),
    ({"frequency_penalty": 1}, {"frequency_penalty": 1}),
    ({"repeat_penalty": 1.1}, {"repeat_penalty": 1.1}),
    ({"seed": 0}, {"seed": 0}),
    ({"stop": ["x"]}, {"stop": ["x"]}),
    ({"json_mode": "off"}, {}),
    ({"json_mode": "object"}, {"response_format": {"type": "json_object"}}),
    ({"json_mode": CLOSED}, {"response_format": schema_form(CLOSED, strict=True)}),
    ({"json_mode": OPEN}, {"response_format": schema_form(OPEN)}),
    ({"json_mode": NESTED}, {"response_format": schema_form(NESTED)}),
    ({"json_mode": TITLED}, {"response_format": schema_form(TITLED, name="ballot_principle")}),
    ({"json_mode": ODDLY_TITLED}, {"response_format": schema_form(ODDLY_TITLED)}),
    ({"thinking": False}, {"chat_template_kwargs": {"enable_thinking": False}}),
    ({"reasoning_effort": "minimal"}, {"reasoning_effort": "minimal"}),
    ({"verbosity": "low"}, {"verbosity": "low"}),
    ({"tools": [TOOL]}, {"tools": [TOOL]}),
    ({"tools": [TOOL], "tool_choice": "required"}, {"tools": [TOOL], "tool_choice": "required"}),
    ({}, {}),
]


@pytest.mark.parametrize(("controls", "fields"), CASES)
def test_the_form_of_each_control(controls: dict[str, Any], fields: dict[str, Any]) -> None:
    payload = build_payload(chat_request(OPENAI, **controls), OPENAI, stream=False)
    assert payload == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": False,
        **fields,
    }


def test_every_control_has_a_case() -> None:
    possible = SUPPORTED_CONTROLS[ProviderType.OPENAI] | OPENAI_EXTRA_CONTROLS
    assert {name for controls, _ in CASES for name in controls} == possible
    assert possible | {"num_ctx"} == set(ChatControls.model_fields)


@pytest.mark.parametrize(
    ("settings", "controls", "field"),
    [
        ({"max_tokens_field": "max_completion_tokens"}, {"max_tokens": 5}, "max_completion_tokens"),
        ({"repeat_penalty_field": "repetition_penalty"}, {"repeat_penalty": 1.2}, "repetition_penalty"),
    ],
)
def test_fields_that_servers_name_differently(
    settings: dict[str, Any], controls: dict[str, Any], field: str
) -> None:
    chosen = OpenAISettings.model_validate({"base_url": "http://127.0.0.1/v1", **settings})
    payload = build_payload(chat_request(chosen, **controls), chosen, stream=False)
    assert payload[field] == next(iter(controls.values()))
    assert not set(controls) & set(payload)


@pytest.mark.parametrize(
    ("stream", "usage", "sent"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_usage_is_asked_for_in_streams(stream: bool, usage: bool, sent: bool) -> None:
    payload = build_payload(chat_request(OPENAI), OPENAI, stream=stream, usage=usage)
    assert payload["stream"] is stream
    assert payload.get("stream_options") == ({"include_usage": True} if sent else None)


@pytest.mark.parametrize(
    ("message", "built"),
    [
        (ChatMessage(role="system", content="s"), {"role": "system", "content": "s"}),
        (
            ChatMessage(role="assistant", tool_calls=[CALL]),
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
        ),
        (
            ChatMessage(role="assistant", content="c", tool_calls=[CALL]),
            {"role": "assistant", "content": "c", "tool_calls": [CALL]},
        ),
        (
            ChatMessage(role="tool", content="sunny", tool_call_id="c1"),
            {"role": "tool", "content": "sunny", "tool_call_id": "c1"},
        ),
    ],
)
def test_messages(message: ChatMessage, built: dict[str, Any]) -> None:
    assert build_message(message) == built
