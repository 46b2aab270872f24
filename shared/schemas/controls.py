"""Chat controls: how a model is asked to answer, in Parley's own terms."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, model_validator

from shared.errors import UnsupportedControlError
from shared.schemas.base import Wire
from shared.schemas.provider_settings import OPENAI_EXTRA_CONTROLS, ProviderSettings


class ProviderType(StrEnum):
    """The kinds of provider that Parley speaks to."""

    #: Ollama's native API.
    OLLAMA = "ollama"
    #: OpenAI chat completions, and every server that speaks them.
    OPENAI = "openai"


class ChatControls(Wire):
    """Settings of one call. ``None`` leaves the choice to the provider.

    Each control that is set reaches the provider in the provider's own form, or the request is refused
    with ``unsupported_control`` naming it: none is dropped silently.
    """

    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    top_k: int | None = Field(None, ge=1, le=1000)
    max_tokens: int | None = Field(None, ge=1, le=1_000_000)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    repeat_penalty: float | None = Field(None, ge=0, le=2)
    seed: int | None = Field(None, ge=0, le=2**63 - 1)
    stop: list[str] | None = Field(None, max_length=16)
    num_ctx: int | None = Field(None, ge=128, le=10_000_000)
    json_mode: Literal["off", "object"] | dict[str, Any] | None = None
    thinking: bool | None = None
    reasoning_effort: Literal["minimal", "low", "medium", "high"] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    tools: list[dict[str, Any]] | None = Field(None, max_length=128)
    tool_choice: Literal["auto", "none", "required"] | dict[str, Any] | None = None

    @model_validator(mode="after")
    def _tool_choice_needs_tools(self) -> ChatControls:
        if self.tool_choice is not None and not self.tools:
            raise ValueError("tool_choice needs tools")
        return self

    def chosen(self) -> dict[str, Any]:
        """The controls that were set, by name; ``json_mode: off`` counts as not set."""
        chosen = self.model_dump(exclude_none=True)
        if chosen.get("json_mode") == "off":
            del chosen["json_mode"]
        return chosen


#: The controls that each provider has a form for.
SUPPORTED_CONTROLS: dict[ProviderType, frozenset[str]] = {
    ProviderType.OLLAMA: frozenset(ChatControls.model_fields) - {"verbosity", "tool_choice"},
    ProviderType.OPENAI: frozenset(ChatControls.model_fields)
    - {"top_k", "repeat_penalty", "num_ctx", "thinking"},
}


def check_controls(provider: ProviderType, settings: ProviderSettings, controls: ChatControls) -> None:
    """Refuse the first control that ``provider``, reached with ``settings``, has no form for.

    Raises:
        UnsupportedControlError: names the control, the provider and the remedy.
    """
    supported = SUPPORTED_CONTROLS[provider]
    extra = frozenset(getattr(settings, "extra_controls", ()))
    for name in controls.chosen():
        if name in supported or name in extra:
            continue
        remedy = f"leave chat_controls.{name} out"
        if provider is ProviderType.OPENAI and name in OPENAI_EXTRA_CONTROLS:
            remedy += f", or, if this server takes it, add {name!r} to extra_controls of its settings"
        raise _unsupported(name, f"the provider {provider} has no control {name!r}; {remedy}")
    if provider is ProviderType.OLLAMA and controls.reasoning_effort is not None:
        if controls.reasoning_effort == "minimal":
            raise _unsupported(
                "reasoning_effort",
                "the provider ollama has no reasoning_effort 'minimal'; use 'low', or thinking: false",
            )
        if controls.thinking is False:
            raise _unsupported(
                "reasoning_effort",
                "the provider ollama has no reasoning_effort without thinking; leave one of the two out",
            )


def _unsupported(name: str, detail: str) -> UnsupportedControlError:
    return UnsupportedControlError(detail, errors=[{"field": f"chat_controls.{name}", "message": detail}])
