"""The picture of the agents' memories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.experiment.report.chart import COLUMN, Picture, Table, axes, blank, grid, svg
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
    figure = blank(2.9)
    right = 0.25 + COLUMN * max(width(name) for name in names.values())
    ax = axes(figure, 0.75, 0.55, right, 0.15)
    ends = []
    for (name, counts), (colour, marker, dashes) in zip(known.items(), LINES * len(known), strict=False):
        ax.plot(
            range(len(counts)),
            counts,
            color=colour,
            marker=marker,
            linestyle=dashes,
            markersize=4,
            linewidth=1.6,
            clip_on=False,
        )
        ends.append((counts[-1], len(counts) - 1, names[name]))
    ax.set_ylim(0, 1.08 * max(max(counts) for counts in known.values()) or 1)
    ax.set_xlim(0, max(longest - 1, 1))
    step = max(1, longest // 12)
    marks = range(0, longest, step)
    ax.set_xticks(marks, ["phase 1" if not mark else str(mark) for mark in marks])
    ax.set_xlabel("round")
    ax.set_ylabel("characters")
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    grid(ax)
    _name_ends(ax, ends)
    return svg(figure, "memory")


def _name_ends(ax: Any, ends: list[tuple[int, int, str]]) -> None:
    """Names at the ends of the lines, moved apart where they would lie upon each other."""
    lowest, highest = ax.get_ylim()
    gap = (highest - lowest) * 0.07
    at = float("-inf")
    for size, column, name in sorted(ends):
        at = max(float(size), at + gap)
        ax.annotate(
            name,
            xy=(column, size),
            xytext=(column + (ax.get_xlim()[1]) * 0.02, at),
            va="center",
            fontsize=8,
            annotation_clip=False,
        )
