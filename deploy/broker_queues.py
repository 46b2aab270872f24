"""Lengths of queues in RabbitMQ, as Flower shows them: asked of its management interface, if named."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from shared.broker_url import is_amqp
from shared.settings import Settings

log = logging.getLogger(__name__)

#: Seconds that the management interface has to answer.
TIMEOUT = 2.0
#: What Flower shows of a queue.
_COLUMNS = "name,messages,messages_ready,messages_unacknowledged,consumers,idle_since"


class UnavailableError(Exception):
    """There are no lengths; the message says why, for operators to read."""


def handlers(settings: Settings) -> list[tuple[str, type]]:
    """Pages that go before Flower's own where the broker speaks AMQP. Of other brokers it knows the queues.

    Flower by itself asks by HTTP, with the broker's password, at a port that nobody named.
    """
    if not is_amqp(settings.broker_url or ""):
        return []
    from flower.api.tasks import GetQueueLengths
    from flower.views.broker import BrokerView
    from tornado.web import authenticated

    class Page(BrokerView):  # type: ignore[misc]
        """The broker's page."""

        @authenticated
        async def get(self) -> None:
            """The queues, or why they are not shown."""
            broker, queues = self.application.broker_uri, []
            try:
                queues = await ask(settings, self.get_active_queue_names())
            except UnavailableError as why:
                broker = f"{broker}: {why}"
            self.render("broker.html", broker_url=broker, queues=queues)

    class Lengths(GetQueueLengths):  # type: ignore[misc]
        """The same, for programs."""

        @authenticated
        async def get(self) -> None:
            """The queues, or why there are none."""
            try:
                self.write({"active_queues": await ask(settings, self.get_active_queue_names())})
            except UnavailableError as why:
                self.write({"active_queues": [], "unavailable": str(why)})

    return [(r"/broker", Page), (r"/api/queues/length", Lengths)]


async def ask(settings: Settings, names: Collection[str]) -> list[dict[str, Any]]:
    """Those of the queues ``names`` that there are, each with its messages.

    Raises:
        UnavailableError: no management interface is named, or it gives no lengths.
    """
    if settings.flower_broker_api is None:
        raise UnavailableError(
            "lengths of queues are not available: PARLEY_FLOWER_BROKER_API names no management interface"
        )
    from tornado.httpclient import AsyncHTTPClient, HTTPError

    # Of several brokers, which are separated by semicolons, the first has what all have in common.
    broker, tls = (settings.broker_url or "").partition(";")[0], settings.broker_tls
    user, password, address = _login(settings.flower_broker_api.get_secret_value(), broker)
    virtual_host = unquote(urlsplit(broker).path)[1:] or "/"
    client = AsyncHTTPClient(force_instance=True)
    try:
        answer = await client.fetch(
            f"{address}/api/queues/{quote(virtual_host, safe='')}?columns={_COLUMNS}",
            auth_username=user,
            auth_password=password,
            connect_timeout=TIMEOUT,
            request_timeout=TIMEOUT,
            # A password follows nobody elsewhere.
            follow_redirects=False,
            ca_certs=None if tls.authority is None else str(tls.authority),
            client_cert=None if tls.certificate is None else str(tls.certificate),
            client_key=None if tls.key is None else str(tls.key),
        )
        return [queue for queue in _queues(answer.body) if queue["name"] in names]
    except (OSError, HTTPError, ValueError) as error:
        log.error("RabbitMQ's management interface gives no lengths of queues: %s", error)
        raise UnavailableError(
            f"lengths of queues are not available: RabbitMQ's management interface gives none ({error})"
        ) from error
    finally:
        client.close()


def _queues(body: bytes) -> list[dict[str, Any]]:
    """What the management interface told.

    A queue that is some seconds old has only a name. Raises ``ValueError`` when it is no list of queues.
    """
    told = json.loads(body)
    if not isinstance(told, list) or not all(isinstance(one, dict) and "name" in one for one in told):
        raise ValueError("it answers something else than a list of queues")
    return told


def _login(api: str, broker: str) -> tuple[str, str, str]:
    """User, password, and the address without them. Without a user they are the broker's."""
    parts = urlsplit(api)
    whose = parts if parts.username is not None else urlsplit(broker)
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
    user, password = (unquote(part or "guest") for part in (whose.username, whose.password))
    return user, password, address.removesuffix("/api")
