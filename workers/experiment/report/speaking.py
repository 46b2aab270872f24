"""The picture of who spoke when, and for which principle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.experiment.report.chart import Picture, Table, axes, blank, cells, label_margin, svg
from workers.experiment.report.palette import UNKNOWN, look, named

#: A figure of more columns than these is split.
MAX_COLUMNS = 20
#: Of more cells than these the picture shows the last rounds; the table has all.
MAX_CELLS = 900


def speaking(result: Mapping[str, Any]) -> Picture:
    """A cell for each statement: its place in the round's order, and the principle that it speaks for."""
    names = [agent["name"] for agent in result["agents"]]
    shown = max(MAX_CELLS // len(names), 1)
    filled: dict[tuple[int, int], tuple[str, str, bool]] = {}
    rows: list[tuple[int, int, tuple[str, ...]]] = []
    numbers: list[int] = []
    for row, agent in enumerate(result["agents"]):
        rounds = (agent["phase_2"] or {}).get("rounds", [])
        numbers = [said["number_discussion_round"] for said in rounds] or numbers
        for column, said in enumerate(rounds):
            place, favoured = said["speaking_order"], said["favored_principle"]
            if place is None:
                continue
            seen = look(favoured)
            quarantined = bool(said["quarantined"])
            filled[row, column] = (seen.colour, f"{place} {seen.sign}", quarantined)
            told = "no valid statement" if quarantined else named(favoured)
            rows.append((numbers[column], place, (str(numbers[column]), str(place), agent["name"], told)))
    return Picture(
        key="speaking",
        title="Who spoke when, and for which principle",
        alt=_in_words(len(numbers), [named(row[2][3]) for row in rows]),
        svg=_draw(names, numbers[-shown:], _from_round(filled, len(numbers) - shown)) if filled else None,
        table=Table(("Round", "Place", "Agent", "Speaks for"), tuple(row[2] for row in sorted(rows))),
        notes=(
            "The number in a cell is the place in the round's speaking order, the letters are the principle "
            "that the statement speaks for as the utility agent reads it: "
            "F floor, A average, Af average with a floor, Ar average with a range, "
            "R range, M middle income, Ac average with a ceiling; "
            f"{UNKNOWN.sign} none. A dashed cell: no valid statement was had. No cell: did not speak.",
            *((f"The last {shown} rounds are shown.",) if len(numbers) > shown else ()),
        ),
    )


def _from_round(
    filled: Mapping[tuple[int, int], tuple[str, str, bool]], first: int
) -> dict[tuple[int, int], tuple[str, str, bool]]:
    """The cells from the column ``first`` on, which becomes the first one."""
    first = max(first, 0)
    return {(row, column - first): cell for (row, column), cell in filled.items() if column >= first}


def _draw(
    names: list[str], numbers: list[int], filled: Mapping[tuple[int, int], tuple[str, str, bool]]
) -> str:
    bands = [numbers[start : start + MAX_COLUMNS] for start in range(0, len(numbers), MAX_COLUMNS)]
    each = 0.3 * len(names) + 0.7
    figure = blank(each * len(bands))
    left = label_margin(names)
    for band, columns in enumerate(bands):
        start = band * MAX_COLUMNS
        # Rounds are as wide in the last band as in the first, and never wider than is nice.
        wide = min((7.0 - left - 0.1) / min(len(numbers), MAX_COLUMNS), 1.1) * len(columns)
        top = each * band + 0.15
        ax = axes(figure, left, each * (len(bands) - band - 1) + 0.55, 7.0 - left - wide, top)
        here = {
            (row, column - start): cell
            for (row, column), cell in filled.items()
            if start <= column < start + len(columns)
        }
        cells(ax, names, [str(number) for number in columns], here)
        ax.set_xlabel("round")
    return svg(figure, "speaking")


def _in_words(rounds: int, favoured: list[str]) -> str:
    if not favoured:
        return "Nobody spoke."
    counts = sorted({name: favoured.count(name) for name in favoured}.items(), key=lambda x: (-x[1], x[0]))
    return f"{len(favoured)} statements in {rounds} rounds: " + ", ".join(
        f"{name} {count}" for name, count in counts
    )
