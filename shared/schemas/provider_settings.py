"""How a provider is reached: the settings of a connection, or of one request that brings its own."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, field_validator

from shared.schemas.base import Wire
from shared.schemas.text import ModelName

#: Controls that some OpenAI-compatible servers take although OpenAI does not; a connection names those its
#: server takes in ``settings.extra_controls``.
OPENAI_EXTRA_CONTROLS = frozenset({"top_k", "repeat_penalty", "thinking"})
#: ``base_url`` of the model that ``parley up`` starts on this machine; the address behind it changes with
#: every start, so the outbound client looks it up in the settings of its process.
LOCAL_MODEL_URL = "parley:local"
#: Headers that belong to the connection itself.
_RESERVED_HEADERS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")


def _sendable_headers(value: dict[str, str]) -> dict[str, str]:
    if len(value) > 32:
        raise ValueError("at most 32 headers")
    for name, content in value.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name[:100]!r} is not the name of a header")
        if name.lower() in _RESERVED_HEADERS:
            raise ValueError(f"the header {name!r} cannot be set")
        if len(content) > 8192 or not _is_header_text(content):
            raise ValueError(f"the header {name!r} may hold up to 8192 printable ASCII characters")
    return value


def _sendable_key(value: SecretStr | None) -> SecretStr | None:
    # What is wrong with a key is said without the key.
    if value is not None:
        key = value.get_secret_value()
        if not key or len(key) > 8192 or not _is_header_text(key) or " " in key:
            raise ValueError("must be printable ASCII without spaces, at most 8192 characters")
    return value


def _sendable_text(value: str | None) -> str | None:
    if value is not None and not _is_header_text(value):
        raise ValueError("must be printable ASCII")
    return value


def _is_header_text(value: str) -> bool:
    return value.isascii() and value.isprintable()


Headers = Annotated[dict[str, str], AfterValidator(_sendable_headers)]
Key = Annotated[SecretStr | None, AfterValidator(_sendable_key)]
HeaderText = Annotated[str | None, Field(max_length=200), AfterValidator(_sendable_text)]


class OllamaSettings(Wire):
    """An Ollama server.

    ``host`` is its base URL (``http://127.0.0.1:11434``), ``keep_alive`` how long it keeps the model in
    memory (Ollama's own form, for example ``"5m"`` or ``-1``).
    """

    host: str = Field(min_length=1, max_length=2048)
    model: ModelName | None = None
    api_key: Key = None
    keep_alive: str | int | None = None
    extra_headers: Headers = Field(default_factory=dict)

    @field_validator("host")
    @classmethod
    def _is_http(cls, value: str) -> str:
        return http_url(value)


class OpenAISettings(Wire):
    """A server that speaks OpenAI chat completions; ``base_url`` ends before ``/chat/completions``."""

    base_url: str = Field("https://api.openai.com/v1", min_length=1, max_length=2048)
    model: ModelName | None = None
    api_key: Key = None
    organization: HeaderText = None
    project: HeaderText = None
    extra_headers: Headers = Field(default_factory=dict)
    extra_controls: list[str] = Field(default_factory=list)
    #: Name of the field that carries ``max_tokens``; newer OpenAI models want ``max_completion_tokens``.
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    #: Name of the field that carries ``repeat_penalty``, where ``extra_controls`` names it: llama.cpp and
    #: LM Studio say ``repeat_penalty``, vLLM says ``repetition_penalty``.
    repeat_penalty_field: Literal["repeat_penalty", "repetition_penalty"] = "repeat_penalty"

    @field_validator("base_url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        return value if value == LOCAL_MODEL_URL else http_url(value)

    @field_validator("extra_controls")
    @classmethod
    def _are_known(cls, value: list[str]) -> list[str]:
        unknown = sorted(set(value) - OPENAI_EXTRA_CONTROLS)
        if unknown:
            raise ValueError(
                f"unknown control {unknown[0]!r}; known are {', '.join(sorted(OPENAI_EXTRA_CONTROLS))}"
            )
        return value


ProviderSettings = OllamaSettings | OpenAISettings


class ProviderTimeouts(Wire):
    """Seconds that a call may take; ``None`` takes the default of the settings."""

    connect: float | None = Field(None, gt=0, le=3600)
    first_token: float | None = Field(None, gt=0, le=86_400)
    between_tokens: float | None = Field(None, gt=0, le=86_400)
    total: float | None = Field(None, gt=0, le=86_400)


def http_url(value: str) -> str:
    """``value`` without a trailing slash, when it is an HTTP address without a user or a fragment in it."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as error:
        raise ValueError("is not an address") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an http:// or https:// address")
    if parts.username or parts.password:
        raise ValueError("must not hold a user or password; use api_key or extra_headers")
    if parts.fragment or parts.query:
        raise ValueError("must not hold a query or a fragment")
    return value.rstrip("/")
