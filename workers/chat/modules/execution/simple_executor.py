"""Text modules: a template with its places filled."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from shared.schemas.template import Piece, Reference, Template, Text, Variable

#: Longest text that a template may become, in characters; modules that show one another twice grow fast.
MAX_TEXT = 1_000_000


class Missing:
    """What a variable is that nothing has set."""


MISSING: Final = Missing()


def shown(value: Any) -> str:
    """A value as it stands in a prompt: strings as they are, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


class SimpleModuleExecutor:
    """Fills the places of a template; what is put in is not looked at again."""

    def execute(
        self,
        template: Template,
        text: Callable[[Reference], str],
        value: Callable[[str], Any],
        too_long: Callable[[Piece], None],
    ) -> str:
        """The text that ``template`` becomes.

        Args:
            template: the module's content, or a persona's template.
            text: what stands in the place of a reference.
            value: what a variable is; ``MISSING`` leaves its place as it was written.
            too_long: told of a piece that is left out, since the text would be longer than ``MAX_TEXT``.
        """
        parts: list[str] = []
        room = MAX_TEXT
        for piece in template.pieces:
            if isinstance(piece, Text):
                part = piece.text
            elif isinstance(piece, Reference):
                part = text(piece)
            elif isinstance(piece, Variable):
                found = value(piece.name)
                part = piece.source if found is MISSING else shown(found)
            else:
                part = "@"
            if len(part) > room:
                too_long(piece)
                continue
            room -= len(part)
            parts.append(part)
        return "".join(parts)
