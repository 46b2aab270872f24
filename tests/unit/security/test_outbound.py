"""Where a call may go is decided in one place."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from shared.errors import OutboundAddressError
from shared.schemas.provider_settings import LOCAL_MODEL_URL
from shared.security.outbound import resolve_target
from shared.settings import Settings

PLAIN = Settings(local_model_url=None)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "https://api.example.org/v1", "http://[::1]:80/v1"])
def test_an_http_address_stands_for_itself(url: str) -> None:
    target = resolve_target(url + "/", PLAIN)
    assert (target.url, target.key) == (url, None)


def test_the_local_model_is_looked_up_with_its_key() -> None:
    settings = Settings(local_model_url="http://127.0.0.1:9/v1", local_model_key=SecretStr("k"))
    target = resolve_target(LOCAL_MODEL_URL, settings)
    assert target.url == "http://127.0.0.1:9/v1"
    assert target.host == "127.0.0.1:9"
    assert target.key is not None
    assert target.key.get_secret_value() == "k"


def test_without_a_local_model_the_remedy_is_said() -> None:
    with pytest.raises(OutboundAddressError, match="PARLEY_LOCAL_MODEL_URL"):
        resolve_target(LOCAL_MODEL_URL, PLAIN)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "file:///etc/passwd",
        "ftp://host/x",
        "gopher://host",
        "http://",
        "http://a b/",
        "http://host\n.example",
        "http://host:port",
        "http://host:99999",
        "http://user:pw@host",
        "http://host/?x=1",
        "parley:other",
    ],
)
def test_what_is_no_http_address_is_refused(url: str) -> None:
    with pytest.raises(OutboundAddressError) as caught:
        resolve_target(url, PLAIN)
    assert "pw" not in caught.value.detail
