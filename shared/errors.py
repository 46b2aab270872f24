"""The errors that Parley raises on purpose: each a type with a stable code, translated once at the edge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class ParleyError(Exception):
    """An expected failure, told to the client as it is: ``detail`` must hold no secret and no inner address.

    Attributes:
        code: stable, snake_case name that clients may match on.
        status: HTTP status that the edge answers with.
        title: one line, the same for every error of this type.
        detail: what went wrong this time, and the remedy.
        errors: for invalid input, one ``{field, message}`` for each fault.
        headers: HTTP headers that belong to the answer (``Retry-After``).
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something failed inside Parley"

    def __init__(
        self,
        detail: str = "",
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.detail = detail or self.title
        self.errors = [dict(error) for error in errors]
        self.headers = dict(headers or {})
        super().__init__(self.detail)


class ValidationError(ParleyError):
    """The request is understood but not valid; ``errors`` names the fields."""

    code = "validation_error"
    status = 422
    title = "The request is not valid"


class NotFoundError(ParleyError):
    """It does not exist, or belongs to somebody else: the two are not told apart."""

    code = "not_found"
    status = 404
    title = "Not found"


class PersonaNotFoundError(NotFoundError):
    """No such persona of this caller."""

    code = "persona_not_found"
    title = "Persona not found"


class ConversationNotFoundError(NotFoundError):
    """No such conversation of this caller."""

    code = "conversation_not_found"
    title = "Conversation not found"


class MessageNotFoundError(NotFoundError):
    """No such message in this conversation."""

    code = "message_not_found"
    title = "Message not found"


class ConnectionNotFoundError(NotFoundError):
    """No such provider connection of this caller."""

    code = "connection_not_found"
    title = "Connection not found"


class UnknownModuleError(NotFoundError):
    """No such module of this caller."""

    code = "module_not_found"
    title = "Module not found"


class SessionNotFoundError(NotFoundError):
    """No such job of this caller."""

    code = "session_not_found"
    title = "Session not found"


class ExperimentNotFoundError(NotFoundError):
    """No such experiment of this caller."""

    code = "experiment_not_found"
    title = "Experiment not found"


class TraceNotFoundError(NotFoundError):
    """The turn has left no trace: it has not begun, or none is kept any more."""

    code = "trace_not_found"
    title = "The turn has no trace"


class ModelNotFoundError(ParleyError):
    """The provider does not have the model that was asked for."""

    code = "model_not_found"
    status = 404
    title = "Model not found"


class NameTakenError(ParleyError):
    """The owner already has one of that name."""

    code = "name_taken"
    status = 409
    title = "The name is taken"


class TooManyModulesError(ParleyError):
    """The owner has as many modules as one may have, or as much text in them."""

    code = "too_many_modules"
    status = 409
    title = "There is no room for more modules"


class ConversationBusyError(ParleyError):
    """A turn of the conversation is active or waiting, and ``on_busy`` is ``reject``."""

    code = "conversation_busy"
    status = 409
    title = "The conversation is busy"


class IdempotencyKeyReusedError(ParleyError):
    """The ``Idempotency-Key`` was used with another body."""

    code = "idempotency_key_reused"
    status = 422
    title = "The Idempotency-Key was used for another request"


class SecretErasedError(ParleyError):
    """The key that was sent with the job was erased when it ended."""

    code = "secret_erased"
    status = 409
    title = "The key of this job was erased"


class JobNotEndedError(ParleyError):
    """Only an ended job can be retried."""

    code = "job_not_ended"
    status = 409
    title = "The job has not ended"


class ExperimentRunningError(ParleyError):
    """The experiment's run has not ended."""

    code = "experiment_running"
    status = 409
    title = "The experiment has not ended"


class ExperimentNotFinishedError(ParleyError):
    """Only an experiment whose run came to its end can be replayed."""

    code = "experiment_not_finished"
    status = 409
    title = "The experiment did not come to its end"


class ResultNotReadyError(ParleyError):
    """The experiment has no result yet."""

    code = "result_not_ready"
    status = 409
    title = "The experiment has no result yet"


class UnauthorizedError(ParleyError):
    """No API key, or one that is unknown, revoked or malformed."""

    code = "unauthorized"
    status = 401
    title = "An API key is needed"


class InvalidEventIdError(ParleyError):
    """A ``Last-Event-ID`` that is malformed or that this job cannot have sent."""

    code = "invalid_event_id"
    status = 400
    title = "The event id makes no sense"


class NoWorkerError(ParleyError):
    """No worker took up a short operation in time."""

    code = "no_worker"
    status = 503
    title = "No worker answered"


class ScriptsRefusedError(ParleyError):
    """Scripts cannot be confined on the machine of the worker that answered, so that none runs there."""

    code = "scripts_refused"
    status = 503
    title = "Scripts are refused on this machine"


class NotReadyError(ParleyError):
    """A server that Parley needs does not answer."""

    code = "not_ready"
    status = 503
    title = "A part of Parley does not answer"


class ShuttingDownError(ParleyError):
    """The gateway is stopping; another one will answer."""

    code = "shutting_down"
    status = 503
    title = "The gateway is shutting down"


class ProviderError(ParleyError):
    """The model's provider failed; what it said before is kept."""

    code = "provider_error"
    status = 502
    title = "The provider failed"


class ProviderConnectionError(ProviderError):
    """The provider could not be reached, or the connection broke."""

    code = "provider_connection_error"
    title = "The provider cannot be reached"


class ProviderAuthenticationError(ProviderError):
    """The provider refused the key (401 or 403)."""

    code = "provider_authentication_error"
    title = "The provider refused the key"


class ProviderRateLimitedError(ProviderError):
    """The provider answered 429, also after the retries."""

    code = "provider_rate_limited"
    title = "The provider limits the rate"


class ProviderTimeoutError(ProviderError):
    """The provider did not answer, or stopped answering, within a timeout."""

    code = "provider_timeout"
    status = 504
    title = "The provider took too long"


class ProviderUnreachedError(ProviderTimeoutError):
    """No connection to the provider came about in time."""


class ProviderRequestError(ProviderError):
    """The provider refused the request (another 4xx)."""

    code = "provider_request_error"
    title = "The provider refused the request"


class ProviderInputError(ProviderRequestError):
    """The provider refused what was sent (400, 413, 422): too long, filtered, a control it does not take.

    Sent again, it would be refused again; another request may be answered.
    """


class ProviderUnavailableError(ProviderError):
    """The provider answered with a server error (5xx), also after the retries."""

    code = "provider_unavailable"
    title = "The provider is not available"


class ProviderResponseError(ProviderError):
    """The provider's answer cannot be understood: not JSON, truncated, or empty."""

    code = "provider_response_error"
    title = "The provider's answer cannot be understood"


class UnsupportedProviderError(ParleyError):
    """No such provider type."""

    code = "unsupported_provider_error"
    status = 422
    title = "The provider is not supported"


class UnsupportedControlError(ParleyError):
    """A chat control that this provider has no form for."""

    code = "unsupported_control"
    status = 422
    title = "The provider does not support this control"


class OutboundAddressError(ParleyError):
    """An address that Parley does not connect to."""

    code = "outbound_address_refused"
    status = 422
    title = "The address is refused"
