"""Which model answers for each role of an experiment, always over the caller's own connections."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.models import Connection
from shared.database.repositories.connections import LOCAL
from shared.errors import ValidationError
from shared.schemas.connection import ADDRESS_FIELD
from shared.schemas.controls import ProviderType
from shared.schemas.experiment.config import ExperimentConfig
from shared.schemas.experiment.routing import LOCAL as LOCAL_MODEL
from shared.schemas.experiment.routing import chosen, is_rewritten, named_connection, route
from shared.schemas.experiments import RoleModel, RoleModels
from shared.schemas.provider_settings import LOCAL_MODEL_URL

#: Where the providers that a model's name can mean are reached, and what they are called.
_HOSTS = {
    "openai": ("api.openai.com", "OpenAI (base_url https://api.openai.com/v1)"),
    "google": (
        "generativelanguage.googleapis.com",
        "Google (provider openai, base_url https://generativelanguage.googleapis.com/v1beta/openai)",
    ),
    "openrouter": ("openrouter.ai", "OpenRouter (provider openai, base_url https://openrouter.ai/api/v1)"),
}


class _UnroutableError(Exception):
    """No connection of the caller answers; says which, and what to do."""


@dataclass(frozen=True, slots=True)
class _Role:
    """Whose model: an agent's by ``name``, or the utility agent's (``None``); and the keys that say so."""

    name: str | None
    model_field: str
    connection_field: str | None
    model: str
    connection: str | None
    #: Whether `models` says so: a connection that it names counts before the role's.
    rewritten: bool

    @property
    def field(self) -> str:
        """The path of the key that decides."""
        return self.connection_field or self.model_field if self.connection else self.model_field


async def role_models(
    session: AsyncSession, owner_id: uuid.UUID, config: ExperimentConfig, connection: str | None = None
) -> RoleModels:
    """The models of a run.

    Args:
        session: for reading.
        owner_id: whose connections.
        config: names the models.
        connection: given with the request: what answers instead for every role, with its own model unless
            ``<connection>/<model>`` names one.

    Raises:
        ValidationError: nothing of the caller's answers for a role; ``errors`` name each by its path.
    """
    rows = await session.scalars(
        select(Connection)
        .where(Connection.owner_id == owner_id)
        .order_by(Connection.is_default.desc(), Connection.created_at, Connection.id)
    )
    caller = _Connections(rows.all())
    if connection is not None:
        return _all_over(caller, config, connection)
    found: dict[str | None, RoleModel] = {}
    errors: list[dict[str, str]] = []
    for role in _roles(config):
        try:
            found[role.name] = caller.answering(role)
        except _UnroutableError as error:
            errors.append({"field": role.field, "message": str(error)})
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise ValidationError(f"{errors[0]['field']}: {errors[0]['message']}{more}", errors=errors)
    utility = found.pop(None)
    return RoleModels(agents={str(name): model for name, model in found.items()}, utility=utility)


def _roles(config: ExperimentConfig) -> Iterator[_Role]:
    """Every agent in order, then the utility agent."""
    common = "connection" if config.connection else None
    for index, agent in enumerate(config.agents):
        at = f"agents.{index}"
        own = f"{at}.connection" if agent.connection else common
        yield _Role(
            agent.name,
            f"{at}.model",
            own,
            *chosen(config, agent.name),
            rewritten=is_rewritten(config, agent.name),
        )
    own = "utility_agent_connection" if config.utility_agent_connection else common
    yield _Role(None, "utility_agent_model", own, *chosen(config, None), rewritten=is_rewritten(config, None))


def _all_over(caller: _Connections, config: ExperimentConfig, given: str) -> RoleModels:
    """Every role over the connection that the request names."""
    try:
        row, model = caller.named(given), None
        if row is None:
            row, model = caller.with_model(given)
        if row is None:
            raise _UnroutableError(
                f"you have no connection {given[:100]!r}; GET /api/connections lists yours"
            )
        own = model or row.settings.get("model")
        models = {role.name: _role_model(row, own or role.model) for role in _roles(config)}
    except _UnroutableError as error:
        raise ValidationError(
            f"connection: {error}", errors=[{"field": "connection", "message": str(error)}]
        ) from None
    utility = models.pop(None)
    return RoleModels(agents={str(name): one for name, one in models.items()}, utility=utility)


class _Connections:
    """A caller's connections, the default first."""

    def __init__(self, rows: Sequence[Connection]) -> None:
        self._rows = rows

    def named(self, given: str) -> Connection | None:
        """The one with this name or id."""
        return next((row for row in self._rows if given in (row.name, str(row.id))), None)

    def with_model(self, given: str) -> tuple[Connection | None, str | None]:
        """The one that ``<connection>/<model>`` names, and the model."""
        parts = named_connection(given)
        return (None, None) if parts is None else (self.named(parts[0]), parts[1])

    def answering(self, role: _Role) -> RoleModel:
        """What answers for a role.

        Raises:
            _UnroutableError: nothing does.
        """
        if role.connection is None or role.rewritten:
            row, model = self.with_model(role.model)
            if row is not None:
                return _role_model(row, model)
        meant = route(role.model, role.connection)
        if meant.kind == "connection":
            row = self._default() if meant.connection is None else self.named(meant.connection)
            if row is None:
                raise _UnroutableError(_no_connection(role, meant.connection))
        elif meant.kind == "local":
            row = self._local()
        elif meant.kind == "ollama":
            row = self._first(lambda one: one.provider == ProviderType.OLLAMA)
            if row is None:
                raise _missing(role, "Ollama (provider ollama)")
        else:
            host, called = _HOSTS[meant.kind]
            row = self._first(lambda one: one.provider == ProviderType.OPENAI and _host(one) == host)
            if row is None:
                raise _missing(role, called)
        return _role_model(row, meant.model)

    def _local(self) -> Connection:
        row = (
            self._first(lambda one: one.settings.get("base_url") == LOCAL_MODEL_URL)
            or self._first(lambda one: one.name == LOCAL)
            or self._default()
        )
        if row is None:
            raise _UnroutableError(
                "you have neither a connection called local nor a default one; create one (POST "
                "/api/connections), or set connection"
            )
        return row

    def _default(self) -> Connection | None:
        return self._first(lambda one: one.is_default)

    def _first(self, wanted: Callable[[Connection], bool]) -> Connection | None:
        return next((row for row in self._rows if wanted(row)), None)


def _no_connection(role: _Role, given: str | None) -> str:
    if given is None:
        return (
            f"nothing says whose model {role.model[:100]!r} is, and you have no default connection: create "
            "one (POST /api/connections), or write <connection>/<model>"
        )
    return f"you have no connection {given[:100]!r}; create it (POST /api/connections), or name another"


def _missing(role: _Role, called: str) -> _UnroutableError:
    return _UnroutableError(
        f"{role.model[:100]!r} is a model of {called}, and you have no connection to it: create one (POST "
        '/api/connections), or set connection to one of yours, or models: {"*": local}'
    )


def _role_model(row: Connection, model: str | None) -> RoleModel:
    """``model`` over a connection; ``local`` and nothing mean the connection's own."""
    named = row.settings.get("model") if model in (None, "", LOCAL_MODEL) else model
    if not named:
        raise _UnroutableError(
            f"the connection {row.name!r} has no model of its own; set its settings.model, or name one as "
            f"{row.name}/<model>"
        )
    return RoleModel(connection_id=row.id, connection_name=row.name, provider=row.provider, model=named)


def _host(row: Connection) -> str | None:
    address: str = row.settings.get(ADDRESS_FIELD[ProviderType(row.provider)], "")
    return urlsplit(address).hostname


def same_models(one: ExperimentConfig, other: ExperimentConfig) -> bool:
    """Whether two configurations name the same models for the same roles."""
    return list(_roles(one)) == list(_roles(other))
