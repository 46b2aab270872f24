"""Whether an address answers, for a container's health check: ``python -m deploy.probe URL``.

It speaks HTTP by itself: the modules that could do so take longer to load than everything else takes, and it
starts every few seconds in every container.
"""

from __future__ import annotations

import socket
import sys

TIMEOUT = 4.0  # seconds
_OK = "200"


def probe(url: str) -> str | None:
    """Why a GET of ``url`` (``http://HOST:PORT/PATH``) is not answered with 200; None when it is."""
    scheme, _, rest = url.partition("://")
    address, _, path = rest.partition("/")
    host, _, port = address.rpartition(":")
    if scheme != "http" or not host or not port.isdecimal():
        return "not an address as in http://127.0.0.1:8642/health/ready"
    request = f"GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection((host.strip("[]"), int(port)), TIMEOUT) as connection:
            connection.sendall(request.encode())
            status = _status(connection)
    except OSError as error:
        return f"{type(error).__name__}: {error}"
    return None if status == _OK else f"HTTP {status}"


def _status(connection: socket.socket) -> str:
    """The status of the answer."""
    with connection.makefile("rb") as answer:
        words = answer.readline(1024).decode("latin-1").split()
    return words[1] if len(words) > 1 and words[0].startswith("HTTP/") else "without a status"


def main(arguments: list[str]) -> int:
    """0 when the address answers, 1 when not, 2 when there is none."""
    if len(arguments) != 1:
        print("usage: python -m deploy.probe URL", file=sys.stderr)
        return 2
    fault = probe(arguments[0])
    if fault is not None:
        print(f"{arguments[0]}: {fault}", file=sys.stderr)
    return 0 if fault is None else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
