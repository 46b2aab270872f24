r"""The grammar of templates: text with ``@name`` references, ``\@`` escapes and ``${variable}`` places.

One pass over the text makes a tree; the tree renders back to exactly the text. What a character means never
depends on what a reference stands for, and text that is put in a place later is not looked at again.

- A **reference** is ``@`` and a module's name: a small letter, then up to 49 of ``a-z 0-9 _``. A name is read
  to its end: ``@foobar`` is never ``@foo`` with something behind it, and what is no name as a whole
  (``@Foo``, ``@fooBar``, 51 characters) is text as a whole. Scripts without capital letters end a name:
  ``@greeting你好`` is a reference and two characters.
- ``@`` right behind a letter, a digit or ``_`` is text, so that ``someone@example.org`` stays an address;
  right behind a reference it begins the next one.
- ``\@`` is an **escape** and stands for ``@``. No other character is escaped, so ``\\@`` is a backslash and
  an escape.
- A **variable** is ``${name}``; its name is a letter or ``_``, then letters, digits and ``_`` (ASCII).
- Everything else is **text**: a lone ``@``, ``$``, ``{`` or ``\``, an empty or open ``${``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

#: Longest name of a module.
MAX_NAME = 50
#: What a module may be called, whole.
NAME_PATTERN = r"^[a-z][a-z0-9_]{0,49}$"

#: What may be more than text. A name with nothing of a word behind it, which is nearly every one, has its own
#: alternative; any other word behind ``@`` is looked at character by character.
_TOKEN = re.compile(r"(\\@)|@([a-z][a-z0-9_]{0,49})(?!\w)|@(\w+)|\$\{([a-zA-Z_][a-zA-Z0-9_]*)\}")
_NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)


class Position(NamedTuple):
    """A place in a template: ``offset`` counts characters from 0, ``line`` and ``column`` count from 1."""

    offset: int
    line: int
    column: int


# Pieces are never changed. They are not frozen all the same: frozen ones take thrice as long to make, and a
# long template has thousands.


@dataclass(slots=True, unsafe_hash=True)
class Text:
    """Text that stands for itself; ``at`` is its offset."""

    text: str
    at: int

    @property
    def source(self) -> str:
        """What the author wrote."""
        return self.text


@dataclass(slots=True, unsafe_hash=True)
class Reference:
    """``@name``: the place of a module's text."""

    name: str
    at: int

    @property
    def source(self) -> str:
        """What the author wrote."""
        return f"@{self.name}"


@dataclass(slots=True, unsafe_hash=True)
class Escape:
    r"""``\@``: an ``@`` that begins no reference."""

    at: int

    @property
    def source(self) -> str:
        """What the author wrote."""
        return "\\@"


@dataclass(slots=True, unsafe_hash=True)
class Variable:
    """``${name}``: the place of a variable's value."""

    name: str
    at: int

    @property
    def source(self) -> str:
        """What the author wrote."""
        return f"${{{self.name}}}"


Piece = Text | Reference | Escape | Variable


@dataclass(frozen=True, slots=True)
class Misspelt:
    """What looks like a reference and is none, as ``@Foo``; ``text`` is without the ``@``."""

    text: str
    at: int
    reason: str


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template.

    Attributes:
        pieces: in order; together they are the whole text.
        names: of the modules it refers to, each once, in first-seen order.
        variables: names of its variables, likewise.
        misspelt: what was probably meant to be a reference; it is text.
    """

    pieces: tuple[Piece, ...]
    names: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    misspelt: tuple[Misspelt, ...] = ()

    @property
    def source(self) -> str:
        """The tree rendered back: exactly the text that was parsed."""
        return "".join([piece.source for piece in self.pieces])

    @property
    def references(self) -> tuple[Reference, ...]:
        """Every reference, repeated ones too."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Reference))

    def position(self, at: int) -> Position:
        """Line and column of an offset."""
        return position(self.source, at)


def position(source: str, at: int) -> Position:
    """Line and column of an offset in ``source``."""
    return Position(at, source.count("\n", 0, at) + 1, at - source.rfind("\n", 0, at))


def parse(text: str) -> Template:
    """The tree of ``text``. Every text is a template: nothing is refused."""
    pieces: list[Piece] = []
    misspelt: list[Misspelt] = []
    names: dict[str, None] = {}
    variables: dict[str, None] = {}
    add = pieces.append
    begin = 0  # of the text that is in no piece yet
    stop = 0  # of the last token
    parts = _TOKEN.split(text)
    rest = iter(parts)
    for before, escape, name, word, variable in zip(rest, rest, rest, rest, rest, strict=False):
        start = stop + len(before)
        piece: Piece
        if name is not None or word is not None:
            stop = start + 1 + len(name or word)
            if start > begin and (last := text[start - 1]) not in " \n" and _in_word(last):
                continue
            if name is None:
                name = _word(word)
                reason = _no_name(name)
                if reason is not None:
                    misspelt.append(Misspelt(name, start, reason))
                if reason is not None or not name:
                    continue
            names[name] = None
            piece = Reference(name, start)
            end = start + 1 + len(name)
        elif variable is not None:
            stop = end = start + 3 + len(variable)
            variables[variable] = None
            piece = Variable(variable, start)
        else:
            stop = end = start + len(escape)
            piece = Escape(start)
        if start > begin:
            add(Text(text[begin:start], begin))
        add(piece)
        begin = end
    if begin < len(text):
        add(Text(text[begin:], begin))
    return Template(tuple(pieces), tuple(names), tuple(variables), tuple(misspelt))


def names(text: str) -> list[str]:
    """The modules that ``text`` refers to, each once, in first-seen order."""
    return list(parse(text).names)


def _in_word(character: str) -> bool:
    """Whether a letter of an alphabet with capitals, a digit or ``_``: what a word goes on with."""
    return character == "_" or character.islower() or character.isupper() or character.isdigit()


def _word(run: str) -> str:
    """What of ``run`` is one word, from its beginning."""
    for at, character in enumerate(run):
        if not _in_word(character):
            return run[:at]
    return run


def _no_name(word: str) -> str | None:
    """Why ``word`` is no module's name; an empty one is nothing at all."""
    if len(word) > MAX_NAME:
        return f"a name has at most {MAX_NAME} characters"
    if word and not _NAME.fullmatch(word):
        return "a name begins with a small letter and has only a-z, 0-9 and _"
    return None
