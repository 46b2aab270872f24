"""Drawing: figures without global state, and the same bytes for the same data."""

from __future__ import annotations

import io
import re
import threading
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from workers.experiment.report.palette import GRID, INK, PALE, ink_on, legible, shortened, width

# matplotlib reads these from its one global table while it draws; nothing else here draws with it.
matplotlib.rcParams.update(
    {
        # Text stays text: it can be searched, read aloud, and shown in fonts that this machine has not.
        "svg.fonttype": "none",
        # Ids would be random.
        "svg.hashsalt": "parley",
        # What agents are called is no formula, whatever dollar signs are in it.
        "text.parse_math": False,
        "text.usetex": False,
        "font.family": ["DejaVu Sans"],
        "font.size": 9.0,
        "axes.edgecolor": PALE,
        "axes.labelcolor": INK,
        "axes.titlesize": 9.0,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
    }
)

#: Widths in inches: of a picture, and of one column of text of 9 points.
PICTURE = 7.0
COLUMN = 0.085

#: What a browser shows the text in; those without Latin letters only follow.
FONTS = (
    "'DejaVu Sans', 'Segoe UI', 'Helvetica Neue', Arial, 'Noto Sans CJK SC', 'PingFang SC', "
    "'Microsoft YaHei', sans-serif"
)

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_drawing = threading.RLock()


@dataclass(frozen=True, slots=True)
class Table:
    """The same as a picture, in numbers."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture with what it says in words, and its table; without data there is no picture.

    Attributes:
        key: its name in the file.
        alt: what it shows, for who does not see it.
        svg: an element of SVG, or ``None``.
        notes: how it is to be read.
    """

    key: str
    title: str
    alt: str
    svg: str | None
    table: Table
    notes: tuple[str, ...] = ()


def blank(height: float, *, wide: float = PICTURE) -> Figure:
    """An empty figure of so many inches."""
    figure = Figure(figsize=(wide, height), facecolor="white")
    FigureCanvasSVG(figure)
    return figure


def axes(figure: Figure, left: float, bottom: float, right: float, top: float) -> Axes:
    """Axes with these margins in inches. They are set, not measured: of a font that is not here the width is
    not known, either.
    """
    wide, high = figure.get_size_inches()
    return figure.add_axes(
        (left / wide, bottom / high, (wide - left - right) / wide, (high - bottom - top) / high)
    )


def label_margin(labels: Sequence[str], *, columns: int = 24) -> float:
    """Inches for such labels beside an axis."""
    return 0.25 + COLUMN * max((width(shortened(label, columns)) for label in labels), default=0)


def cells(
    ax: Axes,
    rows: Sequence[str],
    columns: Sequence[str],
    filled: dict[tuple[int, int], tuple[str, str, bool]],
) -> None:
    """A grid of rows and columns; a cell has a colour and a text, or is empty but for the text."""
    for (row, column), (colour, text, empty) in sorted(filled.items()):
        ax.add_patch(
            Rectangle(
                (column - 0.46, row - 0.42),
                0.92,
                0.84,
                facecolor="white" if empty else colour,
                edgecolor=PALE if empty else "none",
                linestyle="--",
                linewidth=0.8,
            )
        )
        ax.text(
            column, row, text, ha="center", va="center", color=INK if empty else ink_on(colour), fontsize=8
        )
    ax.set_xlim(-0.5, len(columns) - 0.5)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), [shortened(row, 24) for row in rows])
    ax.tick_params(length=0)
    for side in ax.spines.values():
        side.set_visible(False)


def grid(ax: Axes, axis: str = "y") -> None:
    """Thin lines behind the data."""
    ax.grid(True, axis="x" if axis == "x" else "y", color=GRID, linewidth=0.6)


def svg(figure: Figure, key: str) -> str:
    """The figure as an element of SVG for a page of HTML: its ids begin with ``key``, and nothing of the
    time or the place of drawing is in it.
    """
    for text in figure.findobj(Text):
        text.set_text(legible(text.get_text()))
    drawn = io.BytesIO()
    with _quiet():
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    root = ET.fromstring(drawn.getvalue())  # noqa: S314 - drawn above
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    _rename(root, key)
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-hidden", "true")
    for element in root.iter(f"{{{_SVG}}}text"):
        element.set("style", element.get("style", "").replace("'DejaVu Sans'", FONTS))
    with _drawing:
        ET.register_namespace("", _SVG)
        ET.register_namespace("xlink", _XLINK)
        return ET.tostring(root, encoding="unicode")


def _rename(root: ET.Element, key: str) -> None:
    """Ids that nothing points to are dropped; the others get the picture's name: a page has several."""
    used = {
        pointed
        for element in root.iter()
        for name, value in element.attrib.items()
        for pointed in _pointers(name, value)
    }
    for element in root.iter():
        for name, value in list(element.attrib.items()):
            if name == "id" and value not in used:
                del element.attrib[name]
            elif name == "id":
                element.set(name, f"{key}-{value}")
            elif _pointers(name, value):
                element.set(name, re.sub(r"^#|(?<=url\(#)", lambda found: f"{found[0]}{key}-", value))


def _pointers(name: str, value: str) -> list[str]:
    """The ids that an attribute points to."""
    if name in ("href", f"{{{_XLINK}}}href"):
        return [value.removeprefix("#")]
    return re.findall(r"url\(#([^)]+)\)", value)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warning that a character is not in the font: the reader's fonts show it, not this one's."""
    with _drawing, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        yield
