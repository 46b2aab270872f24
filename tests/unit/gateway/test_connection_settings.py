"""Settings of a connection: merged as RFC 7396 says, checked, and named in errors without their values."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.routes.connections import merge
from shared.errors import UnsupportedProviderError, ValidationError
from shared.schemas.connection import check_settings, origin, provider_type
from shared.schemas.controls import ProviderType


@pytest.mark.parametrize(
    ("stored", "patch", "merged"),
    [
        # The cases of RFC 7396, appendix A, whose target is an object.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge(stored: dict[str, Any], patch: dict[str, Any], merged: dict[str, Any]) -> None:
    assert merge(stored, patch) == merged


@pytest.mark.parametrize(
    ("provider", "settings", "field"),
    [
        ("ollama", {}, "settings.host"),
        ("ollama", {"host": "ftp://x"}, "settings.host"),
        ("ollama", {"host": "http://user:hunter2@x"}, "settings.host"),
        ("openai", {"base_url": "http://[::1"}, "settings.base_url"),
        ("openai", {"base_url": "http://x:port/v1"}, "settings.base_url"),
        ("openai", {"api_key": "  "}, "settings.api_key"),
        ("openai", {"api_key": "hunter2\r\nX-Evil: 1"}, "settings.api_key"),
        ("openai", {"api_key": "hunter2é"}, "settings.api_key"),
        ("openai", {"api_key": ["hunter2"]}, "settings.api_key"),
        ("openai", {"extra_headers": {"X Y": "hunter2"}}, "settings.extra_headers"),
        ("openai", {"extra_headers": {"X": "hunter2\nY: 1"}}, "settings.extra_headers"),
        ("openai", {"extra_headers": {"Host": "hunter2"}}, "settings.extra_headers"),
        ("openai", {"extra_headers": {"X": 7}}, "settings.extra_headers.X"),
        ("openai", {"apikey": "hunter2"}, "settings.apikey"),
        ("openai", {"host": "http://x"}, "settings.host"),
    ],
)
def test_faults_are_named_without_their_values(provider: str, settings: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as raised:
        check_settings(ProviderType(provider), settings)
    assert [fault["field"] for fault in raised.value.errors] == [field]
    assert "hunter2" not in str(raised.value.errors)
    assert "hunter2" not in raised.value.detail


def test_an_unknown_provider_is_told_which_there_are() -> None:
    with pytest.raises(UnsupportedProviderError, match="ollama, openai"):
        provider_type("anthropic-v0")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a/v1", "https://a/v2", True),
        ("https://a/v1", "https://a:443/v1", True),
        ("https://A/v1", "https://a/v1", True),
        ("https://a/v1", "http://a/v1", False),
        ("https://a/v1", "https://a:444/v1", False),
        ("https://a/v1", "https://a.evil/v1", False),
        ("parley:local", "https://a/v1", False),
    ],
)
def test_origin(one: str, other: str, same: bool) -> None:
    assert (origin(one) == origin(other)) is same
