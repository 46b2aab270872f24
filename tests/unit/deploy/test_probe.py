"""The health check of containers: 0 for an address that answers, 1 with the reason for one that does not."""

from __future__ import annotations

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


def test_an_address_where_nobody_listens_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert probe.main(["http://127.0.0.1:1/"]) == 1
    assert "ConnectionRefusedError" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["https://127.0.0.1/", "file:///etc/passwd", "127.0.0.1:80"])
def test_only_http_addresses_are_probed(url: str) -> None:
    assert probe.main([url]) == 1


def test_it_wants_one_address() -> None:
    assert probe.main([]) == 2


def test_it_loads_nothing_of_parley() -> None:
    """It starts every few seconds in every container."""
    asked = (
        "import sys; import deploy.probe; "
        "print([name for name in sys.modules if name.startswith(('shared', 'pydantic', 'celery'))])"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
