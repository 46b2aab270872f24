"""New names for modules, in every place where the old ones stand: templates, contents, and scripts."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator, Mapping

from shared.schemas.template import Reference, parse

_NAME_LITERAL = re.compile(r"""[rRuU]?(?P<quote>'''|\"""|'|")@?(?P<name>[a-z][a-z0-9_]{0,49})(?P=quote)""")


class UnfollowedNameError(ValueError):
    """A name stands where it cannot be replaced; the text says where."""


def rename_references(text: str, names: Mapping[str, str]) -> str:
    """``text``, a template, with the references to ``names``' keys changed to its values.

    Raises:
        UnfollowedNameError: the changed text would refer to something else.
    """
    template = parse(text)
    changed = "".join(
        [
            f"@{names.get(piece.name, piece.name)}" if isinstance(piece, Reference) else piece.source
            for piece in template.pieces
        ]
    )
    if [reference.name for reference in parse(changed).references] != [
        names.get(reference.name, reference.name) for reference in template.references
    ]:
        raise UnfollowedNameError("what stands behind a reference would become part of the new name")
    return changed


def rename_run_modules(script: str, names: Mapping[str, str]) -> str:
    """``script`` with the strings that it gives to ``run_module`` changed.

    Only a plain string that is the call's first argument, or its ``name=``, is found. The script is not
    parsed (parsing what others wrote is for the sandbox): the caller compiles the result, and compares.

    Raises:
        UnfollowedNameError: the script cannot be split into tokens.
    """
    lines = script.split("\n")
    try:
        found = list(_named(script))
    except (tokenize.TokenError, SyntaxError) as error:
        raise UnfollowedNameError("the script cannot be split into tokens") from error
    for row, column, name in reversed(found):
        line = lines[row]
        lines[row] = line[:column] + names.get(name, name) + line[column + len(name) :]
    return "\n".join(lines)


def _named(script: str) -> Iterator[tuple[int, int, str]]:
    """Line and column (from 0) of each name that a ``run_module(…)`` is given, and the name."""
    wanted = 0  # how far into ``run_module ( [name =] "…"`` the tokens are
    steps = ("run_module", "(")
    waiting: tuple[int, int, str] | None = None  # a name, when nothing is joined to it behind
    for token in tokenize.generate_tokens(io.StringIO(script).readline):
        if token.type in (tokenize.NL, tokenize.COMMENT):
            continue
        if waiting is not None and token.string in (")", ","):
            yield waiting
        waiting = None
        if wanted < len(steps):
            wanted = wanted + 1 if token.string == steps[wanted] else int(token.string == steps[0])
        elif token.type == tokenize.STRING:
            if literal := _NAME_LITERAL.fullmatch(token.string):
                row, column = token.start
                waiting = row - 1, column + literal.start("name"), literal["name"]
            wanted = 0
        elif not (token.type == tokenize.NAME and token.string == "name") and token.string != "=":
            wanted = int(token.string == steps[0])
