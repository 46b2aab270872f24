"""Settings of servers of one's own: what does not fit together is told before anything is connected."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from celery import Celery

from shared.jobs.broker import broker_options
from shared.jobs.wakeups import configure
from shared.redis_server import RedisServer, parse_address
from shared.settings import Settings, SettingsError, read_settings

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"REDIS_URL": "http://redis"}, "PARLEY_REDIS_URL takes a URL that begins with redis://"),
        ({"REDIS_URL": "hunter2"}, "PARLEY_REDIS_URL takes a URL that begins with redis://"),
        ({"REDIS_TLS_CA": "/nowhere"}, "PARLEY_REDIS_TLS_CA: /nowhere cannot be read (No such file"),
        ({"REDIS_TLS_CA": "FILE"}, "PARLEY_REDIS_URL begins with redis://, which is not encrypted"),
        (
            {"REDIS_URL": "rediss://redis", "REDIS_TLS_CERT": "FILE"},
            "PARLEY_REDIS_TLS_KEY is missing: a client's certificate and its key go together",
        ),
        (
            {"REDIS_URL": "rediss://redis", "REDIS_TLS_KEY": "FILE"},
            "PARLEY_REDIS_TLS_CERT is missing: a client's certificate and its key go together",
        ),
        ({"REDIS_SENTINELS": "one:26379"}, "PARLEY_REDIS_SENTINEL_MASTER is missing"),
        ({"REDIS_SENTINEL_MASTER": "it"}, "PARLEY_REDIS_SENTINELS is missing"),
        (
            {"REDIS_URL": "unix:///s", "REDIS_SENTINELS": "one", "REDIS_SENTINEL_MASTER": "it"},
            "PARLEY_REDIS_URL is a socket's",
        ),
        (
            {"REDIS_SENTINELS": "one:port", "REDIS_SENTINEL_MASTER": "it"},
            "PARLEY_REDIS_SENTINELS: Value error, 'one:port' is no address: write host or host:port",
        ),
        ({"BROKER_URL": "hunter2"}, "PARLEY_BROKER_URL takes a URL"),
        ({"BROKER_URL": "sqs://me:hunter2@queue"}, "PARLEY_BROKER_URL takes a URL that begins with amqp://"),
        ({"BROKER_TLS_CA": "FILE"}, "PARLEY_BROKER_TLS_* are given without PARLEY_BROKER_URL"),
        (
            {"BROKER_URL": "amqp://rabbit", "BROKER_TLS_CA": "FILE"},
            "PARLEY_BROKER_URL begins with amqp://, which is not encrypted: let it begin with amqps://",
        ),
        (
            {"FLOWER_BROKER_API": "https://rabbit:15671"},
            "PARLEY_FLOWER_BROKER_API is given, and PARLEY_BROKER_URL names no RabbitMQ",
        ),
        (
            {"BROKER_URL": "redis://queue", "FLOWER_BROKER_API": "https://rabbit:15671"},
            "PARLEY_FLOWER_BROKER_API is given, and PARLEY_BROKER_URL names no RabbitMQ",
        ),
        *(
            (
                {"BROKER_URL": "amqps://rabbit", "FLOWER_BROKER_API": wrong},
                "PARLEY_FLOWER_BROKER_API takes the address of RabbitMQ's management interface: https://",
            )
            for wrong in (
                "rabbit:15671",
                "ftp://me:hunter2@rabbit",
                "https://",
                "https://me:hunter2@rabbit:port",
                "https://me:hunter2@rabbit/?vhost=a",
                "https://me:hunter#2@rabbit",
                "https://[hunter2",
            )
        ),
        (
            {"BROKER_URL": "amqps://me:hunter2@rabbit", "FLOWER_BROKER_API": "http://rabbit:15672"},
            "PARLEY_FLOWER_BROKER_API begins with http:// and names no user: the password of",
        ),
        ({"DATABASE_URL": "mysql://db"}, "PARLEY_DATABASE_URL: Value error, write a URL of Postgres"),
    ],
)
def test_what_does_not_fit_together_is_named(
    settings: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "file.pem"
    file.write_text("")
    for name, value in settings.items():
        monkeypatch.setenv(f"PARLEY_{name}", value.replace("FILE", str(file)))
    with pytest.raises(SettingsError) as refused:
        read_settings()
    assert told in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgres_urls_are_taken_as_everybody_writes_them(scheme: str) -> None:
    settings = Settings(database_url=f"{scheme}://me:x@db:5432/parley?sslmode=verify-full&sslrootcert=/ca")
    assert settings.database_url == (
        "postgresql+psycopg://me:x@db:5432/parley?sslmode=verify-full&sslrootcert=/ca"
    )


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("redis.example", ("redis.example", 26379)),
        ("10.0.0.1:1234", ("10.0.0.1", 1234)),
        ("[2001:db8::1]:1234", ("2001:db8::1", 1234)),
        ("[2001:db8::1]", ("2001:db8::1", 26379)),
    ],
)
def test_addresses_of_sentinels(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text, 26379) == address


@pytest.mark.parametrize("text", ["", ":26379", "host:port", "host:70000", "me@host", "host/0", "a b:1"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="is no address: write host or host:port"):
        parse_address(text, 26379)


def test_celery_asks_the_sentinels_too(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text("")
    settings = Settings(
        redis_url="rediss://me:p%2Fw@any:1/3",
        redis_tls_ca=authority,
        redis_tls_check_hostname=False,
        redis_sentinels="one:1111, [2001:db8::1]",  # type: ignore[arg-type]
        redis_sentinel_master="it",
        redis_sentinel_password="secret",  # type: ignore[arg-type]
    )
    options = broker_options(settings)
    assert options["broker_url"] == "sentinel://me:p%2Fw@one:1111/3;sentinel://me:p%2Fw@[2001:db8::1]:26379/3"
    encryption = {
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": False,
        "ssl_ca_certs": str(authority),
    }
    assert options["broker_use_ssl"] == encryption
    transport = options["broker_transport_options"]
    assert transport["master_name"] == "it"
    assert transport["sentinel_kwargs"] == {
        "socket_timeout": 2.5,
        "socket_connect_timeout": 2.5,
        "ssl": True,
        "password": "secret",
        **encryption,
    }


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://me:x@one:1/2", "redis://me:x@one:1/2"),
        ("unix:///run/redis.sock", "redis+socket:///run/redis.sock"),
    ],
)
def test_celery_is_told_the_same_redis(url: str, expected: str) -> None:
    options = broker_options(Settings(redis_url=url))
    assert (options["broker_url"], options["broker_use_ssl"]) == (expected, None)
    assert broker_options(Settings(broker_url=url))["broker_url"] == expected


def test_rabbitmq_is_verified_by_the_name_in_the_url(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text("")
    options = broker_options(Settings(broker_url="amqps://me:x@rabbit:5671/v", broker_tls_ca=authority))
    assert options["broker_use_ssl"] == {
        "cert_reqs": ssl.CERT_REQUIRED,
        "server_hostname": "rabbit",
        "ca_certs": str(authority),
    }
    bare = broker_options(Settings(broker_url="amqps://rabbit"))
    assert bare["broker_use_ssl"] == {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": "rabbit"}


def test_no_message_goes_to_two_queues() -> None:
    app = Celery("parley-test", set_as_current=False)
    configure(app, Settings(broker_url="amqp://rabbit"))
    places = {(queue.exchange.name, queue.routing_key) for queue in app.conf.task_queues}
    assert len(places) == len(app.conf.task_queues)
    app.close()


def test_a_plain_server_takes_no_files_and_no_sentinels() -> None:
    server = Settings().redis
    assert server == RedisServer("redis://127.0.0.1:6379/0")
    assert (server.tls_options(), server.sentinel_options()) == ({}, {})


def test_a_server_shows_no_password() -> None:
    server = RedisServer("redis://:hunter2@redis", sentinel_password="hunter2")
    assert "hunter2" not in repr(server)


def test_every_client_is_told_the_whole_server() -> None:
    """A URL alone knows no certificates and no Sentinels."""
    bare = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for folder in ("gateway", "workers", "shared", "deploy")
        for path in (ROOT / folder).rglob("*.py")
        if path != ROOT / "shared" / "settings.py"
        for line in path.read_text().splitlines()
        if "settings.redis_url" in line or "settings.broker_url" in line
    ]
    allowed = {"shared/jobs/broker.py", "shared/jobs/wakeups.py", "deploy/broker_queues.py"}
    assert [line for line in bare if line.partition(":")[0] not in allowed] == []
