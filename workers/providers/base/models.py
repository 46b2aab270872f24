"""The values of a provider call, the same for every provider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from shared.schemas.controls import ChatControls
from shared.schemas.provider_settings import ProviderSettings
from shared.schemas.tool_calls import ToolCall
from workers.providers.base.timeouts import CallTimeouts

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatMessage:
    """One message of the prompt. A ``tool`` message answers the call named by ``tool_call_id``."""

    role: Role
    content: str = ""
    tool_calls: Sequence[ToolCall] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """One call to a model.

    Attributes:
        settings: how the provider is reached; holds the key.
        timeouts: seconds, all of them set.
    """

    messages: Sequence[ChatMessage]
    model: str
    settings: ProviderSettings
    timeouts: CallTimeouts
    controls: ChatControls = field(default_factory=ChatControls)


class Usage(NamedTuple):
    """Tokens of a call as the provider counted them; ``None`` where it did not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    #: Part of ``output_tokens`` that was thinking.
    reasoning_tokens: int | None = None


class StreamingChunk(NamedTuple):
    """A piece of a streamed answer. The last one has ``done`` and carries no text.

    A named tuple because one is made for every token: half the cost of a frozen dataclass.

    Attributes:
        content: text of the answer.
        thinking: text of the model's thinking.
        tool_calls: deltas in OpenAI's form: ``index``, with the first also ``id``, ``type`` and
            ``function.name``, then pieces of ``function.arguments``; :class:`ToolCallMerger` joins them.
        finish_reason: on the last chunk: ``stop``, ``length``, ``tool_calls``, …
        usage: on the last chunk, when the provider counts.
        metadata: on the last chunk: ``provider``, ``model`` and what else the provider told of the call.
    """

    content: str = ""
    thinking: str = ""
    tool_calls: list[dict[str, Any]] | None = None
    done: bool = False
    finish_reason: str | None = None
    usage: Usage | None = None
    metadata: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatResponse:
    """A whole answer; its attributes mean what those of :class:`StreamingChunk` mean."""

    content: str
    thinking: str = ""
    tool_calls: Sequence[ToolCall] = ()
    finish_reason: str | None = None
    usage: Usage | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """A model that a provider offers.

    Attributes:
        name: what ``ChatRequest.model`` takes.
        size: bytes on the provider's disk or in its memory, where it says so.
        context_length: tokens, where it says so.
        details: what else the provider tells, in its own terms.
    """

    name: str
    size: int | None = None
    context_length: int | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionReport:
    """What a test of a connection found; ``models`` is ``None`` when the provider does not list them."""

    version: str | None = None
    models: Sequence[str] | None = None
    response_time: float = 0.0


class PullProgress(NamedTuple):
    """A step of a model's download; ``total`` and ``completed`` are bytes of the layer ``digest``."""

    status: str
    digest: str | None = None
    total: int | None = None
    completed: int | None = None
    done: bool = False
