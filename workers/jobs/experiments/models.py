"""The models of a run, called over the caller's own connections."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from shared.errors import (
    ProviderConnectionError,
    ProviderInputError,
    ProviderRateLimitedError,
    ProviderResponseError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    ProviderUnreachedError,
    UnsupportedControlError,
)
from shared.jobs.permits import Permits
from shared.metrics.providers import provider_call
from shared.metrics.turns import count_tokens
from shared.schemas.connection import Prices
from shared.schemas.controls import ChatControls
from workers.experiment.steps.model_call import ModelAnswer, ModelCall, StepOutcome
from workers.jobs.turns import Target, with_own_context
from workers.jobs.work_spans import call_ended, call_span
from workers.providers.base.http_client import ProviderHttpClient
from workers.providers.base.models import ChatMessage, ChatRequest, ChatResponse
from workers.providers.base.timeouts import CallTimeouts

log = logging.getLogger(__name__)

#: How often a call is made while its provider cannot be had, beyond the client's own retries, and the seconds
#: between (the first wait, and the longest): a provider that restarts costs no run.
TRIES = 8
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 15.0

#: Times that a connection is tried while the model has its time.
CONNECTS = 5

#: A provider that may be there again in a moment.
_PASSING = (
    ProviderConnectionError,
    ProviderRateLimitedError,
    ProviderResponseError,
    ProviderUnavailableError,
    ProviderUnreachedError,
)

TEMPERATURE_UNSUPPORTED = "temperature_unsupported"
SCHEMA_UNSUPPORTED = "schema_unsupported"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleModel:
    """Which model plays a role, and how it is called.

    Attributes:
        target: the connection.
        model: its name there.
        temperature: of the configuration.
        max_tokens: most tokens of an answer; ``None``: the provider's own limit.
        structured: whether answers are asked for under their JSON schema: ``off``, ``on``, or ``auto``: until
            the model refuses.
        prices: per million tokens; ``None`` when the connection tells none.
    """

    target: Target
    model: str
    temperature: float | None
    max_tokens: int | None
    structured: str
    prices: Prices | None


class RunModels:
    """The :class:`~workers.experiment.steps.model_call.Models` of a run.

    What a model does not take (a temperature, a schema) is found out by its first refusal, noted with the
    answer and not offered to it again in this run.

    Args:
        roles: by agent's name; ``None`` is the utility agent.
        client: to the providers.
        permits: limit the calls in flight of each connection, over all workers.
        lease: ``<job>:<attempt>``.
        confirm: returns when the attempt is known to hold the job.
        growth: of the wait between two tries at a provider that is away.
        found: what earlier attempts found out: ``(role, note)``.
    """

    def __init__(
        self,
        roles: Mapping[str | None, RoleModel],
        *,
        client: ProviderHttpClient,
        permits: Permits,
        lease: str,
        confirm: Callable[[], Awaitable[None]],
        growth: float = 2.0,
        found: Iterable[tuple[str | None, str]] = (),
    ) -> None:
        self._roles = roles
        self._client = client
        self._permits = permits
        self._lease = lease
        self._confirm = confirm
        self._growth = growth
        self._refuses = {self._quirk(role, note) for role, note in found if role in roles}
        #: Of the calls of this attempt, in the currency of the prices; of a role without prices nothing.
        self.cost = 0.0

    async def call(self, call: ModelCall) -> ModelAnswer:
        """Ask; see the protocol."""
        role = self._roles[call.role]
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        tried = 0
        notes: list[str] = []
        while True:
            tried += 1
            chosen = self._controls(call, role)
            try:
                async with self._permits.permit(
                    role.target.connection_id, role.target.max_in_flight, self._lease
                ):
                    await self._confirm()
                    began = loop.time()
                    answer = await self._try(call, role, chosen)
                answer = replace(answer, seconds=round(loop.time() - began, 4), notes=tuple(notes))
                note = _refused_control(answer, chosen, role)
                if note is None:
                    return answer
                self._refuses.add(self._quirk(call.role, note))
                notes.append(note)
            except _PASSING:
                if tried >= TRIES:
                    raise
                log.info("a provider is asked again", extra={"tried": tried}, exc_info=True)
                await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 (jitter, no secret)
                pause = min(pause * self._growth, LONGEST_PAUSE)

    async def _try(self, call: ModelCall, role: RoleModel, chosen: dict[str, Any]) -> ModelAnswer:
        """One try: what the model answers, that it took too long, or that this very request is refused."""
        try:
            with provider_call(role.target.provider):
                async with asyncio.timeout(call.timeout):
                    return self._answer(role, await self._send(call, role, chosen))
        except ProviderUnreachedError:
            raise
        except (TimeoutError, ProviderTimeoutError):
            return ModelAnswer(outcome=StepOutcome.TIMED_OUT)
        except (ProviderInputError, UnsupportedControlError) as error:
            return ModelAnswer(outcome=StepOutcome.REFUSED, text=_storable(error.detail))

    def _controls(self, call: ModelCall, role: RoleModel) -> dict[str, Any]:
        """How the model is asked, without what it is known to refuse."""
        chosen: dict[str, Any] = {}
        if role.max_tokens is not None:
            chosen["max_tokens"] = role.max_tokens
        if role.temperature is not None and not self._refused(call, TEMPERATURE_UNSUPPORTED):
            chosen["temperature"] = role.temperature
        if (
            call.schema is not None
            and role.structured != "off"
            and not self._refused(call, SCHEMA_UNSUPPORTED)
        ):
            chosen["json_mode"] = {"title": call.schema_name, **call.schema}
        return chosen

    async def _send(self, call: ModelCall, role: RoleModel, chosen: dict[str, Any]) -> ChatResponse:
        request = ChatRequest(
            messages=[
                ChatMessage(role="system", content=call.system),
                ChatMessage(role="user", content=call.user),
            ],
            model=role.model,
            settings=role.target.settings,
            timeouts=_timeouts(role.target.timeouts, call.timeout),
            controls=with_own_context(role.target, ChatControls.model_validate(chosen)),
        )
        with call_span(role.target, role.model) as span:
            response = await role.target.service(self._client).send_message(request)
            call_ended(span, response)
        return response

    def _answer(self, role: RoleModel, response: ChatResponse) -> ModelAnswer:
        usage = response.usage
        read = usage.input_tokens if usage else None
        written = usage.output_tokens if usage else None
        count_tokens("experiment", read, written)
        if role.prices is not None:
            self.cost += cost_of(role.prices, read, written)
        return ModelAnswer(
            outcome=StepOutcome.ANSWERED,
            text=_storable(response.content),
            model=response.metadata.get("model") or role.model,
            input_tokens=read,
            output_tokens=written,
        )

    def _refused(self, call: ModelCall, note: str) -> bool:
        return self._quirk(call.role, note) in self._refuses

    def _quirk(self, role: str | None, note: str) -> tuple[str, str, str]:
        """What a model does not take is the same for all the roles that it plays."""
        named = self._roles[role]
        return (str(named.target.connection_id), named.model, note)


def _refused_control(answer: ModelAnswer, chosen: Mapping[str, Any], role: RoleModel) -> str | None:
    """What the model does not take, when it was offered and the refusal speaks of it."""
    if answer.outcome is not StepOutcome.REFUSED:
        return None
    told = answer.text.lower()
    if "temperature" in chosen and "temperature" in told:
        return TEMPERATURE_UNSUPPORTED
    speaks_of_schema = any(word in told for word in ("schema", "response_format", "json", "grammar"))
    dispensable = "json_mode" in chosen and role.structured == "auto"
    return SCHEMA_UNSUPPORTED if dispensable and speaks_of_schema else None


def cost_of(prices: Prices, read: int | None, written: int | None) -> float:
    """What so many tokens cost."""
    return float(((read or 0) * prices.input + (written or 0) * prices.output) / 1_000_000)


def _timeouts(timeouts: CallTimeouts, limit: float) -> CallTimeouts:
    """Those of a call that may take ``limit`` seconds: a provider that cannot be reached is found to be away
    before the model is found to be slow.
    """
    return replace(timeouts, connect=min(timeouts.connect, limit / CONNECTS))


def _storable(text: str) -> str:
    """Text that Postgres gives back as it was given: without NUL and halves of surrogate pairs."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
