"""An address that processes listen on is checked where it is set."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from shared.listen_address import split_address
from shared.settings import Settings


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
        ("[::1]:9464", ("::1", 9464)),
        ("localhost:80", ("localhost", 80)),
    ],
)
def test_host_and_port(address: str, parts: tuple[str, int]) -> None:
    assert split_address(address) == parts


@pytest.mark.parametrize(
    "address",
    ["", "9464", ":9464", "::1:9464", "[::1]", "host", "host:", "host:x", "host:65536", "host:-1", "host:٣",
     "http://host:1", "a b:1", "u@host:1"],
)  # fmt: skip
def test_everything_else_is_refused_by_the_name_of_the_setting(address: str) -> None:
    with pytest.raises(ValidationError, match="metrics_listen"):
        Settings(metrics_listen=address)
