"""The health check of containers: 0 for an address that answers, 1 with the reason for one that does not."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from deploy import probe


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health/ready" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Answers) as made:
        thread = Thread(target=made.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()
        thread.join()


def test_an_address_that_answers_is_healthy(server: str) -> None:
    assert probe.probe(f"{server}/health/ready") is None
    assert probe.main([f"{server}/health/ready"]) == 0


def test_another_answer_is_told(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert probe.main([f"{server}/health/other"]) == 1
    assert "HTTP 503" in capsys.readouterr().err


def test_what_is_no_http_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"-ERR unknown command\r\n")

        thread = Thread(target=answer)
        thread.start()
        assert probe.main([f"http://127.0.0.1:{port}/"]) == 1
        thread.join()
    assert "without a status" in capsys.readouterr().err


def test_silence_is_not_waited_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert probe.main([f"http://127.0.0.1:{listening.getsockname()[1]}/"]) == 1
    assert "TimeoutError" in capsys.readouterr().err


def test_an_address_where_nobody_listens_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert probe.main(["http://127.0.0.1:1/"]) == 1
    assert "ConnectionRefusedError" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["https://127.0.0.1/", "file:///etc/passwd", "127.0.0.1:80"])
def test_only_http_addresses_are_probed(url: str) -> None:
    assert probe.main([url]) == 1


def test_it_wants_one_address() -> None:
    assert probe.main([]) == 2


def test_it_loads_nothing_that_takes_long() -> None:
    """It starts every few seconds in every container."""
    heavy = {"shared", "pydantic", "http", "ssl", "email", "urllib", "asyncio"}
    asked = "import sys; import deploy.probe; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-S", "-c", asked], capture_output=True, text=True, check=True)
    assert not heavy & set(done.stdout.split())
