"""The gateway's address."""

from __future__ import annotations

import socket

import pytest

from deploy.local.errors import LocalStackError, PortTakenError
from deploy.local.listener import is_loopback, listen, reserve_port, url_of
from deploy.local.options import without_password


def test_a_port_that_is_taken_is_told_with_the_remedy() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(PortTakenError, match=rf"127\.0\.0\.1:{port}.*--port"):
            listen("127.0.0.1", port)
        with listen("127.0.0.1", port, any_port=True) as other:
            assert other.getsockname()[1] not in (0, port)


@pytest.mark.parametrize(("host", "alone"), [("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)])
def test_whether_others_reach_it_is_known(host: str, alone: bool) -> None:
    with listen(host, 0) as listener:
        assert is_loopback(listener) is alone


@pytest.mark.parametrize("host", ["203.0.113.7", "no.such.host.invalid"])
def test_an_address_that_is_not_ours_is_told(host: str) -> None:
    with pytest.raises(LocalStackError, match="--host"):
        listen(host, 0)


@pytest.mark.parametrize(
    ("bound", "reached"), [("127.0.0.1", "http://127.0.0.1:"), ("0.0.0.0", "http://127.0.0.1:")]
)
def test_the_url_is_one_that_this_machine_reaches(bound: str, reached: str) -> None:
    with listen(bound, 0) as listener:
        url = url_of(listener)
        assert url.startswith(reached)
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 1).close()


def test_a_reserved_port_is_free_for_the_server_that_knows_of_it() -> None:
    with reserve_port() as keeper, socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(keeper.getsockname())
        server.listen()
        socket.create_connection(keeper.getsockname(), 1).close()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@h:1/0", "redis://:***@h:1/0"),
        ("postgresql+psycopg://u:p@w@h/db?x=1", "postgresql+psycopg://u:***@h/db?x=1"),
        ("unix:///run/s.sock", "unix:///run/s.sock"),
        ("redis://h/0", "redis://h/0"),
    ],
)
def test_no_password_is_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown
