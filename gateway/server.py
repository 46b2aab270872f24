"""The HTTP server of one gateway process."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from gateway.protocol import BoundedHttpProtocol
from gateway.state import GatewayState

#: Open responses have this long to end after the process was told to stop, in seconds.
SHUTDOWN_GRACE = 8


class GatewayServer(uvicorn.Server):
    """A server that ends its streams before it waits for them, and ends cleanly when it is told to stop.

    A second interrupt does not wait for anybody.
    """

    def __init__(self, config: uvicorn.Config, state: GatewayState) -> None:
        super().__init__(config)
        self._state = state

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGINT and SIGTERM, while the server runs."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        stopped_by = (signal.SIGINT, signal.SIGTERM)
        for number in stopped_by:
            loop.add_signal_handler(number, self._stop, number)
        try:
            yield
        finally:
            for number in stopped_by:
                loop.remove_signal_handler(number)

    def _stop(self, number: signal.Signals) -> None:
        self._state.begin_shutdown()
        self.handle_exit(number, None)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop, whatever the reason: streams end first."""
        self._state.begin_shutdown()
        await super().shutdown(sockets)


def make_server(app: FastAPI, *, host: str, port: int) -> GatewayServer:
    """A server for ``app``; logs go where :func:`shared.logging.configure_logging` sends them."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=BoundedHttpProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_GRACE,
    )
    return GatewayServer(config, app.state.gateway)
