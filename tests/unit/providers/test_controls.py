"""A control that a provider has no form for is refused by name, never dropped."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import UnsupportedControlError
from shared.schemas.controls import ChatControls, ProviderType, check_controls
from shared.schemas.provider_settings import OPENAI_EXTRA_CONTROLS, OpenAISettings
from tests.unit.providers.requests import OLLAMA, OPENAI, TOOL

VALUES: dict[str, Any] = {
    "temperature": 1,
    "top_p": 1,
    "top_k": 5,
    "max_tokens": 5,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "repeat_penalty": 1,
    "seed": 1,
    "stop": ["x"],
    "num_ctx": 2048,
    "json_mode": "object",
    "thinking": True,
    "reasoning_effort": "low",
    "verbosity": "low",
    "tools": [TOOL],
}


def controls(**values: Any) -> ChatControls:
    return ChatControls.model_validate(values)


@pytest.mark.parametrize("name", VALUES)
def test_openai(name: str) -> None:
    chosen = controls(**{name: VALUES[name]})
    if name in {"top_k", "repeat_penalty", "num_ctx", "thinking"}:
        with pytest.raises(UnsupportedControlError, match=f"openai has no control '{name}'") as caught:
            check_controls(ProviderType.OPENAI, OPENAI, chosen)
        assert caught.value.errors[0]["field"] == f"chat_controls.{name}"
    else:
        check_controls(ProviderType.OPENAI, OPENAI, chosen)


@pytest.mark.parametrize("name", VALUES)
def test_ollama(name: str) -> None:
    chosen = controls(**{name: VALUES[name]})
    if name == "verbosity":
        with pytest.raises(UnsupportedControlError, match=f"ollama has no control '{name}'"):
            check_controls(ProviderType.OLLAMA, OLLAMA, chosen)
    else:
        check_controls(ProviderType.OLLAMA, OLLAMA, chosen)


def test_ollama_takes_no_tool_choice() -> None:
    with pytest.raises(UnsupportedControlError, match="tool_choice"):
        check_controls(ProviderType.OLLAMA, OLLAMA, controls(tools=[TOOL], tool_choice="auto"))


@pytest.mark.parametrize("name", sorted(OPENAI_EXTRA_CONTROLS))
def test_a_connection_may_name_what_its_server_takes(name: str) -> None:
    with pytest.raises(UnsupportedControlError, match=f"add '{name}' to extra_controls"):
        check_controls(ProviderType.OPENAI, OPENAI, controls(**{name: VALUES[name]}))
    chosen = OpenAISettings.model_validate({"extra_controls": [name]})
    check_controls(ProviderType.OPENAI, chosen, controls(**{name: VALUES[name]}))


@pytest.mark.parametrize(
    "values", [{"reasoning_effort": "minimal"}, {"reasoning_effort": "low", "thinking": False}]
)
def test_efforts_that_ollama_has_no_form_for(values: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedControlError, match="reasoning_effort"):
        check_controls(ProviderType.OLLAMA, OLLAMA, controls(**values))


def test_off_is_as_good_as_not_set() -> None:
    check_controls(ProviderType.OLLAMA, OLLAMA, controls(json_mode="off"))
