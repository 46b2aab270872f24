"""Sockets to providers: opened to no address that the rules of outbound calls refuse.

The addresses that a host's name resolves to are looked at between the look-up and the connecting, and nothing
looks the name up again in between: a name that changes its address meanwhile (DNS rebinding) gains nothing.
A literal address is not looked up, so that each socket is looked at once more when it is made.
"""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from shared.security.addresses import Address, plain_host
from shared.security.outbound import OutboundRules


class AddressRefusedError(OSError):
    """A host leads nowhere but to addresses that are not connected to."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "the address is refused")


class GuardedConnector(aiohttp.TCPConnector):
    """A connection pool under ``rules``. Calls under other rules need a pool of their own: an open connection
    is used again without another look.

    Args:
        rules: where its connections may lead.
        resolver: looks names up; stays its maker's to close.
        options: of :class:`aiohttp.TCPConnector`.
    """

    def __init__(self, rules: OutboundRules, resolver: AbstractResolver, **options: Any) -> None:
        guard = _Guard(rules, resolver)
        super().__init__(resolver=guard, socket_factory=guard.open, **options)


class _Guard(AbstractResolver):
    def __init__(self, rules: OutboundRules, resolver: AbstractResolver) -> None:
        self._rules = rules
        self._resolver = resolver
        #: What the names that the operator lists resolved to last.
        self._listed: dict[str, frozenset[Address]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of ``host`` that may be connected to.

        Raises:
            AddressRefusedError: there are only others.
            OSError: there are none.
        """
        found = await self._resolver.resolve(host, port, family)
        if self._rules.lists(host, port):
            self._listed[plain_host(host)] = frozenset(_address(one["host"]) for one in found)
            return found
        if not self._rules.let_host(host, port):
            raise AddressRefusedError
        kept = [one for one in found if self._rules.let(_address(one["host"]), port)]
        if found and not kept:
            raise AddressRefusedError
        return kept

    def open(self, wanted: tuple[Any, ...]) -> socket.socket:
        """A socket for an address, as ``getaddrinfo`` gives it.

        Raises:
            AddressRefusedError: it is not to be connected to.
        """
        family, kind, protocol, _, (host, port, *_rest) = wanted
        address = _address(host)
        if not self._rules.let(address, port) and not any(
            address in addresses and self._rules.lists(name, port) for name, addresses in self._listed.items()
        ):
            raise AddressRefusedError
        return socket.socket(family, kind, protocol)

    async def close(self) -> None:
        """Nothing is held: the resolver is its maker's to close."""


def _address(host: str) -> Address:
    return ip_address(host.partition("%")[0])


def was_refused(error: BaseException) -> bool:
    """Whether a failure to connect was a refusal of the address."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(getattr(cause, "os_error", None), AddressRefusedError):
            return True
        cause = cause.__cause__
    return False
