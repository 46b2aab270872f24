"""Every control reaches Ollama in Ollama's own form."""

from __future__ import annotations

from typing import Any

import pytest

from shared.schemas.controls import SUPPORTED_CONTROLS, ProviderType
from shared.schemas.provider_settings import OllamaSettings
from tests.unit.providers.requests import CALL, OLLAMA, TOOL, chat_request
from workers.providers import ChatMessage
from workers.providers.ollama.request_builder import build_payload

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}

CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"temperature": 0}, {"options": {"temperature": 0}}),
    ({"top_p": 0.5}, {"options": {"top_p": 0.5}}),
    ({"top_k": 40}, {"options": {"top_k": 40}}),
    ({"max_tokens": 9}, {"options": {"num_predict": 9}}),
    ({"presence_penalty": -1}, {"options": {"presence_penalty": -1}}),
    ({"frequency_penalty": 1}, {"options": {"frequency_penalty": 1}}),
    ({"repeat_penalty": 1.1}, {"options": {"repeat_penalty": 1.1}}),
    ({"seed": 0}, {"options": {"seed": 0}}),
    ({"stop": ["x", "y"]}, {"options": {"stop": ["x", "y"]}}),
    ({"num_ctx": 4096}, {"options": {"num_ctx": 4096}}),
    ({"json_mode": "off"}, {}),
    ({"json_mode": "object"}, {"format": "json"}),
    ({"json_mode": SCHEMA}, {"format": SCHEMA}),
    ({"thinking": True}, {"think": True}),
    ({"thinking": False}, {"think": False}),
    ({"reasoning_effort": "low"}, {"think": "low"}),
    ({"thinking": True, "reasoning_effort": "high"}, {"think": "high"}),
    ({"tools": [TOOL]}, {"tools": [TOOL]}),
    ({}, {}),
]


@pytest.mark.parametrize(("controls", "fields"), CASES)
@pytest.mark.parametrize("stream", [True, False])
def test_the_form_of_each_control(controls: dict[str, Any], fields: dict[str, Any], stream: bool) -> None:
    payload = build_payload(chat_request(OLLAMA, **controls), OLLAMA, stream=stream)
    assert payload == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": stream,
        **fields,
    }


def test_every_control_has_a_case() -> None:
    assert {name for controls, _ in CASES for name in controls} == SUPPORTED_CONTROLS[ProviderType.OLLAMA]


@pytest.mark.parametrize("keep_alive", ["5m", -1, 0])
def test_how_long_the_model_stays_is_passed_on(keep_alive: str | int) -> None:
    settings = OllamaSettings.model_validate({"host": "http://127.0.0.1:11434", "keep_alive": keep_alive})
    assert build_payload(chat_request(settings), settings, stream=True)["keep_alive"] == keep_alive


def test_tool_calls_and_their_answers() -> None:
    messages = [
        ChatMessage(role="assistant", tool_calls=[CALL]),
        ChatMessage(role="tool", content="sunny", tool_call_id="c1"),
    ]
    assert build_payload(chat_request(OLLAMA, messages), OLLAMA, stream=True)["messages"] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "function": {"name": "weather", "arguments": {"city": "Paris"}}}],
        },
        {"role": "tool", "content": "sunny", "tool_call_id": "c1", "tool_name": "weather"},
    ]


@pytest.mark.parametrize(
    ("text", "arguments"),
    [("", {}), ("{}", {}), ("[1]", {"arguments": "[1]"}), ("{bad", {"arguments": "{bad"})],
)
def test_arguments_are_always_an_object(text: str, arguments: dict[str, Any]) -> None:
    call: Any = {"id": "c", "type": "function", "function": {"name": "f", "arguments": text}}
    messages = [ChatMessage(role="assistant", tool_calls=[call])]
    built = build_payload(chat_request(OLLAMA, messages), OLLAMA, stream=True)["messages"][0]
    assert built["tool_calls"][0]["function"]["arguments"] == arguments
