"""Which brokers there are, by the beginning of their URLs."""

from __future__ import annotations

from urllib.parse import urlsplit

from shared.tls import TlsFiles

#: RabbitMQ, and whatever else speaks AMQP 0.9.1.
AMQP = ("amqp", "amqps")
_REDIS = ("redis", "rediss", "unix", "redis+socket")
#: Those whose connections are encrypted.
_ENCRYPTED = ("amqps", "rediss")


def scheme_of(url: str) -> str:
    """What the URL of a broker begins with; empty when it is no URL."""
    scheme, separator, _ = url.partition("://")
    return scheme if separator else ""


def is_amqp(url: str) -> bool:
    """Whether the broker speaks AMQP."""
    return scheme_of(url) in AMQP


def check_broker(url: str | None, tls: TlsFiles) -> None:
    """Say what is wrong with a broker of its own, in the names of the variables.

    Raises:
        ValueError: something is.
    """
    tls.check("PARLEY_BROKER_TLS")
    if url is None:
        if tls:
            raise ValueError("PARLEY_BROKER_TLS_* are given without PARLEY_BROKER_URL: whose are they?")
        return
    scheme = scheme_of(url)
    if scheme not in (*AMQP, *_REDIS):
        # Not what it begins with: that may be a password.
        raise ValueError(
            "PARLEY_BROKER_URL takes a URL that begins with amqp://, amqps://, redis://, rediss:// or unix://"
        )
    if tls and scheme not in _ENCRYPTED:
        raise ValueError(
            f"PARLEY_BROKER_TLS_* are given, and PARLEY_BROKER_URL begins with {scheme}://, which is not "
            "encrypted: let it begin with amqps:// or rediss://"
        )


def check_management(api: str, broker: str | None) -> None:
    """Say what is wrong with the address of RabbitMQ's management interface, which may hold a password.

    Raises:
        ValueError: something is.
    """
    name = "PARLEY_FLOWER_BROKER_API"
    if broker is None or not is_amqp(broker):
        raise ValueError(f"{name} is given, and PARLEY_BROKER_URL names no RabbitMQ: only that has one")
    try:
        parts = urlsplit(api)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid or parts.query or parts.fragment:
        raise ValueError(
            f"{name} takes the address of RabbitMQ's management interface: https://user:password@host:15671, "
            "with special characters of user and password encoded"
        )
    if parts.scheme == "http" and parts.username is None and scheme_of(broker) == "amqps":
        raise ValueError(
            f"{name} begins with http:// and names no user: the password of PARLEY_BROKER_URL, which is "
            "encrypted there, would go in clear text. Let it begin with https://, or name a user who may "
            "only look"
        )
