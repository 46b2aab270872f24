"""What network policies let through, as Kubernetes defines it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]
NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Endpoint:
    """A pod, or an address outside the cluster.

    Attributes:
        namespace: where the pod is; None: it is none.
        labels: of the pod.
        address: by which ``ipBlock`` judges.
        ports: its named ports.
    """

    namespace: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    address: str = "10.1.0.9"
    ports: dict[str, int] = field(default_factory=dict)


def allows(
    policies: list[Object], home: str, source: Endpoint, target: Endpoint, port: int, protocol: str = "TCP"
) -> bool:
    """Whether the policies of the namespace ``home`` let ``source`` connect to a port of ``target``."""
    return _side(policies, home, "Egress", source, target, target, port, protocol) and _side(
        policies, home, "Ingress", target, source, target, port, protocol
    )


def _side(
    policies: list[Object],
    home: str,
    side: str,
    subject: Endpoint,
    peer: Endpoint,
    target: Endpoint,
    port: int,
    protocol: str,
) -> bool:
    chosen = [
        policy["spec"]
        for policy in policies
        if subject.namespace == home
        and side in policy["spec"]["policyTypes"]
        and _selects(policy["spec"]["podSelector"], subject.labels)
    ]
    if not chosen:
        return True
    peers = "to" if side == "Egress" else "from"
    return any(
        (not rule.get(peers) or any(_is(one, peer, home) for one in rule[peers]))
        and (not rule.get("ports") or any(_fits(one, target, port, protocol) for one in rule["ports"]))
        for spec in chosen
        for rule in spec.get(side.lower(), [])
    )


def _is(one: Object, peer: Endpoint, home: str) -> bool:
    if block := one.get("ipBlock"):
        address = ipaddress.ip_address(peer.address)
        inside = _within(address, block["cidr"])
        return inside and not any(_within(address, part) for part in block.get("except", []))
    if peer.namespace is None:
        return False
    if "namespaceSelector" in one:
        in_namespace = _selects(one["namespaceSelector"], {NAME: peer.namespace})
    else:
        in_namespace = peer.namespace == home
    return in_namespace and _selects(one.get("podSelector", {}), peer.labels)


def _within(address: ipaddress.IPv4Address | ipaddress.IPv6Address, network: str) -> bool:
    parsed = ipaddress.ip_network(network)
    return address.version == parsed.version and address in parsed


def _fits(one: Object, target: Endpoint, port: int, protocol: str) -> bool:
    wanted = one.get("port")
    if isinstance(wanted, str):
        wanted = target.ports.get(wanted)
        if wanted is None:
            return False
    return one.get("protocol", "TCP") == protocol and wanted in (None, port)


def _selects(selector: Object, labels: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}, "only labels are used here"
    return bool(selector.get("matchLabels", {}).items() <= labels.items())
