"""OpenAI's chat completions on the wire: what is understood, what is refused, what is ignored.

https://platform.openai.com/docs/api-reference/chat/create

Fields that nobody knows are ignored, and named in a warning. A field that OpenAI has, that Parley has not and
that would change the answer is refused by name: an answer that looks right and is not would be worse.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator
from pydantic import ValidationError as PydanticValidationError
from pydantic_core.core_schema import ValidationInfo

from shared.errors import ValidationError
from shared.schemas.connection import field_errors
from shared.schemas.controls import ChatControls

#: What a control of ours is called there.
FIELD_OF_CONTROL = {"json_mode": "response_format"}
#: Fields without a meaning for the answer, so that nobody is warned that they are ignored.
_BOOKKEEPING = frozenset(
    {
        "metadata",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "user",
    }
)
_BOOKKEEPING_OF_MESSAGE = frozenset({"annotations", "reasoning", "reasoning_content", "refusal"})
_FIELD_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Lenient(BaseModel):
    """A body under ``/v1``: fields that are not known are kept aside."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())


def _kind_of(*kinds: tuple[str, type]) -> Callable[[Any], str | None]:
    """Which branch of a union a value belongs to, so that a fault is told of that one only."""

    def choose(value: Any) -> str | None:
        return next((tag for tag, kind in kinds if isinstance(value, kind)), None)

    return choose


class ContentPart(Lenient):
    """A part of a message's content; only text is understood."""

    type: str
    text: str = ""

    @field_validator("type")
    @classmethod
    def _is_text(cls, value: str) -> str:
        if value not in {"text", "refusal"}:
            raise ValueError(f"{value[:50]!r} is not supported; only text is")
        return value

    @property
    def said(self) -> str:
        """Its text."""
        return str((self.model_extra or {}).get("refusal", "")) if self.type == "refusal" else self.text


# A tag with a bracket is no part of the path that a fault is told under.
Content = Annotated[
    Annotated[str, Tag("[text]")] | Annotated[list[ContentPart], Tag("[parts]")],
    Discriminator(
        _kind_of(("[text]", str), ("[parts]", list)),
        custom_error_type="content",
        custom_error_message="must be a string, or a list of text parts",
    ),
]


class CalledFunction(Lenient):
    """The function of a tool call; ``arguments`` is the text of a JSON object."""

    name: str = Field(min_length=1, max_length=200)
    arguments: str = ""


class CalledTool(Lenient):
    """A tool call of an earlier answer."""

    id: str = Field(max_length=200)
    type: Literal["function"] = "function"
    function: CalledFunction


class ChatMessage(Lenient):
    """A message of the request. ``developer`` is another word for ``system``."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Content | None = None
    tool_calls: list[CalledTool] | None = Field(None, max_length=128)
    tool_call_id: str | None = Field(None, max_length=200)
    audio: Any = None
    function_call: Any = None

    @field_validator("audio", "function_call")
    @classmethod
    def _is_refused(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None:
            remedy = "send tool_calls instead" if info.field_name == "function_call" else "only text is"
            raise ValueError(f"is not supported; {remedy}")
        return value

    @model_validator(mode="after")
    def _says_something(self) -> ChatMessage:
        if self.role == "tool" and self.tool_call_id is None:
            raise ValueError("a message of role tool needs tool_call_id")
        if self.tool_calls and self.role != "assistant":
            raise ValueError("only a message of role assistant has tool_calls")
        if self.content is None and not self.tool_calls:
            raise ValueError("content is missing")
        return self

    @property
    def text(self) -> str:
        """Its content as one string; several parts stand on lines of their own."""
        if isinstance(self.content, list):
            return "\n".join(part.said for part in self.content)
        return self.content or ""

    def stored(self) -> dict[str, Any]:
        """The message as jobs and conversations keep it."""
        stored: dict[str, Any] = {
            "role": "system" if self.role == "developer" else self.role,
            "content": self.text,
        }
        if self.tool_calls:
            stored["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.function.name, "arguments": call.function.arguments},
                }
                for call in self.tool_calls
            ]
        if self.role == "tool":
            stored["tool_call_id"] = self.tool_call_id
        return stored


class ToolFunction(Lenient):
    """A function that the model may call."""

    name: str = Field(min_length=1, max_length=200)


class Tool(Lenient):
    """A tool that the model may call."""

    type: Literal["function"]
    function: ToolFunction


class StreamOptions(Lenient):
    """How a stream is told."""

    include_usage: bool | None = None


class ChatCompletionRequest(Lenient):
    """``POST /v1/chat/completions``."""

    model: str = Field(min_length=1, max_length=700)
    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    store: bool | None = None

    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: (
        Annotated[
            Annotated[str, Tag("[one]")] | Annotated[list[str], Tag("[many]")],
            Discriminator(
                _kind_of(("[one]", str), ("[many]", list)),
                custom_error_type="stop",
                custom_error_message="must be a string, or a list of strings",
            ),
        ]
        | None
    ) = None
    response_format: dict[str, Any] | None = None
    tools: list[Tool] | None = Field(None, max_length=128)
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None

    n: int | None = None
    logprobs: Any = None
    top_logprobs: Any = None
    logit_bias: Any = None
    modalities: Any = None
    audio: Any = None
    functions: Any = None
    function_call: Any = None
    web_search_options: Any = None

    @field_validator("n")
    @classmethod
    def _one_choice(cls, value: int | None) -> int | None:
        if value not in {None, 1}:
            raise ValueError("only 1 is supported; send the request several times")
        return value

    @field_validator("modalities")
    @classmethod
    def _only_text(cls, value: Any) -> Any:
        if value not in (None, ["text"]):
            raise ValueError("only ['text'] is supported")
        return value

    @field_validator(
        "logprobs",
        "top_logprobs",
        "logit_bias",
        "audio",
        "functions",
        "function_call",
        "web_search_options",
    )
    @classmethod
    def _is_refused(cls, value: Any, info: ValidationInfo) -> Any:
        if value in (None, False, {}, []) or (info.field_name == "top_logprobs" and value == 0):
            return value
        remedy = {"functions": "send tools", "function_call": "send tool_choice"}
        raise ValueError(f"is not supported; {remedy.get(info.field_name or '', 'leave it out')}")

    @field_validator("tool_choice")
    @classmethod
    def _choice_is_known(cls, value: Any) -> Any:
        named = isinstance(value, dict) and value.get("type") == "function"
        if value not in (None, "auto", "none", "required") and not named:
            raise ValueError("must be 'auto', 'none', 'required', or {type: 'function', function: {name}}")
        return value

    @field_validator("parallel_tool_calls")
    @classmethod
    def _calls_are_parallel(cls, value: bool | None, info: ValidationInfo) -> bool | None:
        if value is False and info.data.get("tools"):
            raise ValueError("false is not supported; leave it out, and take the first call of an answer")
        return value

    @field_validator("response_format")
    @classmethod
    def _format_is_known(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        kind = None if value is None else value.get("type")
        if value is not None and kind not in {"text", "json_object", "json_schema"}:
            raise ValueError("type must be 'text', 'json_object' or 'json_schema'")
        if value is not None and kind == "json_schema":
            given = value.get("json_schema")
            if not isinstance(given, dict) or not isinstance(given.get("schema"), dict):
                raise ValueError("json_schema.schema must be a JSON schema")
        return value

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with a chunk that tells the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def controls(self) -> ChatControls:
        """How the model is asked to answer, in Parley's own terms.

        Raises:
            ValidationError: a value is out of its range; it is named as OpenAI names it.
        """
        limit = "max_tokens" if self.max_completion_tokens is None else "max_completion_tokens"
        tools = [tool.model_dump(exclude_unset=True) for tool in self.tools or ()]
        values = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": getattr(self, limit),
            "presence_penalty": self.presence_penalty,
            "frequency_penalty": self.frequency_penalty,
            "seed": self.seed,
            "stop": [self.stop] if isinstance(self.stop, str) else self.stop or None,
            "json_mode": _json_mode(self.response_format),
            "reasoning_effort": self.reasoning_effort,
            "verbosity": self.verbosity,
            "tools": tools or None,
            # Without tools there is nothing to choose.
            "tool_choice": self.tool_choice if tools else None,
        }
        try:
            return ChatControls.model_validate(values)
        except PydanticValidationError as error:
            names = {**FIELD_OF_CONTROL, "max_tokens": limit}
            faults = [
                {**fault, "field": names.get(fault["field"], fault["field"])} for fault in field_errors(error)
            ]
            raise ValidationError("The request is not valid", errors=faults) from None

    def ignored(self) -> list[str]:
        """Names of fields that were sent and have no effect, at most 20."""
        found = list(_unknown(self, "", _BOOKKEEPING))
        for index, message in enumerate(self.messages):
            found += _unknown(message, f"messages.{index}.", _BOOKKEEPING_OF_MESSAGE)
            if len(found) >= 20:
                break
        return found[:20]


def _unknown(body: Lenient, prefix: str, known: frozenset[str]) -> Iterator[str]:
    for name in body.model_extra or {}:
        if name not in known and _FIELD_NAME.fullmatch(name):
            yield prefix + name


def _json_mode(wanted: dict[str, Any] | None) -> str | dict[str, Any] | None:
    if wanted is None or wanted["type"] == "text":
        return None
    if wanted["type"] == "json_object":
        return "object"
    schema: dict[str, Any] = wanted["json_schema"]["schema"]
    return schema
