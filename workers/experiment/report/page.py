"""HTML of a report. All of a result is data: :func:`text` makes it harmless, and nothing skips it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files

from workers.experiment.report.chart import Picture, Table
from workers.experiment.report.palette import legible

#: No script, nothing that is loaded: what a model wrote could do nothing even if it got out of its place.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


#: Rows of a table; a result of thousands of statements has them all.
MAX_ROWS = 1_000


def text(value: object) -> str:
    """``value`` as text of a page, without what would be markup there; control characters become blanks."""
    return escape(legible(str(value)), quote=True)


def page(title: str, body: Iterable[str]) -> str:
    """A whole document."""
    style = files("workers.experiment.report").joinpath("style.css").read_text("utf-8")
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{text(POLICY)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{text(title)}</title>",
            f"<style>\n{style}</style>",
            "</head>",
            "<body>",
            "<main>",
            *body,
            "</main>",
            "</body>",
            "</html>",
            "",
        )
    )


def facts(pairs: Mapping[str, object]) -> str:
    """Names and values; what is ``None`` is left out."""
    rows = (
        f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in pairs.items() if value is not None
    )
    return f"<dl>{''.join(rows)}</dl>"


def picture(shown: Picture) -> str:
    """A picture under its heading, with its notes, and its table to unfold."""
    notes = "".join(f"<figcaption>{text(note)}</figcaption>" for note in shown.notes)
    drawn = f'<p class="note">{text(shown.alt)}</p>'
    if shown.svg is not None:
        label = f'role="group" aria-label="{text(shown.title)}. {text(shown.alt)}"'
        drawn = f"<figure {label}>{shown.svg}{notes}</figure>"
    return f'<section id="{text(shown.key)}"><h2>{text(shown.title)}</h2>{drawn}{_folded(shown)}</section>'


def _folded(shown: Picture) -> str:
    if not shown.table.rows:
        return ""
    # Open: it is there on paper, too, and can be folded away on a screen.
    return f"<details open><summary>In numbers</summary>{table(shown.table)}</details>"


def table(shown: Table) -> str:
    """A table; columns of numbers are aligned to the right."""
    heads = "".join(f'<th scope="col">{text(head)}</th>' for head in shown.heads)
    rows = "".join(f"<tr>{_cells(row)}</tr>" for row in shown.rows[:MAX_ROWS])
    if len(shown.rows) > MAX_ROWS:
        more = f"and {len(shown.rows) - MAX_ROWS:,} more, in the result"
        rows += f'<tr><td colspan="{len(shown.heads)}">{more}</td></tr>'
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cells(row: Sequence[str]) -> str:
    return "".join(
        f'<td class="number">{text(cell)}</td>' if _number(cell) else f"<td>{text(cell)}</td>" for cell in row
    )


def _number(cell: str) -> bool:
    return cell.replace(",", "").replace(".", "").removeprefix("$").isdecimal()
