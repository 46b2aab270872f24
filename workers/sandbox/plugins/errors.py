"""The failures that a script may catch."""

from __future__ import annotations

#: Characters of a message.
MAX_TEXT = 1000


class CallError(Exception):
    """A call of a ``ctx`` function that was refused or failed.

    Attributes:
        type: the exception that the script sees: the name of a builtin (``ValueError``, ``TypeError``,
            ``LookupError``, ``PermissionError``, …), ``GenerationError``, or ``LimitError``, which ends the
            script.
        message: what went wrong and the remedy; holds no secret and no inner address.
        code: for ``GenerationError`` the stable code of the failure (``provider_timeout``, …); it stands at
            the head of ``message``, too.
    """

    def __init__(self, type: str, message: str, code: str | None = None) -> None:
        self.type = type
        self.message = message if len(message) <= MAX_TEXT else message[: MAX_TEXT - 1] + "…"
        self.code = code
        super().__init__(f"{type}: {self.message}")


def generation_error(code: str, message: str) -> CallError:
    """What a script catches as ``ctx.GenerationError``."""
    return CallError("GenerationError", f"{code}: {message}", code)


class GenerationFailed(Exception):  # noqa: N818 - the name of the outcome, as the port tells it
    """A model call of a script brought no text.

    Attributes:
        code: stable and snake_case, as in a problem document (``provider_connection_error``, …).
        message: what went wrong, as a client may read it.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}")
