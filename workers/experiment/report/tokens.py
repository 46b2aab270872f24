"""The picture of the tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workers.experiment.report.chart import Picture, Table, axes, blank, grid, label_margin, svg
from workers.experiment.report.palette import shortened

_READ, _WRITTEN = "#56B4E9", "#0072B2"
UTILITY = "utility agent"

#: Of more rounds than these some are counted together.
MAX_PLACES = 30

#: A name, and the tokens that were read and written.
Row = tuple[str, int, int]


def tokens(result: Mapping[str, Any]) -> Picture:
    """Tokens by who asked, and by where in the protocol."""
    usage = result["run"]["usage"]
    roles = [
        (row["role"] or UTILITY, row["input_tokens"], row["output_tokens"])
        for row in usage["by_role"]
        if row["calls"]
    ]
    places = by_place(usage["by_round"])
    calls = {row["role"] or UTILITY: row for row in usage["by_role"]}
    return Picture(
        key="tokens",
        title="Tokens",
        alt=f"{usage['calls']:,} calls read {usage['input_tokens']:,} tokens and wrote "
        f"{usage['output_tokens']:,}; {usage['reasked']:,} of them asked again.",
        svg=_draw(roles, places) if roles else None,
        table=Table(
            ("", "Calls", "Asked again", "Read", "Written"),
            (
                *(
                    (
                        name,
                        f"{calls[name]['calls']:,}",
                        f"{calls[name]['reasked']:,}",
                        f"{read:,}",
                        f"{written:,}",
                    )
                    for name, read, written in roles
                ),
                (
                    "all",
                    f"{usage['calls']:,}",
                    f"{usage['reasked']:,}",
                    f"{usage['input_tokens']:,}",
                    f"{usage['output_tokens']:,}",
                ),
            ),
        ),
    )


def by_place(rows: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Tokens of phase 1, of each round of phase 2, and of its end."""
    found: dict[str, tuple[int, int]] = {}
    last = max((row["round"] for row in rows if row["phase"] == 2 and row["round"] is not None), default=0)
    many = -(-last // MAX_PLACES)
    for row in rows:
        name = "phase 1"
        if row["phase"] == 2:
            name = "end" if row["round"] is None else _rounds(row["round"], many, last)
        read, written = found.get(name, (0, 0))
        found[name] = read + row["input_tokens"], written + row["output_tokens"]
    return [(name, read, written) for name, (read, written) in found.items()]


def _rounds(number: int, many: int, last: int) -> str:
    """The name of the round, or of so many rounds that it is among."""
    first = (number - 1) // many * many + 1
    end = min(first + many - 1, last)
    return f"round {first}" if first == end else f"rounds {first}–{end}"


def _draw(roles: Sequence[Row], places: Sequence[Row]) -> str:
    longest = max(len(roles), len(places))
    figure = blank(0.95 + 0.24 * longest)
    left = label_margin([name for name, _, _ in roles], columns=16)
    half = (7.0 - left - 0.85) / 2
    for rows, start, title in ((roles, left, "by who asked"), (places, left + half + 0.75, "by round")):
        spare = 0.24 * (longest - len(rows))
        ax = axes(figure, start, 0.45 + spare, 7.0 - start - half + 0.05, 0.5)
        ax.barh(range(len(rows)), [read for _, read, _ in rows], color=_READ, label="read")
        ax.barh(
            range(len(rows)),
            [written for _, _, written in rows],
            left=[read for _, read, _ in rows],
            color=_WRITTEN,
            label="written",
        )
        ax.set_yticks(range(len(rows)), [shortened(name, 16) for name, _, _ in rows])
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.set_title(title, loc="left")
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        ax.locator_params(axis="x", nbins=4)
        ax.tick_params(axis="x", labelsize=7)
        grid(ax, "x")
        if title == "by who asked":
            handles, labels = ax.get_legend_handles_labels()
            figure.legend(handles, labels, loc="upper left", ncols=2, frameon=False, fontsize=8)
    return svg(figure, "tokens")
