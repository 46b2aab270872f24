"""Whether an address answers, for a container's health check: ``python -m deploy.probe URL``.

It imports little, because it starts every few seconds in every container.
"""

from __future__ import annotations

import http.client
import sys
from urllib.parse import urlsplit

TIMEOUT = 4.0  # seconds


def probe(url: str) -> str | None:
    """Why a GET of ``url`` is not answered with 200; None when it is."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        return "not an http:// address"
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT)
    try:
        connection.request("GET", parts.path or "/")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()
    return None if status == http.client.OK else f"HTTP {status}"


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
