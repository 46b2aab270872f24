"""Loading a turn: from the job's row to what the chat domain works on."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import direct
from shared.errors import ConnectionNotFoundError, ModelNotFoundError, ValidationError
from shared.jobs.job import Job
from shared.jobs.store import Along
from shared.schemas.controls import ChatControls, ProviderType
from shared.schemas.provider_settings import (
    LOCAL_MODEL_URL,
    OllamaSettings,
    OpenAISettings,
    ProviderSettings,
    ProviderTimeouts,
)
from shared.security.secrets import SecretBox
from shared.settings import Settings
from workers.chat.history import Window
from workers.chat.turn import TurnContext, build_messages
from workers.providers.base.http_client import ProviderHttpClient
from workers.providers.base.models import ChatMessage, ChatRequest
from workers.providers.base.provider_service import BaseProviderService
from workers.providers.base.timeouts import CallTimeouts
from workers.providers.factory import ProviderFactory

_SQL = Path(__file__).parent / "sql"
_TURN = (_SQL / "turn.sql").read_text()


def select_connections(which: str) -> TextClause:
    """A query of connections, of which ``which`` says the rest, as :func:`stored_target` reads them."""
    return text(
        "SELECT k.*, k.id AS connection_id, u.is_admin AS of_admin "  # noqa: S608 (no value is put in)
        f"FROM connections k JOIN users u ON u.id = k.owner_id {which}"
    )


_CONNECTION = select_connections("WHERE k.id = :connection_id AND k.owner_id = :owner_id")

#: Context that an Ollama server gives a model unless it is told another.
OLLAMA_CONTEXT = 4096
#: A branch is read no deeper than this.
MAX_DEPTH = 2000


@dataclass(frozen=True, slots=True)
class Target:
    """Which provider is called, how, and how often at once."""

    provider: ProviderType
    settings: ProviderSettings
    timeouts: CallTimeouts
    context_length: int | None
    #: The connection, whose permits the call takes; ``None`` for settings that came with the request.
    connection_id: UUID | None
    max_in_flight: int | None
    #: Whether it is called for an administrator.
    of_admin: bool = False

    def service(self, client: ProviderHttpClient) -> BaseProviderService:
        """What calls it, through ``client``."""
        return ProviderFactory.create_provider(self.provider, client, of_admin=self.of_admin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A turn: everything but its system prompt.

    Attributes:
        target: what answers it.
        model: by its name there.
        controls: of the call.
        template: the persona's; ``None`` without a persona.
        history: the branch before the newest message, oldest first.
        newest: what is answered: the user message, or the last messages that a client sent itself.
        window: what the persona wants of the history.
        context_length: of the model, in tokens.
    """

    target: Target
    model: str
    controls: ChatControls
    template: str | None
    history: Sequence[ChatMessage]
    newest: Sequence[ChatMessage]
    window: Window
    context_length: int

    @property
    def user_message(self) -> str:
        """The newest text of the user, which triggers are matched with."""
        said = (
            message.content for message in (*self.newest[::-1], *self.history[::-1]) if message.role == "user"
        )
        return next(said, "")

    def request(self, system_prompt: str | None) -> ChatRequest:
        """The provider call under ``system_prompt``."""
        context = TurnContext(
            system_prompt=system_prompt,
            history=self.history,
            newest=self.newest,
            window=self.window,
            context_length=self.context_length,
        )
        return ChatRequest(
            messages=build_messages(context, self.controls.max_tokens),
            model=self.model,
            settings=self.target.settings,
            timeouts=self.target.timeouts,
            controls=with_own_context(self.target, self.controls),
        )


def brought_along(settings: Settings) -> Along:
    """What the claim of a turn brings along, for :func:`load_turn`."""
    most = max(settings.default_context_length, settings.local_model_context, OLLAMA_CONTEXT)
    return Along(_TURN, {"max_depth": MAX_DEPTH, "max_tokens": most})


def load_turn(job: Job, box: SecretBox, settings: Settings) -> Turn:
    """Everything that the turn of ``job`` needs, out of the job and what its claim brought along.

    Raises:
        ConnectionNotFoundError: its connection was deleted meanwhile.
        ModelNotFoundError: the local model has another name.
        ValidationError: nothing says which model is to answer.
    """
    payload = job.payload
    assert job.brought is not None, "the claim was not asked to bring the turn along"
    row, branch = job.brought["turn"], job.brought["branch"]
    if row["secrets"] is not None:
        row = {**row, "secrets": b64decode(row["secrets"])}
    own = own_target(job, box, settings, of_admin=bool(row["of_admin"]))
    target = own or stored_target(row, box, settings)
    controls = ChatControls.model_validate(payload.get("controls", {}))
    model = payload.get("model") or target.settings.model
    if not model:
        raise ValidationError(
            "Nothing says which model is to answer: send model, or set one in the connection.",
            errors=[{"field": "model", "message": "is missing"}],
        )
    check_model(target, model, settings)
    history, newest = _messages(job, branch)
    return Turn(
        target=target,
        model=model,
        controls=controls,
        template=row["template"],
        history=history,
        newest=newest,
        # Messages that a client sent itself are its own choice; only what does not fit is left out.
        window=Window() if "messages" in payload else Window(**(row["history"] or {})),
        context_length=_context_length(target, controls, settings),
    )


def check_model(target: Target, model: str, settings: Settings) -> None:
    """Refuse a model that the local server does not have: it has one, and answers to any name.

    Raises:
        ModelNotFoundError: the local model has another name.
    """
    if _is_local(target.settings) and model != settings.local_model_name:
        raise ModelNotFoundError(
            f"The local model server has no model {model!r}, only {settings.local_model_name!r}; "
            "for others create a connection."
        )


def with_own_context(target: Target, controls: ChatControls) -> ChatControls:
    """``controls`` with the context that the history was cut to: Ollama must not cut it once more."""
    if target.provider is ProviderType.OLLAMA and target.context_length and controls.num_ctx is None:
        return controls.model_copy(update={"num_ctx": target.context_length})
    return controls


async def load_target(
    engine: AsyncEngine, connection_id: UUID, owner_id: UUID, box: SecretBox, settings: Settings
) -> Target:
    """A stored connection.

    Raises:
        ConnectionNotFoundError: it was deleted meanwhile.
    """
    parameters = {"connection_id": connection_id, "owner_id": owner_id}
    row = (await direct.execute(engine, _CONNECTION, parameters)).mappings().first()
    if row is None:
        raise ConnectionNotFoundError("The connection was deleted.")
    return stored_target(row, box, settings)


def own_target(job: Job, box: SecretBox, settings: Settings, *, of_admin: bool) -> Target | None:
    """The provider settings that came with the request, if any did."""
    own = job.payload.get("own_provider")
    if own is None:
        return None
    secrets = box.decrypt(job.secret) if job.secret is not None else {}
    provider = ProviderType(own["provider"])
    return Target(
        provider,
        parse_settings(provider, {**own["settings"], **secrets}),
        CallTimeouts.resolve(None, settings),
        None,
        None,
        None,
        of_admin,
    )


def stored_target(row: Mapping[str, Any], box: SecretBox, settings: Settings) -> Target:
    """The connection in a row.

    Raises:
        ConnectionNotFoundError: the row holds none.
    """
    if row["connection_id"] is None:
        raise ConnectionNotFoundError("The connection of this turn was deleted; choose another one.")
    secrets = box.decrypt(bytes(row["secrets"])) if row["secrets"] is not None else {}
    provider = ProviderType(row["provider"])
    parsed = parse_settings(provider, {**row["settings"], **secrets})
    return Target(
        provider,
        parsed,
        CallTimeouts.resolve(ProviderTimeouts.model_validate(row["timeouts"] or {}), settings),
        row["context_length"] or (settings.local_model_context if _is_local(parsed) else None),
        UUID(str(row["connection_id"])),
        row["max_in_flight"],
        bool(row["of_admin"]),
    )


def _is_local(settings: ProviderSettings) -> bool:
    """Whether they lead to the model that runs beside Parley."""
    return isinstance(settings, OpenAISettings) and settings.base_url == LOCAL_MODEL_URL


def parse_settings(provider: ProviderType, values: Mapping[str, Any]) -> ProviderSettings:
    """Settings and secrets together, as the provider's type."""
    if provider is ProviderType.OLLAMA:
        return OllamaSettings.model_validate(values)
    return OpenAISettings.model_validate(values)


def _messages(
    job: Job, branch: Sequence[Mapping[str, Any]]
) -> tuple[Sequence[ChatMessage], Sequence[ChatMessage]]:
    """History and what is answered: from the tree, or as the request brought them."""
    if "messages" in job.payload:
        return split_sent([_message(message) for message in job.payload["messages"]])
    said = [_message(row) for row in branch]
    return said[:0:-1], said[:1]


def split_sent(said: Sequence[ChatMessage]) -> tuple[Sequence[ChatMessage], Sequence[ChatMessage]]:
    """Messages that a client sent, as history and what is answered: the last message; when that is the result
    of a tool, also the results beside it and the message that called.
    """
    begin = len(said) - 1
    while begin > 0 and said[begin].role == "tool":
        begin -= 1
    return said[:begin], said[begin:]


def _message(said: Mapping[str, Any]) -> ChatMessage:
    return ChatMessage(
        role=said["role"],
        content=said["content"] or "",
        tool_calls=tuple(said.get("tool_calls") or ()),
        tool_call_id=said.get("tool_call_id"),
    )


def _context_length(target: Target, controls: ChatControls, settings: Settings) -> int:
    if controls.num_ctx is not None:
        return controls.num_ctx
    if target.context_length is not None:
        return target.context_length
    return OLLAMA_CONTEXT if target.provider is ProviderType.OLLAMA else settings.default_context_length
