"""Failed turns as OpenAI's clients know them."""

from __future__ import annotations

from gateway.turns import TurnFailedError
from shared.errors import ParleyError

#: What a failure is answered with when it is not 502: those that the caller can mend, or wait out.
_STATUS = {
    "connection_not_found": 404,
    "model_not_found": 404,
    "provider_rate_limited": 429,
    "provider_request_error": 400,
    "provider_timeout": 504,
    "unsupported_control": 400,
    "validation_error": 400,
}


class CompletionFailedError(ParleyError):
    """A turn failed; its code and status are those of the failure."""

    title = "The turn failed"

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.__dict__.update(code=code, status=_STATUS.get(code, 502))

    @classmethod
    def of(cls, error: TurnFailedError) -> CompletionFailedError:
        """The same failure, told here."""
        return cls(error.code, error.detail)


class CompletionCancelledError(ParleyError):
    """Somebody cancelled the turn while this client waited for it."""

    code = "cancelled"
    status = 409
    title = "The turn was cancelled"

    def __init__(self) -> None:
        # The official clients would send a 409 again, which somebody has just decided against.
        super().__init__(headers={"x-should-retry": "false"})


class StreamInterruptedError(ParleyError):
    """The answer begins again from the start, and this protocol cannot take back what was sent."""

    code = "stream_interrupted"
    status = 502
    title = (
        "The worker that was answering was lost, and what it had said cannot be taken back here; "
        "send the request again"
    )
