"""A turn as the gateway sees it: accepted, then followed until its client has what it asked for."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from gateway.auth import Caller
from gateway.idempotency import Once
from gateway.outbound import check_address
from gateway.state import GatewayState
from gateway.streaming.hub import Inbox
from shared.database.repositories import traces
from shared.errors import ParleyError, ShuttingDownError, TraceNotFoundError, ValidationError
from shared.jobs import new_turn
from shared.jobs.accept import accept_turn
from shared.jobs.answers import stored_reply
from shared.jobs.cancellation import Canceller
from shared.jobs.event_log import Entry
from shared.jobs.job import Job
from shared.jobs.new_turn import Acceptance, Basis, NewTurn
from shared.jobs.states import Phase, Status
from shared.logging import log_context
from shared.schemas.chat import Answer, TurnOptions
from shared.schemas.connection import SETTINGS, check_settings
from shared.schemas.controls import ProviderType, check_controls
from shared.schemas.events import EventId, EventType

logger = logging.getLogger(__name__)


class TurnFailedError(ParleyError):
    """A turn failed; its code tells why."""

    title = "The turn failed"

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        # The code and status of this one failure, over those of the class.
        self.__dict__.update(code=code, status=504 if code == "provider_timeout" else 502)


def provider_payload(
    state: GatewayState, caller: Caller, options: TurnOptions
) -> tuple[dict[str, Any], bytes | None]:
    """What the job's payload holds of how the turn is to be answered, and the encrypted key, if one was sent.

    Raises:
        ValidationError: the provider settings are not valid.
        OutboundAddressError: they lead where the caller's calls do not go.
    """
    payload: dict[str, Any] = {
        "controls": options.chat_controls.model_dump(exclude_none=True),
        "modules": options.modules,
    }
    if options.provider is None or options.provider_settings is None:
        return payload, None
    own = check_settings(options.provider, options.provider_settings)
    check_address(state, caller, options.provider, own, "provider_settings")
    given = own.model_dump(exclude_none=True, exclude={"api_key", "extra_headers"})
    secrets: dict[str, Any] = {}
    if own.api_key is not None:
        secrets["api_key"] = own.api_key.get_secret_value()
    if own.extra_headers:
        secrets["extra_headers"] = own.extra_headers
    payload["own_provider"] = {"provider": options.provider.value, "settings": given}
    payload["own_provider_key"] = bool(secrets)
    payload["own_provider_secrets"] = sorted(secrets)
    return payload, state.box.encrypt(secrets) if secrets else None


def check_answerable(options: TurnOptions) -> Callable[[Basis], None]:
    """The check that a turn can be answered: its controls have a form, its modules are there, and a model is
    named somewhere.
    """

    def check(basis: Basis) -> None:
        provider = options.provider or ProviderType(basis.provider or "")
        raw = options.provider_settings if options.provider is not None else basis.settings
        parsed = SETTINGS[provider].model_validate(raw)
        check_controls(provider, parsed, options.chat_controls)
        if basis.unknown_modules:
            raise ValidationError(
                "You have no active ON_DEMAND module called "
                f"{', '.join(basis.unknown_modules)}; GET /api/modules lists yours.",
                errors=[
                    {
                        "field": f"modules.{options.modules.index(name)}",
                        "message": "is no active ON_DEMAND module with a script",
                    }
                    for name in basis.unknown_modules
                ],
            )
        if not (options.model or basis.model or parsed.model):
            raise ValidationError(
                "Nothing says which model is to answer: send model, or set one in the connection.",
                errors=[{"field": "model", "message": "is missing"}],
            )

    return check


def once(given: Once, route: str) -> new_turn.Once | None:
    """The request's ``Idempotency-Key``, under the name that its routes share."""
    if given.key is None:
        return None
    return new_turn.Once(route=route, key=given.key, body_hash=given.body_hash)


class OpenTurn:
    """A turn and this client's place at its events; holds the subscription until it is closed."""

    def __init__(self, state: GatewayState, caller: Caller, acceptance: Acceptance) -> None:
        self._state = state
        self._caller = caller
        self.job: Job = acceptance.job
        self._position = acceptance.position
        self._stack = AsyncExitStack()
        self._inbox: Inbox | None = None

    @classmethod
    async def accept(
        cls, state: GatewayState, caller: Caller, turn: NewTurn, check: Callable[[Basis], None]
    ) -> OpenTurn:
        """Commit ``turn``, wake a worker, and listen to it.

        Raises:
            ParleyError: it was not accepted.
        """
        if state.stopping.is_set():
            raise ShuttingDownError(headers={"Retry-After": "1"})
        stack = AsyncExitStack()
        try:
            # Subscribed while the commit is under way, so that nothing waits for it afterwards.
            inbox = await stack.enter_async_context(state.jobs.hub.watch(turn.id))
            acceptance = await accept_turn(state.engine, turn, check)
            if acceptance.joined:
                await stack.aclose()
                return await cls.join(state, caller, acceptance.job)
        except BaseException:
            await stack.aclose()
            raise
        opened = cls(state, caller, acceptance)
        opened._stack, opened._inbox = stack, inbox
        with log_context(session_id=acceptance.job.id):
            logger.info("turn accepted", extra={"phase": acceptance.job.phase.value})
        if acceptance.job.phase is Phase.READY:
            state.jobs.spawn(state.jobs.wakeups.send(acceptance.job.kind, acceptance.job.id))
        if acceptance.interrupted:
            # Not on the request's path: what it asked for is committed, whatever becomes of this.
            state.jobs.spawn(_enforce(state.jobs.canceller, acceptance.interrupted))
        return opened

    @classmethod
    async def join(cls, state: GatewayState, caller: Caller, job: Job) -> OpenTurn:
        """Listen to a job that is there already."""
        opened = cls(state, caller, Acceptance(job))
        opened._inbox = await opened._stack.enter_async_context(state.jobs.hub.watch(job.id))
        return opened

    async def events(self, cursor: EventId | None = None) -> AsyncIterator[list[Entry]]:
        """Its events after ``cursor``, in batches; an empty batch is a sign of life."""
        if self._inbox is None:
            return
        async for batch in self._state.jobs.follower.follow(self.job, self._inbox, cursor):
            yield batch

    async def close(self, *, hung_up: bool = False) -> None:
        """Stop listening; a client that hung up on its last stream cancels a turn that asked for it."""
        await self._stack.aclose()
        if hung_up and self.job.on_disconnect == "cancel" and not self._state.stopping.is_set():
            self._state.jobs.spawn(self._cancel_if_alone())

    async def answer(self) -> Answer:
        """Wait for the answer.

        Raises:
            TurnFailedError: the turn failed.
            ShuttingDownError: the gateway stops before the answer is there.
        """
        warnings: list[dict[str, Any]] | None = []
        async for batch in self.events():
            for entry in batch:
                if entry.type == EventType.RESTART:
                    # What was told before is of an attempt that is tried again, or was lost with Redis.
                    warnings = None
                elif entry.type == EventType.WARNING:
                    if warnings is not None:
                        warnings.append(entry.payload())
                elif entry.type in {EventType.DONE, EventType.CANCELLED, EventType.ERROR}:
                    return await self._stored(warnings)
        raise ShuttingDownError(
            "The gateway is shutting down; the turn goes on. Ask another one for its events.",
            headers={"Retry-After": "1", "X-Session-ID": str(self.job.id)},
        )

    async def position(self) -> int | None:
        """How many jobs are before it, while it waits."""
        if self.job.phase not in (Phase.READY, Phase.WAITING):
            return None
        if self._position is not None:
            return self._position
        return await self._state.jobs.store.queue_position(self.job.id)

    async def _stored(self, warnings: list[dict[str, Any]] | None) -> Answer:
        job = await self._state.jobs.store.owned(self.job.id, self._caller.user_id)
        if job.status is Status.FAILED:
            error = job.error or {}
            raise TurnFailedError(error.get("code", "internal_error"), error.get("message", ""))
        reply = await stored_reply(self._state.jobs.store, job)
        return Answer(
            session_id=job.id,
            conversation_id=job.conversation_id,
            user_message_id=job.user_message_id,
            message_id=job.message_id,
            content=reply.content,
            thinking=reply.thinking,
            tool_calls=reply.tool_calls,
            metadata=(job.outcome or {}).get("metadata", {}),
            warnings=await self._traced_warnings() if warnings is None else warnings,
        )

    async def _traced_warnings(self) -> list[dict[str, Any]]:
        """What was warned of before the answer, as it was stored with it."""
        async with self._state.sessions() as session:
            try:
                trace = await traces.get(session, self._caller.user_id, self.job.id)
            except TraceNotFoundError:
                return []
        return [{**one, "session_id": str(self.job.id)} for one in trace["warnings"] if one["stage"] < 4]

    async def _cancel_if_alone(self) -> None:
        if not await self._state.jobs.hub.watched_elsewhere(self.job.id):
            # Stages 4 and 5 do not need the client: they end as those of any other turn.
            await self._state.jobs.canceller.cancel(self.job.id, unless_answered=True)


async def _enforce(canceller: Canceller, interrupted: Sequence[Job]) -> None:
    """Carry out the marks on turns that make way; the sweep does what fails."""
    for job in interrupted:
        try:
            await canceller.enforce(job)
        except (SQLAlchemyError, OSError) as error:
            logger.warning(
                "a turn that was interrupted waits for the sweep",
                extra={"session_id": str(job.id), "error": type(error).__name__},
            )
