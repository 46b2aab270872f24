"""Which Redis it is: one server, or the master that Sentinels name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from shared.tls import TlsFiles

#: Where a Sentinel listens unless told otherwise.
SENTINEL_PORT = 26379

Address = tuple[str, int]

_HOST = re.compile(r"[\w.:%-]+")


def parse_address(text: str, default_port: int) -> Address:
    """``host``, ``host:port`` or ``[address]:port``.

    Raises:
        ValueError: it is none of them.
    """
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname or "", parts.port or default_port
    except ValueError:
        host, port = "", 0
    if not _HOST.fullmatch(host) or parts.netloc != text or parts.username is not None:
        raise ValueError(f"{text!r} is no address: write host or host:port")
    return host, port


@dataclass(frozen=True)
class RedisServer:
    """A Redis, with everything that connecting to it takes.

    Attributes:
        url: ``redis://``, ``rediss://`` or ``unix://``; with Sentinels its host and port say nothing.
        tls: for ``rediss://``, to the server and its Sentinels alike.
        check_hostname: whether the server's certificate must be of the name or address that was connected to.
        sentinels: where to ask for the master; empty: ``url`` leads to it.
        master: the name by which the Sentinels know it.
        sentinel_username, sentinel_password: for Sentinels that ask for them.
    """

    url: str = field(repr=False)
    tls: TlsFiles = field(default_factory=TlsFiles)
    check_hostname: bool = True
    sentinels: tuple[Address, ...] = ()
    master: str | None = None
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)

    @property
    def encrypted(self) -> bool:
        """Whether connections are under TLS."""
        return self.url.startswith("rediss://")

    def check(self) -> None:
        """Say what does not fit together, in the names of the variables.

        Raises:
            ValueError: something does not.
        """
        scheme, separator, _ = self.url.partition("://")
        if not separator or scheme not in ("redis", "rediss", "unix"):
            # Not what it begins with: that may be a password.
            raise ValueError("PARLEY_REDIS_URL takes a URL that begins with redis://, rediss:// or unix://")
        self.tls.check("PARLEY_REDIS_TLS")
        if self.tls and not self.encrypted:
            raise ValueError(
                f"PARLEY_REDIS_TLS_* are given, and PARLEY_REDIS_URL begins with {scheme}://, which is not "
                "encrypted: let it begin with rediss://"
            )
        if self.sentinels and not self.master:
            raise ValueError(
                "PARLEY_REDIS_SENTINEL_MASTER is missing: the name by which the Sentinels know the master"
            )
        if self.master and not self.sentinels:
            raise ValueError(
                "PARLEY_REDIS_SENTINELS is missing: the Sentinels' addresses, as host:port,host:port,…"
            )
        if self.sentinels and scheme == "unix":
            raise ValueError(
                "PARLEY_REDIS_URL is a socket's; with PARLEY_REDIS_SENTINELS write redis:// or rediss://"
            )

    def tls_options(self) -> dict[str, Any]:
        """The options of redis-py's TLS connections; none for an unencrypted server."""
        if not self.encrypted:
            return {}
        files = {
            "ssl_ca_certs": self.tls.authority,
            "ssl_certfile": self.tls.certificate,
            "ssl_keyfile": self.tls.key,
        }
        return {
            "ssl_cert_reqs": "required",
            "ssl_check_hostname": self.check_hostname,
            **{name: str(path) for name, path in files.items() if path is not None},
        }

    def sentinel_options(self) -> dict[str, Any]:
        """The options of redis-py's clients of the Sentinels, but for their addresses and time-outs."""
        options: dict[str, Any] = {
            "username": self.sentinel_username,
            "password": self.sentinel_password,
            **self.tls_options(),
        }
        return {name: value for name, value in options.items() if value is not None}

    def celery_url(self) -> str:
        """The same Redis, as Celery's transport spells it."""
        if self.url.startswith("unix://"):
            return "redis+socket://" + self.url.removeprefix("unix://")
        if not self.sentinels:
            return self.url
        parts = urlsplit(self.url)
        login = ""
        if parts.password is not None:
            name, password = (
                quote(unquote(part or ""), safe="") for part in (parts.username, parts.password)
            )
            login = f"{name}:{password}@"
        database = parts.path.strip("/") or "0"
        return ";".join(f"sentinel://{login}{_spell(one)}/{database}" for one in self.sentinels)


def _spell(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_addresses(texts: Sequence[str]) -> tuple[Address, ...]:
    """The addresses of Sentinels.

    Raises:
        ValueError: one of them is none.
    """
    return tuple(parse_address(text, SENTINEL_PORT) for text in texts)
