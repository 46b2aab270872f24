"""What reads an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

Read = TypeVar("Read", covariant=True)


class UnreadableError(Exception):
    """An answer that does not say what was asked.

    Attributes:
        code: what is wrong with it; ``reading.<code>`` in the catalogues tells the agent.
        details: the values of that text.
    """

    def __init__(self, code: str, **details: Any) -> None:
        super().__init__(code)
        self.code = code
        self.details: Mapping[str, Any] = details


class Reader(Protocol[Read]):
    """Reads answers to one kind of question. It is a pure function of the text: a replay reads it again."""

    @property
    def name(self) -> str:
        """Of the kind of question, for providers that want one with a schema: ``^[a-z_]+$``."""

    @property
    def schema(self) -> dict[str, Any] | None:
        """The JSON schema of an answer, for providers that have structured output; ``None``: free text."""

    def read(self, text: str) -> Read:
        """What ``text`` says.

        Raises:
            UnreadableError: it does not say it, or says two things.
        """
