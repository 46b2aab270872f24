"""Which server a model's name stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.schemas.experiment.config import ExperimentConfig

#: ``connection``: a stored one of the caller; the others: a provider, over the caller's connection to it, and
#: ``local``: the default model of this service.
RouteKind = Literal["connection", "local", "ollama", "openai", "google", "openrouter"]

LOCAL = "local"

_OPENAI = ("gpt-", "chatgpt-", "o1-", "o3-", "o4-")
_OPENAI_NAMES = frozenset({"o1", "o3", "o4"})
_GOOGLE = ("gemini-", "gemma-")


@dataclass(frozen=True, slots=True)
class Route:
    """Where a model's calls go.

    Attributes:
        kind: what the connection is looked for by.
        connection: its name or id when ``kind`` is ``connection``; ``None`` there: the caller's default one.
        model: the name that the provider is asked for; empty: the connection's default model.
    """

    kind: RouteKind
    connection: str | None
    model: str


def route(model: str, connection: str | None = None) -> Route:
    """Where ``model`` is asked, by its name alone; ``connection`` comes before the name.

    ``local`` · ``ollama/<model>`` · ``gpt-…``, ``o1-…``, ``o3-…``, ``o4-…`` (OpenAI) · ``gemini-…``,
    ``gemma-…`` (Google) · ``<vendor>/<model>`` (OpenRouter) · anything else at the caller's default
    connection. Who knows the caller's connections tries :func:`named_connection` before.
    """
    model = model.strip()
    if connection is not None:
        return Route("connection", connection, "" if model == LOCAL else model)
    if model == LOCAL:
        return Route("local", None, "")
    vendor, slash, rest = model.partition("/")
    if slash and vendor and rest:
        return Route("ollama", None, rest) if vendor == "ollama" else Route("openrouter", None, model)
    if model.startswith(_OPENAI) or model in _OPENAI_NAMES:
        return Route("openai", None, model)
    if model.startswith(_GOOGLE):
        return Route("google", None, model)
    return Route("connection", None, model)


def named_connection(model: str) -> tuple[str, str] | None:
    """``(connection, model)`` of ``<connection>/<model>``, to be tried first; ``None`` for another form."""
    connection, slash, rest = model.strip().partition("/")
    return (connection, rest) if slash and connection and rest else None


def chosen(config: ExperimentConfig, agent: str | None) -> tuple[str, str | None]:
    """The model and the connection that an agent uses, or the utility agent for ``None``.

    ``models`` rewrites the name, once: an entry for it, else that of ``*``. Rewritten to ``local`` or to
    ``ollama/<model>`` it leaves its connection too; so it does rewritten to ``<connection>/<model>``, which
    only who knows the caller's connections can tell (:func:`is_rewritten`).
    """
    model, connection = _named(config, agent)
    rewritten = _rewritten(config, model)
    if rewritten is None:
        return model, connection
    return rewritten, None if route(rewritten).kind in ("local", "ollama") else connection


def is_rewritten(config: ExperimentConfig, agent: str | None) -> bool:
    """Whether ``models`` names a model for an agent, or for the utility agent (``None``), not its own."""
    return _rewritten(config, _named(config, agent)[0]) is not None


def _named(config: ExperimentConfig, agent: str | None) -> tuple[str, str | None]:
    if agent is None:
        model, connection = config.utility_agent_model, config.utility_agent_connection
    else:
        participant = next(one for one in config.agents if one.name == agent)
        model, connection = participant.model, participant.connection
    return model, connection or config.connection


def _rewritten(config: ExperimentConfig, model: str) -> str | None:
    return config.models.get(model, config.models.get("*"))


def routes(config: ExperimentConfig) -> dict[str | None, Route]:
    """The route of every agent by name, and of the utility agent by ``None``."""
    return {name: route(*chosen(config, name)) for name in (*config.names, None)}
