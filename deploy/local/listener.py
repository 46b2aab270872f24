"""The gateway's listening socket: the supervisor holds it, and a gateway started again finds it open."""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address

from deploy.local.errors import LocalStackError, PortTakenError

_BACKLOG = 2048


def listen(host: str, port: int, *, any_port: bool = False, option: str = "--port") -> socket.socket:
    """A listening socket on the address; port 0 picks a free one. ``option`` is what chooses the port.

    Raises:
        PortTakenError: another program listens there, and ``any_port`` is not set.
        LocalStackError: this machine has no such address, or the port is not ours to take.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            if any_port:
                return listen(host, 0)
            raise PortTakenError(
                f"Another program listens on {host}:{port}. Choose another port with {option} "
                "(0 picks a free one)."
            ) from error
        raise LocalStackError(
            f"Cannot listen on {host}:{port}: {error.strerror}. "
            f"Choose another address with --host and {option}."
        ) from error


def url_of(listener: socket.socket) -> str:
    """The URL by which this machine reaches the socket."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(listener: socket.socket) -> bool:
    """Whether only this machine reaches the socket."""
    return ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def reserve_port() -> socket.socket:
    """A free port of 127.0.0.1, kept for a server that binds it with ``SO_REUSEPORT``; hold the socket."""
    keeper = socket.socket()
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    keeper.bind(("127.0.0.1", 0))
    return keeper
