"""Run one gateway process: ``python -m gateway --host 127.0.0.1 --port 8080``."""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import Sequence

from gateway.app import create_app
from gateway.server import make_server
from shared import garbage, tracing
from shared.logging import configure_logging
from shared.security.secrets import SecretKeyError
from shared.settings import SettingsError, get_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; the exit status of the process."""
    parser = argparse.ArgumentParser(prog="python -m gateway", description="Run one Parley gateway process.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on (default: %(default)s)")
    parser.add_argument("--fd", type=int, help="serve on this inherited listening socket instead")
    options = parser.parse_args(arguments)
    try:
        settings = get_settings()
        configure_logging(settings, service="gateway")
        tracing.start(settings, "gateway")
        app = create_app(settings)
    except (SettingsError, SecretKeyError) as error:
        print(f"parley gateway: {error}", file=sys.stderr)
        return 2
    garbage.settle()
    server = make_server(app, host=options.host, port=options.port)
    server.run(sockets=None if options.fd is None else [socket.socket(fileno=options.fd)])
    tracing.stop()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
