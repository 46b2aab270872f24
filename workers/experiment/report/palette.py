"""How principles look, in colour, in grey, and without either: each has a colour, a mark and a sign."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from shared.schemas.experiment.terms import Principle


@dataclass(frozen=True, slots=True)
class Look:
    """How a principle is drawn.

    Attributes:
        name: in words.
        sign: one or two letters for a cell.
        colour: of the palette of Okabe and Ito, which people tell apart whatever colours they see.
        marker: as matplotlib names it.
        dashes: of a line: its style as matplotlib names it.
    """

    name: str
    sign: str
    colour: str
    marker: str
    dashes: str


LOOKS = {
    Principle.MAXIMIZING_FLOOR: Look("Highest floor", "F", "#0072B2", "o", "-"),
    Principle.MAXIMIZING_AVERAGE: Look("Highest average", "A", "#E69F00", "s", "--"),
    Principle.MAXIMIZING_AVERAGE_FLOOR_CONSTRAINT: Look("Average with a floor", "Af", "#009E73", "^", "-"),
    Principle.MAXIMIZING_AVERAGE_RANGE_CONSTRAINT: Look("Average with a range", "Ar", "#D55E00", "D", "-."),
    Principle.MINIMIZING_RANGE: Look("Smallest range", "R", "#CC79A7", "v", ":"),
    Principle.MAXIMIZING_MEDIAN: Look("Highest middle income", "M", "#56B4E9", "P", ":"),
    Principle.MAXIMIZING_AVERAGE_CEILING_CONSTRAINT: Look(
        "Average with a ceiling", "Ac", "#F0E442", "X", ":"
    ),
}

UNKNOWN = Look("no principle", "·", "#D9D9D9", "x", ":")

#: Lines of agents: colour, marker and dashes, so that neighbours differ in all three.
LINES = tuple(
    (look.colour, look.marker, dashes)
    for dashes in ("-", "--", "-.", ":")
    for look in (*LOOKS.values(),)
    if look.sign != "Ac"
)

INK = "#1a1a1a"
PALE = "#8a8a8a"
GRID = "#d9d9d9"


def look(principle: str | None) -> Look:
    """How a principle of a result is drawn; what is no principle has a look of its own."""
    try:
        return LOOKS[Principle(principle)] if principle is not None else UNKNOWN
    except ValueError:
        return UNKNOWN


def named(principle: str | None, amount: float | None = None) -> str:
    """A principle in words, with its amount."""
    if principle is None:
        return "none"
    words = look(principle).name if look(principle) is not UNKNOWN else principle
    return words if amount is None else f"{words} of {money(amount)}"


def money(amount: float | None) -> str:
    """Dollars: cents only where there are some."""
    if amount is None:
        return "–"
    return f"${amount:,.0f}" if amount == int(amount) else f"${amount:,.2f}"


def dollars(amount: float | None) -> str:
    """Dollars and cents."""
    return "–" if amount is None else f"${amount:,.2f}"


def ink_on(colour: str) -> str:
    """Black or white, whichever is read better on ``colour`` (contrast as WCAG 2 defines it)."""

    def light(channel: float) -> float:
        return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4

    red, green, blue = (light(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#000000" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "#ffffff"


def legible(text: str) -> str:
    """``text`` with a blank for what cannot be shown: control characters, halves of characters."""
    return "".join(
        character
        if character == "\n" or unicodedata.category(character) not in ("Cc", "Cs", "Cn", "Co")
        else " "
        for character in text
    )


def width(text: str) -> int:
    """Columns that a text takes: two for a wide character."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def shortened(text: str, columns: int) -> str:
    """``text`` in so many columns; what is cut away is shown by an ellipsis."""
    text = " ".join(legible(text).split())
    if width(text) <= columns:
        return text
    kept = ""
    for character in text:
        if width(kept + character) > columns - 1:
            break
        kept += character
    return kept + "…"
