"""What an address is: one of the open network, one of a network of somebody's own, or a cloud's metadata.

IPv4 addresses hide in IPv6 ones (mapped, 6to4, NAT64, Teredo, ISATAP) and in odd spellings (``127.1``,
``0x7f000001``, ``2130706433``); each counts as what it leads to. A translation prefix of a network's own
(RFC 6052, section 2.2) cannot be told from any other open address.
"""

from __future__ import annotations

import socket
import unicodedata
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address


class Place(IntEnum):
    """Where an address leads; the higher, the fewer may go there."""

    #: The open network.
    OPEN = 0
    #: Loopback, a private or local network, or a range that is reserved for something else.
    PRIVATE = 1
    #: What a cloud tells its machines, keys among it. All of IPv4's link-local range counts as that: each
    #: cloud has chosen its own addresses there.
    METADATA = 2


_METADATA_V4 = [
    IPv4Network(network)
    for network in ("169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32")
]
_METADATA_V6 = [
    IPv6Network(network)
    for network in ("fd00:ec2::/32", "fd20:ce::254/128", "fd00:c1::a9fe:a9fe/128", "fd00:42::42/128")
]
#: IANA's special-purpose registries, multicast, and what is reserved.
_RESERVED_V4 = [
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    )
]
_GLOBAL_V6 = IPv6Network("2000::/3")
_RESERVED_V6 = [IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "3fff::/20")]
_NAT64 = IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = IPv6Network("::/96")

#: Names under which clouds serve their metadata.
METADATA_NAMES = frozenset(
    {
        "instance-data",
        "instance-data.ec2.internal",
        "metadata",
        "metadata.azure.internal",
        "metadata.goog",
        "metadata.google.internal",
        "metadata.tencentyun.com",
    }
)


def place_of(address: Address) -> Place:
    """Where ``address`` leads, whatever form it has."""
    if isinstance(address, IPv4Address):
        if any(address in network for network in _METADATA_V4):
            return Place.METADATA
        return Place.PRIVATE if any(address in network for network in _RESERVED_V4) else Place.OPEN
    if address.ipv4_mapped is not None:
        return place_of(address.ipv4_mapped)
    if address.sixtofour is not None:
        return place_of(address.sixtofour)
    if address in _NAT64:
        return place_of(_last_four(address))
    if any(address in network for network in _METADATA_V6):
        return Place.METADATA
    is_open = address in _GLOBAL_V6 and not any(address in network for network in _RESERVED_V6)
    own = Place.OPEN if is_open else Place.PRIVATE
    return max([own, *map(place_of, _embedded(address))])


def place_of_host(host: str) -> Place:
    """What is known of a host by its spelling alone; a name that says nothing is ``OPEN``."""
    address = spelled_address(host)
    if address is not None:
        return place_of(address)
    name = plain_host(host)
    if name in METADATA_NAMES:
        return Place.METADATA
    # RFC 6761, section 6.3: such names are loopback.
    return Place.PRIVATE if name == "localhost" or name.endswith(".localhost") else Place.OPEN


def spelled_address(host: str) -> Address | None:
    """The address that ``host`` spells, in any form that a system's resolver takes; ``None`` for a name."""
    host = plain_host(host)
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError, ValueError):
        return None


def plain_host(host: str) -> str:
    """``host`` without brackets and a final dot, in small letters and with ASCII's digits and dots."""
    host = unicodedata.normalize("NFKC", host).replace("\u3002", ".").lower()
    return host.removeprefix("[").removesuffix("]").rstrip(".")


@dataclass(frozen=True, slots=True)
class Allowed:
    """A destination that the operator lists: a network, or a host by its name, with one port or all.

    Attributes:
        network: ``None`` for a name.
        name: empty for a network.
        port: ``None``: any.
    """

    network: IPv4Network | IPv6Network | None
    name: str
    port: int | None

    @classmethod
    def parse(cls, entry: str) -> Allowed:
        """Read ``host``, ``host:port``, an address, ``[address]:port``, or a network in CIDR form.

        Raises:
            ValueError: it is none of these.
        """
        host, port = entry.strip(), None
        if "/" not in host and (host.startswith("[") or host.count(":") == 1):
            host, colon, digits = host.rpartition(":") if not host.endswith("]") else (host, "", "")
            if colon and not (digits.isascii() and digits.isdigit() and 0 < int(digits) < 65536):
                raise ValueError(f"{entry!r} has no port from 1 to 65535 behind its colon")
            port = int(digits) if colon else None
        host = plain_host(host)
        try:
            return cls(ip_network(host), "", port)
        except ValueError as error:
            if "/" in host or ":" in host or not host.replace("-", "a").replace(".", "a").isalnum():
                raise ValueError(
                    f"{entry!r} is no host, host:port or network such as 10.1.0.0/16 ({error})"
                ) from None
            if spelled_address(host) is not None:
                raise ValueError(f"{entry!r} is an address: write it as four decimal numbers") from None
        return cls(None, host, port)

    def names(self, host: str, port: int) -> bool:
        """Whether it lists ``host`` by this name."""
        return self.network is None and self.port in (None, port) and self.name == plain_host(host)

    def covers(self, address: Address, port: int) -> bool:
        """Whether it lists ``address``; IPv4's mapped form is the address itself."""
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return self.network is not None and self.port in (None, port) and address in self.network


def _embedded(address: IPv6Address) -> list[IPv4Address]:
    """IPv4 addresses that an IPv6 address, which is not one of them itself, may lead to."""
    found = list(address.teredo or ())
    isatap = int(address) >> 32 & 0xFDFFFFFF == 0x00005EFE
    if isatap or address in _COMPATIBLE or address in _LOCAL_NAT64:
        found.append(_last_four(address))
    return found


def _last_four(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFFFFFF)
