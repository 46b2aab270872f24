"""The model calls of scripts: one provider call each, limited and renewed like the turn's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import direct
from shared.errors import ParleyError, UnsupportedControlError
from shared.jobs.permits import Permits
from shared.metrics.providers import provider_call
from shared.metrics.turns import count_tokens
from shared.schemas.controls import ChatControls, ProviderType, check_controls
from shared.security.secrets import SecretBox
from shared.settings import Settings
from workers.chat.modules.runner import TokenCount
from workers.jobs.turns import Target, check_model, select_connections, stored_target, with_own_context
from workers.jobs.work_spans import call_ended, call_span
from workers.providers.base.http_client import ProviderHttpClient
from workers.providers.base.models import ChatMessage, ChatRequest
from workers.sandbox.plugins.errors import GenerationFailed
from workers.sandbox.plugins.ports import GenerateCall, ReflectCall

#: A connection by its name; by its kind, the default one first.
_NAMED = select_connections(
    "WHERE k.owner_id = :owner_id AND :name IN (k.name, k.provider) "
    "ORDER BY k.name = :name DESC, k.is_default DESC, k.created_at LIMIT 1"
)


class ScriptModels:
    """What the scripts of one turn call models with.

    Args:
        engine: Postgres, for connections that a script names.
        box: decrypts their keys.
        settings: the settings.
        client: the provider client of this process.
        permits: limits the calls of each connection.
        owner_id: whose connections.
        lease: ``<job>:<attempt>`` of the turn.
        confirm: returns when it is known that the attempt still holds the job; raises otherwise.
        target: what answers the turn; ``None`` where nothing does.
        model: the turn's model.
    """

    def __init__(
        self,
        *,
        engine: AsyncEngine,
        box: SecretBox,
        settings: Settings,
        client: ProviderHttpClient,
        permits: Permits,
        owner_id: UUID,
        lease: str,
        confirm: Callable[[], Awaitable[None]],
        target: Target | None,
        model: str | None,
    ) -> None:
        self._engine = engine
        self._box = box
        self._settings = settings
        self._client = client
        self._permits = permits
        self._owner_id = owner_id
        self._lease = lease
        self._confirm = confirm
        self._target = target
        self._model = model

    def counting(self, tokens: TokenCount) -> ScriptModel:
        """The generator of one run, which counts its tokens in ``tokens``."""
        return ScriptModel(self, tokens)

    async def call(
        self, call: GenerateCall | ReflectCall, messages: list[ChatMessage], tokens: TokenCount
    ) -> str:
        """One provider call; its text.

        Raises:
            GenerationFailed: there is none.
        """
        try:
            target, model = await self._chosen(call)
            controls = _fitting(target, call.controls, call.explicit)
            request = ChatRequest(
                messages=messages,
                model=model,
                settings=target.settings,
                timeouts=target.timeouts,
                controls=with_own_context(target, controls),
            )
            provider = target.service(self._client)
            permit = self._permits.permit(target.connection_id, target.max_in_flight, self._lease)
            async with permit:
                await self._confirm()
                with call_span(target, model) as span, provider_call(target.provider):
                    response = await provider.send_message(request)
                    call_ended(span, response)
        except ParleyError as error:
            raise GenerationFailed(error.code, error.detail) from error
        if response.usage is not None:
            tokens.add(response.usage.input_tokens, response.usage.output_tokens)
            count_tokens("script", response.usage.input_tokens, response.usage.output_tokens)
        return response.content

    async def _chosen(self, call: GenerateCall | ReflectCall) -> tuple[Target, str]:
        """What is called: the turn's own target, unless the script named another one.

        Raises:
            GenerationFailed: there is nothing to call, or no model is named.
            ModelNotFoundError: the local server does not have it.
        """
        target = self._target
        if call.provider is not None:
            parameters = {"owner_id": self._owner_id, "name": call.provider}
            row = (await direct.execute(self._engine, _NAMED, parameters)).mappings().first()
            if row is not None and (target is None or row["id"] != target.connection_id):
                target = stored_target(row, self._box, self._settings)
            elif row is None and (target is None or call.provider != target.provider):
                raise GenerationFailed(
                    "connection_not_found",
                    f"there is no connection {call.provider!r} and none of that kind; name one of yours",
                )
        if target is None:
            raise GenerationFailed("connection_not_found", "there is no connection to call; create one")
        own = target is self._target and call.provider is None
        model = call.model or (self._model if own else None) or target.settings.model or self._model
        if not model:
            raise GenerationFailed("model_missing", "nothing says which model to call; name one")
        check_model(target, model, self._settings)
        return target, model


class ScriptModel:
    """The :class:`~workers.sandbox.plugins.ports.Generator` of one run."""

    def __init__(self, models: ScriptModels, tokens: TokenCount) -> None:
        self._models = models
        self._tokens = tokens

    async def generate(self, call: GenerateCall) -> str:
        """The model's text, without the persona's prompt."""
        asked = call.instructions if call.input is None else f"{call.instructions}\n\nInput:\n{call.input}"
        return await self._models.call(call, [ChatMessage(role="user", content=asked)], self._tokens)

    async def reflect(self, call: ReflectCall) -> str:
        """The model's text under the turn's prompt, after the reply where there is one."""
        messages = reflection(call)
        return unrepeated(await self._models.call(call, messages, self._tokens), messages[-1])


def reflection(call: ReflectCall) -> list[ChatMessage]:
    """The messages of a reflection: the prompt, the reply where there is one, and the instructions."""
    messages = [ChatMessage(role="system", content=call.prompt)] if call.prompt.strip() else []
    asked = call.instructions
    if call.reply is not None and call.role == "assistant":
        # One message: some servers refuse a second one of the assistant at the end.
        asked = f"{call.reply}\n\n{asked}"
    elif call.reply is not None:
        messages.append(ChatMessage(role="assistant", content=call.reply))
    return [*messages, ChatMessage(role=call.role, content=asked)]


def unrepeated(answer: str, last: ChatMessage) -> str:
    """``answer`` without the assistant's ``last`` message: servers that go on with it give both."""
    if last.role == "assistant" and answer.startswith(last.content):
        return answer[len(last.content) :].lstrip()
    return answer


def _fitting(target: Target, controls: ChatControls, explicit: frozenset[str]) -> ChatControls:
    """``controls`` without those that were only inherited and that this provider has no form for."""
    chosen: dict[str, Any] = {}
    for name, value in controls.chosen().items():
        if name not in explicit and not _has_form(target, name, value):
            continue
        chosen[name] = value
    return ChatControls.model_validate(chosen)


def _has_form(target: Target, name: str, value: Any) -> bool:
    try:
        check_controls(
            ProviderType(target.provider), target.settings, ChatControls.model_construct(**{name: value})
        )
    except UnsupportedControlError:
        return False
    return True


class Rehearsal:
    """A generator for trials that call no model."""

    async def generate(self, call: GenerateCall) -> str:
        """A text that says what it is."""
        return "[generate: no model was called]"

    async def reflect(self, call: ReflectCall) -> str:
        """A text that says what it is."""
        return "[reflect: no model was called]"


def rehearsing(_: TokenCount) -> Rehearsal:
    """The generator of every run of a trial that calls no model."""
    return Rehearsal()
