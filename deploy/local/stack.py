"""The stack put together: which parts there are, and what they are told of one another."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from deploy import roles
from deploy.local import key_files, metrics_ports
from deploy.local.errors import WrongSettingError
from deploy.local.flower import FlowerPart
from deploy.local.listener import is_loopback, listen, reserve_port, url_of
from deploy.local.options import StackOptions, external, without_password
from deploy.local.parts import GatewayPart, ModelPart, Part, PostgresPart, ValkeyPart, WorkerPart
from deploy.local.postgres import EmbeddedPostgres
from deploy.local.state import Health, PartState
from deploy.local.valkey import EmbeddedValkey
from shared import settings_files
from shared.settings import Settings, SettingsError, read_settings

DATABASE = "parley"
#: What a worker's turns get when the stack stops, in seconds: all must be over within ten.
DRAIN_GRACE = "2"
_CONNECTIONS_PER_PROCESS = 5
_SPARE_CONNECTIONS = 40


@dataclass
class Stack:
    """The parts of one stack, not started.

    Attributes:
        url: where the gateway answers.
        environment: of every process that runs Parley's own code.
        valkey: the embedded Valkey, or None where somebody else provides Redis; it starts at once.
        postgres: likewise. The schema is brought up to date when it is there.
        model: the local model, or None.
        services: gateway, workers and Flower; they start when servers and schema are there.
        elsewhere: parts that somebody else provides.
    """

    url: str
    environment: dict[str, str]
    valkey: ValkeyPart | None
    postgres: PostgresPart | None
    model: ModelPart | None
    services: list[Part]
    elsewhere: list[PartState]
    _held: list[socket.socket] = field(default_factory=list)

    @property
    def parts(self) -> list[Part]:
        """All of them, in the order of a start."""
        servers: list[Part | None] = [self.valkey, self.postgres, self.model]
        return [part for part in servers if part is not None] + self.services

    def close(self) -> None:
        """Give up the sockets that are held for gateway, model and Flower."""
        for held in self._held:
            held.close()


def build(options: StackOptions, given: Mapping[str, str]) -> Stack:
    """Put the stack together: sockets are taken, keys made, nothing is started.

    Args:
        options: what ``parley up`` was asked for.
        given: the environment, which may name servers of somebody else.

    Raises:
        LocalStackError: a setting is wrong, a part is not installed, a place is out of reach, or the port is
            taken.
    """
    data = options.data
    settings = _checked_settings()
    given = settings_files.expanded(Settings, given)
    metrics_ports.refuse_one_for_all(given)
    environment = dict(given)
    with ExitStack() as on_failure:
        listener = listen(options.host, options.port, any_port=options.any_port)
        on_failure.callback(listener.close)
        held = [listener]
        url = url_of(listener)
        environment["PARLEY_DATA_DIR"] = str(data.root)
        environment["PARLEY_ADMIN_KEY"] = key_files.admin_key(data, given)
        if not given.get("PARLEY_SECRET_KEY"):
            environment.setdefault("PARLEY_SECRET_KEY_FILE", str(data.secret_key))
            if environment["PARLEY_SECRET_KEY_FILE"] == str(data.secret_key):
                key_files.key_in(data.secret_key, key_files.new_secret_key)
        environment.setdefault("PARLEY_DRAIN_GRACE", DRAIN_GRACE)
        if is_loopback(listener):
            # Who asks this gateway is on this machine, and reaches without it whatever it reaches.
            environment.setdefault("PARLEY_OUTBOUND_PRIVATE", "allow")

        elsewhere: list[PartState] = []
        valkey: ValkeyPart | None = None
        if address := external("valkey", given):
            elsewhere.append(_external("valkey", address))
        else:
            valkey = ValkeyPart(
                EmbeddedValkey(data.valkey, data.sockets(), maxmemory=settings.valkey_maxmemory)
            )
            environment["PARLEY_REDIS_URL"] = valkey.server.url

        postgres: PostgresPart | None = None
        if address := external("postgres", given):
            elsewhere.append(_external("postgres", address))
        else:
            needed = _CONNECTIONS_PER_PROCESS * (options.workers + 1) + _SPARE_CONNECTIONS
            server = EmbeddedPostgres(
                data.postgres,
                data.sockets(),
                engine_copies=data.engine,
                options={"max_connections": str(max(100, needed))},
            )
            postgres = PostgresPart(server)
            environment["PARLEY_DATABASE_URL"] = server.url(DATABASE)
            environment.pop("PARLEY_MIGRATION_DATABASE_URL", None)

        model: ModelPart | None = None
        if address := external("model", given):
            elsewhere.append(_external("model", address))
        elif options.local_model:
            keeper = reserve_port()
            on_failure.callback(keeper.close)
            held.append(keeper)
            model = ModelPart(data, given, keeper)
            environment |= {
                "PARLEY_LOCAL_MODEL_URL": model.address,
                "PARLEY_LOCAL_MODEL_KEY": model.key,
                "PARLEY_LOCAL_MODEL_NAME": model.alias,
            }

        told, *told_by_workers = metrics_ports.addresses(options.metrics_port, options.workers)
        services: list[Part] = [GatewayPart(data, metrics_ports.listening(environment, told), listener, url)]
        services += [
            WorkerPart(data, metrics_ports.listening(environment, told), number, options.concurrency)
            for number, told in enumerate(told_by_workers, 1)
        ]
        if options.flower:
            # On this machine only, wherever the gateway listens: it shows what all users do.
            watching = listen("127.0.0.1", options.flower_port, option="--flower-port")
            on_failure.callback(watching.close)
            held.append(watching)
            services.append(FlowerPart(data, environment, watching, url_of(watching)))
        on_failure.pop_all()
    return Stack(url, environment, valkey, postgres, model, services, elsewhere, held)


def _checked_settings() -> Settings:
    """The settings of the environment: a wrong one is told here, not in the log of a part that fails."""
    try:
        return read_settings()
    except SettingsError as error:
        raise WrongSettingError(str(error)) from None


def migration_command() -> list[str]:
    """The command that brings the schema up to date."""
    return roles.migration().command()


def _external(name: str, address: str) -> PartState:
    return PartState(name=name, version="", address=without_password(address), health=Health.EXTERNAL)
