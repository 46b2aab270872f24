"""Provider connections on the wire: secrets go in and never come out."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pydantic import ValidationError as PydanticValidationError

from shared.errors import UnsupportedProviderError, ValidationError
from shared.schemas.base import Wire
from shared.schemas.controls import ProviderType
from shared.schemas.provider_settings import (
    OllamaSettings,
    OpenAISettings,
    ProviderSettings,
    ProviderTimeouts,
)
from shared.schemas.text import JsonObject, Name

SETTINGS: dict[ProviderType, type[OllamaSettings] | type[OpenAISettings]] = {
    ProviderType.OLLAMA: OllamaSettings,
    ProviderType.OPENAI: OpenAISettings,
}
#: The setting that holds the provider's address.
ADDRESS_FIELD = {ProviderType.OLLAMA: "host", ProviderType.OPENAI: "base_url"}
#: Settings that are stored encrypted and never answered. Headers may hold tokens.
SECRET_FIELDS = frozenset({"api_key", "extra_headers"})


def _connection_name(value: str) -> str:
    if "/" in value:
        raise ValueError("must not contain '/', which separates connection and model under /v1")
    if value.lower().startswith("persona:"):
        raise ValueError("must not begin with 'persona:', which names personas under /v1")
    return value


ConnectionName = Annotated[Name, Field(max_length=100), AfterValidator(_connection_name)]
ContextLength = Annotated[int, Field(ge=256, le=10_000_000)]
MaxInFlight = Annotated[int, Field(ge=1, le=100_000)]
Price = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class Prices(Wire):
    """What a million tokens cost, in whatever currency the owner counts."""

    input: Price
    output: Price


class ConnectionCreate(Wire):
    """``POST /api/connections``; an owner's first connection is the default unless it says otherwise."""

    name: ConnectionName
    provider: str = Field(max_length=50)
    settings: JsonObject
    is_default: bool | None = None
    timeouts: ProviderTimeouts = Field(default_factory=ProviderTimeouts)
    context_length: ContextLength | None = None
    max_in_flight: MaxInFlight | None = None
    prices: Prices | None = None


class ConnectionUpdate(Wire):
    """``PATCH /api/connections/{id}``: merged as RFC 7396 says (``null`` removes), also in ``settings``."""

    name: ConnectionName = Field(default="", validate_default=False)
    settings: JsonObject = Field(default_factory=dict)
    is_default: bool = False
    timeouts: JsonObject = Field(default_factory=dict)
    context_length: ContextLength | None = None
    max_in_flight: MaxInFlight | None = None
    prices: Prices | None = None


class ConnectionOut(Wire):
    """A connection without its secrets: whether a key is set, and the names of the extra headers.

    ``secrets_readable`` is false when the secrets were stored under another key of this installation: send
    ``settings.api_key`` again.
    """

    id: uuid.UUID
    name: str
    provider: str
    settings: dict[str, Any]
    api_key_set: bool
    secrets_readable: bool
    extra_header_names: list[str]
    is_default: bool
    timeouts: ProviderTimeouts
    context_length: int | None
    max_in_flight: int | None
    prices: Prices | None
    created_at: datetime
    updated_at: datetime


def provider_type(provider: str) -> ProviderType:
    """The provider of that name.

    Raises:
        UnsupportedProviderError: there is none.
    """
    try:
        return ProviderType(provider)
    except ValueError as error:
        known = ", ".join(ProviderType)
        raise UnsupportedProviderError(
            f"this provider is not supported; supported are: {known}",
            errors=[{"field": "provider", "message": f"must be one of: {known}"}],
        ) from error


def check_settings(provider: ProviderType, settings: Mapping[str, Any]) -> ProviderSettings:
    """The settings of a provider, validated.

    Raises:
        ValidationError: names the setting (``settings.host``), never its value.
    """
    try:
        return SETTINGS[provider].model_validate(dict(settings))
    except PydanticValidationError as error:
        raise ValidationError(
            "the settings of the provider are not valid", errors=field_errors(error, "settings")
        ) from None


def origin(address: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of an address: who receives a key that is sent there."""
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def field_errors(error: PydanticValidationError, prefix: str = "") -> list[dict[str, Any]]:
    """The faults that a validation found, each ``{field, message}``, without the input."""
    return [
        {
            "field": field_path(fault["loc"], prefix),
            "message": fault["msg"].removeprefix("Value error, "),
        }
        for fault in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def field_path(loc: tuple[int | str, ...], prefix: str = "") -> str:
    """The path to a field, without the parts that name a branch of a union."""
    parts = [str(part) for part in loc if not (isinstance(part, str) and ("[" in part or part in _BRANCHES))]
    return ".".join([prefix, *parts] if prefix else parts)


_BRANCHES = frozenset({"str", "int", "float", "bool"})
