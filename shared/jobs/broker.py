"""How Celery reaches its broker: the Redis of everything else, another one, or RabbitMQ."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import urlsplit

from shared.broker_url import is_amqp
from shared.jobs import broker_transport
from shared.redis_server import RedisServer
from shared.settings import Settings

#: Seconds that a broker has to answer.
TIMEOUT = 5
#: Seconds after which a broker that does not answer is given up: one that was cut off without a word.
SILENCE = 5


def key_prefix(settings: Settings) -> str:
    """What the keys of Celery's Redis transport begin with."""
    return f"{settings.namespace}:celery:"


def broker_options(settings: Settings) -> dict[str, Any]:
    """Celery's settings for the broker, for producers and workers alike."""
    broker_transport.install()
    if settings.broker_url is None:
        return _redis(settings.redis, key_prefix(settings))
    if is_amqp(settings.broker_url):
        return _amqp(settings)
    return _redis(RedisServer(_plain(settings.broker_url), settings.broker_tls), key_prefix(settings))


def _plain(url: str) -> str:
    return url.replace("redis+socket://", "unix://", 1)


def _redis(server: RedisServer, prefix: str) -> dict[str, Any]:
    options: dict[str, Any] = {
        "socket_timeout": TIMEOUT,
        "socket_connect_timeout": TIMEOUT,
        "socket_keepalive": True,
        "health_check_interval": SILENCE,
        "global_keyprefix": prefix,
        # A channel for each exchange, by its name.
        "fanout_patterns": False,
    }
    if server.sentinels:
        options["master_name"] = server.master
        options["sentinel_kwargs"] = {
            "socket_timeout": TIMEOUT / len(server.sentinels),
            "socket_connect_timeout": TIMEOUT / len(server.sentinels),
            **({"ssl": True} if server.encrypted else {}),
            **server.sentinel_options(),
        }
    return {
        "broker_url": server.celery_url(),
        "broker_use_ssl": server.tls_options() or None,
        "broker_transport_options": options,
    }


def _amqp(settings: Settings) -> dict[str, Any]:
    url, tls = settings.broker_url or "", settings.broker_tls
    encryption: dict[str, Any] | None = None
    if url.startswith("amqps://"):
        files = {"ca_certs": tls.authority, "certfile": tls.certificate, "keyfile": tls.key}
        encryption = {
            "cert_reqs": ssl.CERT_REQUIRED,
            # Several brokers: whichever is connected to.
            "server_hostname": None if ";" in url else urlsplit(url).hostname,
            **{name: str(path) for name, path in files.items() if path is not None},
        }
    return {
        "broker_url": url,
        "broker_use_ssl": encryption,
        # A wake-up that the broker did not confirm was not sent.
        "broker_transport_options": {
            "confirm_publish": True,
            "read_timeout": TIMEOUT,
            "write_timeout": TIMEOUT,
        },
        "broker_heartbeat": 2 * SILENCE,
    }
