"""Text that a template, or a module's content, shows as it is."""

from __future__ import annotations

from shared.schemas.template import Escape, Reference, Variable, parse

#: Invisible and without width; it stands in ``${x}`` where the grammar has no escape.
_WORD_JOINER = "\u2060"


def literal(text: str) -> str:
    r"""A template that renders as ``text``: ``@name`` becomes ``\@name``.

    ``${x}`` cannot be escaped: it gets an invisible character behind its ``$``, which keeps it from being a
    variable, and is all that is not exactly ``text``.
    """
    template = parse(text)
    marks = {spelt.at for spelt in template.misspelt}
    places = set()
    for piece in template.pieces:
        if isinstance(piece, Reference | Escape):
            marks.add(piece.at)
        elif isinstance(piece, Variable):
            places.add(piece.at)
    if not marks and not places:
        return text
    parts = []
    begin = 0
    for at in sorted(marks | places):
        parts.append(text[begin:at])
        parts.append("$" + _WORD_JOINER if at in places else "\\")
        begin = at + 1 if at in places else at
    return "".join([*parts, text[begin:]])
