"""A provider's failure becomes a typed error with its words, without its secrets."""

from __future__ import annotations

import orjson
import pytest

from shared import errors
from workers.providers.base.faults import MAX_WORDS, clean, status_error, stream_error, words_of


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (400, {"error": {"message": "bad thing"}}, errors.ProviderInputError, "bad thing"),
        (401, {"error": {"message": "no key"}}, errors.ProviderAuthenticationError, "no key"),
        (403, {"error": "forbidden"}, errors.ProviderAuthenticationError, "forbidden"),
        (404, {"error": "model 'm' not found"}, errors.ModelNotFoundError, "no model 'm'"),
        (404, {"error": {"message": "x", "code": "model_not_found"}}, errors.ModelNotFoundError, "no model"),
        (400, {"error": {"message": "x", "code": "model_not_found"}}, errors.ModelNotFoundError, "no model"),
        (404, {"detail": "Not Found"}, errors.ProviderRequestError, "check the address"),
        (404, "", errors.ProviderRequestError, "check the address"),
        (422, {"detail": [{"msg": "wrong"}]}, errors.ProviderInputError, "wrong"),
        (429, {"error": {"message": "slow down"}}, errors.ProviderRateLimitedError, "slow down"),
        (500, {"error": {"message": "oops"}}, errors.ProviderUnavailableError, "oops"),
        (502, "<html>bad gateway</html>", errors.ProviderUnavailableError, "failed (502)"),
        (503, "plain words", errors.ProviderUnavailableError, "plain words"),
        (
            529,
            {"error": {"type": "overloaded_error", "message": "x"}},
            errors.ProviderUnavailableError,
            "529",
        ),
        (307, "", errors.ProviderRequestError, "redirects"),
        (418, [{"error": {"message": "teapot"}}], errors.ProviderRequestError, "teapot"),
    ],
)
def test_statuses(status: int, body: object, kind: type[errors.ParleyError], words: str) -> None:
    data = body.encode() if isinstance(body, str) else orjson.dumps(body)
    error = status_error(status, data, model="m")
    assert type(error) is kind
    assert words in error.detail


def test_without_a_model_in_the_call_a_404_is_about_the_path() -> None:
    error = status_error(404, b'{"error": "no model route"}', model=None)
    assert type(error) is errors.ProviderRequestError


def test_the_wait_that_a_provider_asks_for_is_told() -> None:
    assert "wait 7 s" in status_error(429, b"", model=None, retry_after=7.0).detail


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": "crashed"}, errors.ProviderError),
        ({"error": {"message": "m", "code": "rate_limit_exceeded"}}, errors.ProviderRateLimitedError),
        ({"error": {"message": "m", "code": 429}}, errors.ProviderRateLimitedError),
        ({"error": {"message": "m", "code": 502}}, errors.ProviderUnavailableError),
        ({"error": {"message": "m", "type": "server_error"}}, errors.ProviderUnavailableError),
        ({"error": {"message": "m", "type": "authentication_error"}}, errors.ProviderAuthenticationError),
        ({"error": "model 'm' not found"}, errors.ModelNotFoundError),
        ({"message": "bare"}, errors.ProviderError),
        ("text", errors.ProviderError),
        (None, errors.ProviderError),
    ],
)
def test_failures_within_a_stream(body: object, kind: type[errors.ParleyError]) -> None:
    assert type(stream_error(body, model="m")) is kind


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("Incorrect API key provided: sk-abcdefgh12345678.", "sk-"),
        ("Incorrect API key provided: sk-ab***78xyz", "sk-"),
        ("Authorization: Bearer abcdefgh12345", "abcdefgh"),
        ("dial tcp 10.1.2.3:8080: refused", "10.1.2.3"),
        ("see http://inner.example/path?x=1 for more", "inner"),
        ("upstream model-7.cluster.local:9000 died", "cluster"),
        ("localhost:11434 says no", "11434"),
        ("key is my own secret", "my own secret"),
    ],
)
def test_no_key_and_no_address_is_repeated(said: str, left: str) -> None:
    for error in (
        status_error(400, orjson.dumps({"error": {"message": said}}), model="m", secrets=("my own secret",)),
        stream_error({"error": said}, model="m", secrets=("my own secret",)),
    ):
        assert left not in error.detail


def test_words_are_one_capped_line() -> None:
    assert clean("a\r\n\tb\x00c") == "a b c"
    assert len(clean("x " * 10_000)) == MAX_WORDS


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "m", "code": "c"}}, ("m", "c")),
        ({"error": {"message": "m", "type": "t", "code": None}}, ("m", "t")),
        ({"error": "m"}, ("m", "")),
        ({"detail": "m"}, ("m", "")),
        ({"error": 5}, ("", "")),
        ([], ("", "")),
        (7, ("", "")),
    ],
)
def test_the_shapes_of_errors(body: object, words: tuple[str, str]) -> None:
    assert words_of(body) == words
