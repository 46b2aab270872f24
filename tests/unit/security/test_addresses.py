"""What an address is, is seen through all of its forms."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.security.addresses import Place, place_of, place_of_host, spelled_address

OPEN = ["1.1.1.1", "8.8.8.8", "172.32.0.1", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::1"]
PRIVATE = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fec0::1",
    "fc00::1",
    "fdab::1",
    "ff02::1",
    "100::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:c0a8:101::1",
    "2001:0:808:808::1",
    "2606:4700::5efe:10.0.0.1",
]
METADATA = [
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "fd00:ec2::254",
    "fd20:ce::254",
    "::ffff:169.254.169.254",
    "::a9fe:a9fe",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "2001:0:a9fe:a9fe::1",
    "2606:4700::200:5efe:a9fe:a9fe",
]
#: Of 127.0.0.1, as systems' resolvers take it.
SPELLINGS = [
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7F.1",
    "017700000001",
    "0177.0.0.1",
    "0x7f.0x0.0x0.0x1",
    "１２７.０.０.１",
    "127。0。0。1",
]


@pytest.mark.parametrize(
    ("place", "address"),
    [(place, one) for place, all_ in zip(Place, (OPEN, PRIVATE, METADATA), strict=True) for one in all_],
)
def test_each_range_is_known(place: Place, address: str) -> None:
    assert place_of(ip_address(address)) is place
    assert place_of_host(f"[{address}]" if ":" in address else address) is place


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_odd_spelling_is_the_address_that_it_spells(spelling: str) -> None:
    assert spelled_address(spelling) == IPv4Address("127.0.0.1")
    assert place_of_host(spelling) is Place.PRIVATE


@pytest.mark.parametrize("spelling", ["fe80::1%eth0", "[FE80::1%25eth0]", "fe80:0::1"])
def test_a_zone_is_no_disguise(spelling: str) -> None:
    assert spelled_address(spelling) == IPv6Address("fe80::1")


@pytest.mark.parametrize("name", ["example.org", "a1.b2", "10.0.0.1.example.org", "localhost.example.org"])
def test_other_names_say_nothing(name: str) -> None:
    assert spelled_address(name) is None
    assert place_of_host(name) is Place.OPEN


@given(st.ip_addresses(v=4))
def test_an_address_within_another_counts_as_itself(address: IPv4Address) -> None:
    place = place_of(address)
    four = int(address)
    for wrapped in (0xFFFF << 32 | four, 0x64FF9B << 96 | four, 0x2002 << 112 | four << 80 | 1):
        assert place_of(IPv6Address(wrapped)) is place
    for uncertain in (four | 0x2606 << 112 | 0x5EFE << 32, 0x64FF9B0001 << 80 | four):
        assert place_of(IPv6Address(uncertain)) >= place


@given(st.ip_addresses())
def test_nothing_that_python_knows_as_private_is_open(address: IPv4Address | IPv6Address) -> None:
    if place_of(address) is Place.OPEN and not (
        isinstance(address, IPv6Address) and (address.sixtofour or str(address).startswith("64:ff9b:"))
    ):
        assert address.is_global
        assert not address.is_multicast
