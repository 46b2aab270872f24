"""The picture of the agents' memories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.experiment.report.chart import COLUMN, PICTURE, Picture, Table, axes, blank, grid, svg
from workers.experiment.report.palette import LINES, shortened, width

#: Of more agents than these the picture shows those with the longest memories.
MAX_LINES = 16


def growth(result: Mapping[str, Any]) -> Picture:
    """Characters of each agent's memory, at the end of phase 1 and after every round."""
    sizes: Mapping[str, list[int]] = result["analysis"]["memory_growth"]
    known = {name: counts for name, counts in sizes.items() if counts}
    longest = max((len(counts) for counts in known.values()), default=0)
    largest = set(sorted(known, key=lambda name: (-known[name][-1], name))[:MAX_LINES])
    shown = {name: counts for name, counts in known.items() if name in largest}
    return Picture(
        key="memory",
        title="Memory growth",
        alt="; ".join(f"{name}: {counts[0]:,} to {counts[-1]:,} characters" for name, counts in known.items())
        or "No memory is known.",
        svg=_draw(shown, longest) if shown else None,
        table=Table(
            ("Agent", "Phase 1", *(f"Round {number}" for number in range(1, longest))),
            tuple(
                (name, *(f"{count:,}" for count in counts), *("–",) * (longest - len(counts)))
                for name, counts in known.items()
            ),
        ),
        notes=("Characters of each memory, at the end of phase 1 and after every round.",)
        + ((f"The {MAX_LINES} longest are shown.",) if len(known) > MAX_LINES else ()),
    )


def _draw(known: Mapping[str, list[int]], longest: int) -> str:
    names = {name: shortened(name, 18) for name in known}
    high = max(2.9, 0.7 + 0.22 * len(known))
    figure = blank(high)
    right = 0.8 + COLUMN * max(width(name) for name in names.values())
    ax = axes(figure, 0.75, 0.55, right, 0.15)
    # The names stand in the order in which the lines end.
    order = sorted(known.items(), key=lambda item: -item[1][-1])
    for (name, counts), (colour, marker, dashes) in zip(order, LINES, strict=False):
        ax.plot(
            range(len(counts)),
            counts,
            color=colour,
            marker=marker,
            linestyle=dashes,
            markersize=4,
            linewidth=1.6,
            clip_on=False,
            label=names[name],
        )
    ax.set_ylim(0, 1.08 * max(max(counts) for counts in known.values()) or 1)
    ax.set_xlim(0, max(longest - 1, 1))
    step = max(1, longest // 12)
    marks = range(0, longest, step)
    ax.set_xticks(marks, ["phase 1" if not mark else str(mark) for mark in marks])
    ax.set_xlabel("round")
    ax.set_ylabel("characters")
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    grid(ax)
    handles, labels = ax.get_legend_handles_labels()
    beside = (1 - (right - 0.1) / PICTURE, 1 - 0.1 / high)
    figure.legend(
        handles, labels, loc="upper left", bbox_to_anchor=beside, borderaxespad=0, frameon=False, fontsize=8
    )
    return svg(figure, "memory")
