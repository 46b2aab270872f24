"""``host:port`` as a setting."""

from __future__ import annotations


def split_address(address: str) -> tuple[str, int]:
    """``(host, port)`` of ``host:port``; an IPv6 host stands in brackets.

    Raises:
        ValueError: it is something else.
    """
    host, colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    bare = host[1:-1] if bracketed else host
    if not colon or not bare or (":" in bare) != bracketed or any(one in bare for one in "/@ "):
        raise ValueError("must be host:port, as 127.0.0.1:9464, 0.0.0.0:9464 or [::1]:9464")
    if not (port.isascii() and port.isdecimal() and int(port) <= 65535):
        raise ValueError("must end with a port between 0 and 65535")
    return bare, int(port)
