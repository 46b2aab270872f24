"""Settings that could not be sent are refused by field, and never echo a key."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import UnsupportedProviderError, ValidationError
from tests.unit.providers.requests import OLLAMA, OPENAI
from workers.providers import BaseProviderService, ProviderFactory, ProviderType
from workers.providers.testing import ScriptedProvider

URL = {"base_url": "http://127.0.0.1/v1"}
SECRET = "sk-very-secret"


def openai() -> BaseProviderService:
    return ScriptedProvider(provider_type=ProviderType.OPENAI)


def ollama() -> BaseProviderService:
    return ScriptedProvider(provider_type=ProviderType.OLLAMA)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"base_url": "ftp://host"}, "base_url"),
        ({"base_url": "http://user:pw@host"}, "base_url"),
        ({"base_url": "nothing"}, "base_url"),
        ({"base_url": "http://host:99999"}, "base_url"),
        ({**URL, "api_key": f"{SECRET}\nX-Other: 1"}, "api_key"),
        ({**URL, "api_key": f"{SECRET} {SECRET}"}, "api_key"),
        ({**URL, "api_key": ""}, "api_key"),
        ({**URL, "api_key": f"{SECRET}é"}, "api_key"),
        ({**URL, "extra_headers": {"X-A": "a\r\nb"}}, "extra_headers"),
        ({**URL, "extra_headers": {"X A": "a"}}, "extra_headers"),
        ({**URL, "extra_headers": {"Host": "a"}}, "extra_headers"),
        ({**URL, "extra_headers": {"content-length": "1"}}, "extra_headers"),
        ({**URL, "organization": "a\nb"}, "organization"),
        ({**URL, "project": "é"}, "project"),
        ({**URL, "extra_controls": ["num_ctx"]}, "extra_controls"),
        ({**URL, "unknown": 1}, "unknown"),
    ],
)
def test_the_field_is_named(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        openai().validate_settings(settings)
    assert [error["field"] for error in caught.value.errors] == [f"provider_settings.{field}"]
    assert SECRET not in str(caught.value) + str(caught.value.errors)


@pytest.mark.parametrize(
    "settings", [{}, {"host": ""}, {"host": "parley:local"}, {"host": "127.0.0.1:11434"}]
)
def test_ollama_needs_a_host(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        ollama().validate_settings(settings)
    assert caught.value.errors[0]["field"] == "provider_settings.host"


def test_good_settings_pass() -> None:
    assert openai().validate_settings(
        {"base_url": "https://h/v1/", "api_key": "k", "extra_headers": {"X-Title": "a b"}, "project": "p"}
    )
    assert openai().validate_settings({"base_url": "parley:local"})
    assert ollama().validate_settings(OLLAMA)


def test_settings_of_the_other_provider_are_refused() -> None:
    with pytest.raises(ValidationError, match="not settings of the provider ollama"):
        ollama().validate_settings(OPENAI)


def test_an_unknown_provider_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnsupportedProviderError, match=r"no provider 'mistral'; known are ollama, openai"):
        ProviderFactory.create_provider("mistral", None)  # type: ignore[arg-type]
