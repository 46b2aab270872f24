"""Which brokers there are, by the beginning of their URLs."""

from __future__ import annotations

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
