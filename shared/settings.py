"""Every setting, read from ``PARLEY_*`` environment variables: one place, the same for every process."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from shared.broker_url import check_broker, check_management
from shared.listen_address import split_address
from shared.redis_server import RedisServer, parse_addresses
from shared.security.addresses import Allowed
from shared.settings_files import FileSettings, SettingsFileError
from shared.tls import TlsFiles


class SettingsError(Exception):
    """Settings that no process can start with; the message names each variable, and no value."""


class Settings(BaseSettings):
    """The settings of one process. Durations are seconds, sizes are bytes."""

    model_config = SettingsConfigDict(env_prefix="PARLEY_", extra="ignore")

    # Where things are -------------------------------------------------------------------------------
    #: URL of Postgres (``postgresql://…``); a transaction-mode pooler may stand before it. TLS as libpq has
    #: it: ``?sslmode=verify-full&sslrootcert=FILE``.
    database_url: str = "postgresql+psycopg://postgres@127.0.0.1:5432/parley"
    #: Direct URL for migrations, when ``database_url`` leads to a pooler.
    migration_database_url: str | None = None
    #: Redis (or Valkey): ``redis://``, ``rediss://`` (TLS) or ``unix://``, with ``user:password@`` for an ACL
    #: user. With Sentinels its host and port say nothing.
    redis_url: str = "redis://127.0.0.1:6379/0"
    #: Certificates (PEM) of those who vouch for a Redis under TLS, and for its Sentinels; default: the
    #: system's. Then the client's own certificate and its key, for a server that asks for one.
    redis_tls_ca: Path | None = None
    redis_tls_cert: Path | None = None
    redis_tls_key: Path | None = None
    #: Whether the certificate must be of the name or address that was connected to. Sentinels tell addresses
    #: unless they are set to tell names.
    redis_tls_check_hostname: bool = True
    #: Sentinels that know where Redis is: ``host:port``, separated by commas.
    redis_sentinels: Annotated[tuple[str, ...], NoDecode] = ()
    #: The name by which they know it.
    redis_sentinel_master: str | None = None
    #: Login of the Sentinels themselves, if they ask for one.
    redis_sentinel_username: str | None = None
    redis_sentinel_password: SecretStr | None = None
    #: Celery's broker, if it is not the Redis of ``redis_url``: ``amqp://`` or ``amqps://`` (RabbitMQ),
    #: another ``redis://`` or ``rediss://``.
    broker_url: str | None = None
    #: The same files for a broker of its own under TLS.
    broker_tls_ca: Path | None = None
    broker_tls_cert: Path | None = None
    broker_tls_key: Path | None = None
    #: What every key, channel and queue name begins with.
    namespace: str = Field("parley", pattern=r"^[a-z][a-z0-9_-]{0,40}$")
    #: Where a single machine keeps its data and its generated secrets.
    data_dir: Path | None = None

    # Who may ----------------------------------------------------------------------------------------
    #: Key of the first administrator, instead of a generated one.
    admin_key: SecretStr | None = None
    #: Whether each new user finds a first persona, with the modules of its memory.
    seed_new_users: bool = True
    #: Key that encrypts secrets at rest: 32 bytes, URL-safe base64. Several, separated by commas: the first
    #: encrypts, all decrypt.
    secret_key: SecretStr | None = None
    #: File that holds ``secret_key``; default: ``secret.key`` in ``data_dir``, made on first start.
    secret_key_file: Path | None = None

    #: Flower's password; it does not start without one.
    flower_password: SecretStr | None = None
    #: Where Flower asks RabbitMQ for the lengths of queues: its management interface,
    #: ``https://user:password@host:15671``, or without a user as that of ``broker_url``. Default: not at all.
    flower_broker_api: SecretStr | None = None

    # Gateway ----------------------------------------------------------------------------------------
    #: A comment line goes to a silent SSE client this often.
    sse_keepalive: float = Field(15.0, gt=0, le=15)
    #: A stream that brought nothing for this long is compared with Redis and Postgres.
    stream_silence: float = Field(5.0, gt=0)
    #: Events that may wait for one slow client before it goes back to replay.
    client_queue: int = Field(1000, ge=1)
    #: How long a short operation may wait for a worker.
    query_timeout: float = Field(30.0, gt=0)
    #: Largest request body.
    max_body: int = Field(8 * 1024 * 1024, ge=1024)

    # Jobs -------------------------------------------------------------------------------------------
    #: A lease lives this long without renewal; it is renewed every third of it.
    lease_ttl: float = Field(3.0, gt=0)
    #: Jobs of one kind (turns, experiments, short operations) that one owner has running at once, over all
    #: workers; 0: any number. What is more waits, so that one owner's turns on a slow provider do not take
    #: all slots: with three kinds, 450 of the 500 of a single worker process.
    owner_running: int = Field(150, ge=0)
    #: Attempts at a job that may fail before the job fails.
    max_attempts: int = Field(3, ge=1)
    #: Pause between two sweeps.
    sweep_interval: float = Field(5.0, gt=0)
    #: How long turns may go on after a worker was told to stop.
    drain_grace: float = Field(10.0, ge=0)
    #: How long an ended job's events stay in Redis.
    event_retention: int = Field(3600, ge=3600)
    #: How long an ``Idempotency-Key`` is remembered.
    idempotency_retention: int = Field(86_400, ge=3600)
    #: How long the trace of a turn is kept.
    trace_retention: int = Field(30 * 86_400, ge=3600)
    #: Most bytes of events that one trip to Redis carries.
    trip_bytes: int = Field(256 * 1024, ge=1024)
    #: A job with this much waiting for Redis stops reading from its provider.
    pending_bytes: int = Field(1024 * 1024, ge=1024)
    #: How long the writer waits for Redis in one trip.
    redis_timeout: float = Field(1.0, gt=0)
    #: How long a turn waits for Redis to acknowledge its last chunks before it commits.
    flush_timeout: float = Field(2.0, gt=0)

    # Providers --------------------------------------------------------------------------------------
    #: Defaults of a connection's timeouts.
    provider_connect_timeout: float = Field(10.0, gt=0)
    provider_first_token_timeout: float = Field(120.0, gt=0)
    provider_between_tokens_timeout: float = Field(60.0, gt=0)
    provider_total_timeout: float = Field(900.0, gt=0)
    #: How often a call is repeated before its first token (connect errors, 429, 502, 503, 504).
    provider_retries: int = Field(2, ge=0, le=10)
    #: Connections to all providers that one worker process may hold; 0: no limit. Calls that may reach
    #: private addresses and calls that may not have a pool of this size each.
    provider_max_connections: int = Field(0, ge=0)
    #: Whose connections may lead to loopback, private and reserved addresses: everybody's (``allow``), those
    #: of administrators (``admin``), or nobody's (``deny``). The local model is always reached. ``parley up``
    #: on a loopback address takes ``allow``: its users are on the machine themselves, and so is their Ollama.
    #: Gateways and workers need the same.
    outbound_private: Literal["allow", "admin", "deny"] = "admin"
    #: Hosts that everybody's connections may lead to all the same: ``host``, ``host:port``, an address or a
    #: network (``10.1.0.0/16``), separated by commas. Addresses of cloud metadata are reached only if listed.
    outbound_allow: Annotated[tuple[str, ...], NoDecode] = ()
    #: Context of a model whose connection does not tell it, in tokens.
    default_context_length: int = Field(8192, ge=256)
    #: Address of the model that ``parley up`` started here (``http://127.0.0.1:PORT/v1``), and its key.
    local_model_url: str | None = None
    local_model_key: SecretStr | None = None
    #: Its name (with ``local_model_path`` that of the file, unless it is given), and its context in tokens.
    local_model_name: str = "smollm2-135m-instruct"
    local_model_context: int = Field(8192, ge=256)
    #: Calls that it runs at once.
    local_model_slots: int = Field(2, ge=1)

    # Scripts ----------------------------------------------------------------------------------------
    #: CPU time of one run of a script.
    script_cpu: float = Field(2.0, gt=0)
    #: Wall time between two calls of ``ctx`` functions.
    script_between_calls: float = Field(5.0, gt=0)
    #: Wall time of a whole run, its model calls included.
    script_total: float = Field(60.0, gt=0)
    #: Memory that a run may add to its process.
    script_memory: int = Field(128 * 1024 * 1024, ge=16 * 1024 * 1024)
    #: What a run may print and publish, in bytes.
    script_output: int = Field(256 * 1024, ge=1024)
    #: Calls of ``ctx`` functions in one run, and the most bytes of one call.
    script_calls: int = Field(200, ge=0)
    script_payload: int = Field(1024 * 1024, ge=1024)
    #: Script processes that one worker process has at once.
    script_processes: int = Field(16, ge=1)
    #: More places, for modules that a script runs: scripts that wait for scripts cannot lock up.
    script_reserved: int = Field(8, ge=1)
    #: How deep ``run_module`` nests.
    script_nesting: int = Field(3, ge=1, le=10)
    #: Seconds that one trigger's regular expression may search.
    trigger_timeout: float = Field(0.05, gt=0)
    #: How deep modules' contents nest.
    module_depth: int = Field(10, ge=1, le=100)

    # One machine (`parley up`) ------------------------------------------------------------------------
    #: A GGUF file to serve instead of the model that is fetched.
    local_model_path: Path | None = None
    #: Bytes that the embedded Valkey may hold; default: a quarter of the machine's memory.
    valkey_maxmemory: int | None = Field(None, ge=16 * 1024 * 1024)

    # Operators --------------------------------------------------------------------------------------
    #: Address (``host:port``) on which each process answers ``/metrics``, ``/health/live`` and
    #: ``/health/ready`` without a key; unset: none. It belongs on a network that only operators reach.
    metrics_listen: str | None = None

    # Traces -----------------------------------------------------------------------------------------
    #: Whether what turns and experiments do is traced: ``otlp`` sends spans to a collector and needs the
    #: extra ``parley[tracing]``. Gateways, workers and the maintenance need the same.
    tracing: Literal["off", "otlp"] = "off"
    #: The collector: ``http://collector:4318``. Default: what ``OTEL_EXPORTER_OTLP_ENDPOINT`` and the like
    #: say, which also bring headers and certificates; else ``http://localhost:4318``.
    otlp_endpoint: str | None = None
    #: Whether providers are told the trace, in the header ``traceparent`` of each call.
    tracing_providers: bool = False

    # Logs -------------------------------------------------------------------------------------------
    #: What is logged at least.
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    #: One JSON object a line, or lines for people.
    log_format: Literal["json", "console"] = "json"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then variables, then the files that variables name."""
        return init_settings, env_settings, FileSettings(settings_cls)

    @field_validator("metrics_listen")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is not None:
            split_address(value)
        return value

    @property
    def redis(self) -> RedisServer:
        """The Redis that these settings name."""
        password = self.redis_sentinel_password
        return RedisServer(
            self.redis_url,
            tls=TlsFiles(self.redis_tls_ca, self.redis_tls_cert, self.redis_tls_key),
            check_hostname=self.redis_tls_check_hostname,
            sentinels=parse_addresses(self.redis_sentinels),
            master=self.redis_sentinel_master,
            sentinel_username=self.redis_sentinel_username,
            sentinel_password=None if password is None else password.get_secret_value(),
        )

    @property
    def broker_tls(self) -> TlsFiles:
        """The files for a broker of its own."""
        return TlsFiles(self.broker_tls_ca, self.broker_tls_cert, self.broker_tls_key)

    @field_validator("database_url", "migration_database_url")
    @classmethod
    def _say_the_driver(cls, value: str | None) -> str | None:
        """Take a URL as Postgres itself spells it."""
        if value is None:
            return None
        scheme, separator, rest = value.partition("://")
        if not separator or scheme not in ("postgres", "postgresql", "postgresql+psycopg"):
            raise ValueError("write a URL of Postgres: postgresql://user:password@host:5432/database")
        return f"postgresql+psycopg://{rest}"

    @field_validator("redis_sentinels")
    @classmethod
    def _are_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        parse_addresses(value)
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        self.redis.check()
        check_broker(self.broker_url, self.broker_tls)
        if self.flower_broker_api is not None:
            check_management(self.flower_broker_api.get_secret_value(), self.broker_url)
        return self

    @field_validator("outbound_allow", "redis_sentinels", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("tracing")
    @classmethod
    def _can_trace(cls, value: str) -> str:
        if value == "otlp" and not _is_installed("opentelemetry.exporter.otlp.proto.http"):
            raise ValueError("otlp needs packages that are not installed: pip install 'parley[tracing]'")
        return value

    @field_validator("otlp_endpoint")
    @classmethod
    def _is_collector(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be the address of an OTLP/HTTP collector, such as http://collector:4318")
        return value

    @field_validator("outbound_allow")
    @classmethod
    def _are_destinations(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for entry in value:
            Allowed.parse(entry)
        return value


def read_settings() -> Settings:
    """The settings of the environment.

    Raises:
        SettingsError: one of them is not valid.
    """
    try:
        return Settings()
    except ValidationError as error:
        faults = "; ".join(
            f"PARLEY_{'.'.join(str(part) for part in fault['loc']).upper()}: {fault['msg']}"
            if fault["loc"]
            else fault["msg"].removeprefix("Value error, ")
            for fault in error.errors(include_url=False, include_input=False)
        )
        raise SettingsError(f"A setting in the environment is not valid. {faults}.") from None
    except SettingsFileError as error:
        raise SettingsError(f"A setting in the environment is not valid. {error}.") from None


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        SettingsError: one of them is not valid.
    """
    return read_settings()
