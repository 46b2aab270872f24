"""What can go wrong with a script, as its author sees it."""

from __future__ import annotations


class ScriptSyntaxError(Exception):
    """The script does not compile, or uses something that scripts may not.

    `line` and `column` count from 1; either is None where the fault has no place.
    """

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


class CallFailed(Exception):  # noqa: N818  (the name is the contract with the process part)
    """The host refused or failed a call of a `ctx` function.

    `type` names the exception that the script sees: "GenerationError", or a builtin one; anything else
    becomes a RuntimeError. A "LimitError" ends the script. `code` is a GenerationError's; where it is empty
    it is taken from the head of the message ("provider_timeout: …").
    """

    def __init__(self, type: str, message: str, code: str = "") -> None:
        super().__init__(message)
        self.type = type
        self.message = message
        self.code = code


class GenerationError(Exception):
    """A model call failed: `ctx.GenerationError` of scripts, with `.code` and `.message`."""

    def __init__(self, message: object = "", code: object = "generation_failed") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class ModulesTooDeepError(RecursionError):
    """Modules run one another too deep, or in a circle: a `RecursionError` that says which ones."""


class LimitReached(BaseException):
    """A limit that a script may not catch; no exception that a script can name is a base of this."""
