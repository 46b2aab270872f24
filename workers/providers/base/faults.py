"""What a provider answers when it fails, translated to Parley's errors without anything secret in them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import orjson

from shared import errors
from shared.errors import ProviderResponseError
from workers.providers.base.details import decode

#: Most characters of a provider's own words in a message.
MAX_WORDS = 500

_KEY = re.compile(r"\b(?:sk|pk|key|Bearer)[-_ ][A-Za-z0-9_\-*.]{6,}", re.IGNORECASE)
_ADDRESS = re.compile(
    r"https?://[^\s'\"<>)]+|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b|\b(?:localhost|[\w-]+(?:\.[\w-]+)*):\d{2,5}\b"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\s]+")

#: Statuses that say something of this very request.
INPUT_STATUSES = frozenset({400, 413, 422})

#: Statuses that are worth another try before the first token.
RETRIED_STATUSES = frozenset({429, 502, 503, 504})


def clean(words: str, secrets: Iterable[str] = ()) -> str:
    """A provider's own words, fit for a client: one line, capped, without keys and addresses."""
    for secret in secrets:
        if len(secret) >= 4:
            words = words.replace(secret, "[removed]")
    words = _KEY.sub("[removed]", words[: 4 * MAX_WORDS])
    words = _ADDRESS.sub("[address]", words)
    words = _CONTROL.sub(" ", words).strip()
    return words if len(words) <= MAX_WORDS else words[: MAX_WORDS - 1] + "…"


def words_of(body: object) -> tuple[str, str]:
    """``(message, code)`` of a decoded error body, in the shapes that servers use; empty when unknown."""
    if isinstance(body, list) and body:
        body = body[0]
    if isinstance(body, str):
        return body, ""
    if not isinstance(body, dict):
        return "", ""
    inner: Any = body.get("error", body)
    if isinstance(inner, str):
        return inner, _text(body.get("code"))
    if not isinstance(inner, dict):
        return "", ""
    message = inner.get("message") or inner.get("detail") or inner.get("msg") or inner.get("title") or ""
    if not isinstance(message, str):
        message = orjson.dumps(message, default=str).decode()
    return message, _text(inner.get("code")) or _text(inner.get("type"))


def status_error(
    status: int,
    body: bytes,
    *,
    model: str | None,
    secrets: Iterable[str] = (),
    retry_after: float | None = None,
) -> errors.ParleyError:
    """The error for an HTTP status that is not 2xx.

    Args:
        status: the HTTP status.
        body: what the provider said, cut at any length.
        model: the model that was asked for, when the call names one.
        secrets: texts that must not be repeated.
        retry_after: seconds that the provider asks to wait.
    """
    message, code = _decoded(body)
    words = clean(message, secrets)
    said = f": {words}" if words else ""
    if status in {401, 403}:
        return errors.ProviderAuthenticationError(f"the provider refused the key ({status}){said}")
    if 300 <= status < 400:
        return errors.ProviderRequestError(
            f"the provider redirects ({status}) and redirects are not followed; use the final address"
        )
    if model is not None and _means_no_model(status, message, code):
        return errors.ModelNotFoundError(f"the provider has no model {clean(model)!r}{said}")
    if status == 404:
        return errors.ProviderRequestError(
            f"the provider does not know this path (404); check the address of the connection{said}"
        )
    if status == 429:
        wait = f"; it asks to wait {retry_after:g} s" if retry_after else ""
        return errors.ProviderRateLimitedError(f"the provider limits the rate (429){wait}{said}")
    if status >= 500:
        return errors.ProviderUnavailableError(f"the provider failed ({status}){said}")
    kind = errors.ProviderInputError if status in INPUT_STATUSES else errors.ProviderRequestError
    return kind(f"the provider refused the request ({status}){said}")


def stream_error(body: object, *, model: str, secrets: Iterable[str] = ()) -> errors.ParleyError:
    """The error for a failure that the provider tells within an answer of status 200."""
    message, code = words_of(body)
    words = clean(message, secrets) or "it gave no reason"
    status = code if code.isdigit() else ""
    if code in {"rate_limit_exceeded", "rate_limit_error", "insufficient_quota"} or status == "429":
        return errors.ProviderRateLimitedError(f"the provider limits the rate: {words}")
    if code in {"invalid_api_key", "authentication_error"} or status in {"401", "403"}:
        return errors.ProviderAuthenticationError(f"the provider refused the key: {words}")
    if _means_no_model(int(status) if status else 200, message, code):
        return errors.ModelNotFoundError(f"the provider has no model {clean(model)!r}: {words}")
    if code in {"overloaded_error", "server_error"} or status.startswith("5"):
        return errors.ProviderUnavailableError(f"the provider failed: {words}")
    return errors.ProviderError(f"the provider broke off its answer: {words}")


def _means_no_model(status: int, message: str, code: str) -> bool:
    if code in {"model_not_found", "model_not_available"}:
        return True
    lowered = message.lower()
    if status == 404:
        return "model" in lowered
    return status < 500 and "model" in lowered and ("not found" in lowered or "does not exist" in lowered)


def _decoded(body: bytes) -> tuple[str, str]:
    if not body.strip():
        return "", ""
    try:
        return words_of(decode(body))
    except ProviderResponseError:
        return "", ""
    except orjson.JSONDecodeError:
        text = body.decode("utf-8", "replace")
        # A page of a proxy says nothing that helps.
        return ("", "") if text.lstrip().startswith("<") else (text, "")


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
