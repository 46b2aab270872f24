"""The picture of the rankings over the four checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.schemas.experiment.terms import FOUR_PRINCIPLES
from workers.experiment.report.chart import Picture, Table, axes, blank, grid, svg
from workers.experiment.report.palette import LOOKS, named, shortened

CHECKPOINTS = ("first", "explained", "applied", "final")
#: More panels than these are hard to read; the table has everybody.
MAX_PANELS = 12
_COLUMNS = 3

#: Ranks by principle at each checkpoint; ``None`` where there is no ranking.
Ranks = list[dict[str, float] | None]


def rankings(result: Mapping[str, Any]) -> Picture:
    """Each agent's ranks, and their mean, from the first ranking to the last."""
    everybody = {agent["name"]: _ranks(agent) for agent in result["agents"]}
    return Picture(
        key="rankings",
        title="Rankings over the four checkpoints",
        alt=_in_words(everybody),
        svg=_draw(everybody) if any(any(ranks) for ranks in everybody.values()) else None,
        table=Table(
            ("Agent", "Checkpoint", "1st", "2nd", "3rd", "4th", "Certainty"),
            tuple(_rows(result)),
        ),
        notes=(
            "Rank 1 is on top. Checkpoints: first sight, after the explanation, after four paid "
            "applications, after the group.",
        ),
    )


def waves(agent: Mapping[str, Any]) -> list[Mapping[str, Any] | None]:
    """An agent's four rankings as the result has them."""
    alone, group = agent["phase_1"] or {}, agent["phase_2"] or {}
    found = [
        (alone.get(key) or {}).get("ranking_result") for key in ("initial_ranking", "ranking_2", "ranking_3")
    ]
    return [*found, (group.get("post_group_discussion") or {}).get("final_ranking")]


def _ranks(agent: Mapping[str, Any]) -> Ranks:
    return [
        None if wave is None else {item["principle"]: float(item["rank"]) for item in wave["rankings"]}
        for wave in waves(agent)
    ]


def _mean(everybody: Sequence[Ranks]) -> Ranks:
    means: Ranks = []
    for place in range(len(CHECKPOINTS)):
        given = [ranks[place] for ranks in everybody]
        known = [rank for rank in given if rank is not None]
        means.append(
            {
                principle.value: sum(rank[principle.value] for rank in known) / len(known)
                for principle in FOUR_PRINCIPLES
            }
            if known
            else None
        )
    return means


def _draw(everybody: Mapping[str, Ranks]) -> str:
    shown = list(everybody.items())[: MAX_PANELS - 1]
    panels = [("Mean of all", _mean(list(everybody.values()))), *shown]
    rows = -(-len(panels) // _COLUMNS)
    figure = blank(0.55 + 1.75 * rows)
    high = figure.get_size_inches()[1]
    for place, (name, ranks) in enumerate(panels):
        row, column = divmod(place, _COLUMNS)
        left = 0.35 + column * 2.25
        top = 0.75 + row * 1.75
        ax = axes(figure, left, high - top - 1.2, 7.0 - left - 2.0, top)
        for principle, look in list(LOOKS.items())[: len(FOUR_PRINCIPLES)]:
            heights = [float("nan") if rank is None else rank[principle.value] for rank in ranks]
            ax.plot(
                range(len(CHECKPOINTS)),
                heights,
                color=look.colour,
                marker=look.marker,
                linestyle=look.dashes,
                markersize=5,
                linewidth=1.6,
                clip_on=False,
                label=look.name,
            )
        ax.set_title(shortened(name, 26), loc="left")
        ax.set_ylim(4.3, 0.7)
        ax.set_yticks(range(1, 5))
        ax.set_xlim(-0.2, len(CHECKPOINTS) - 0.8)
        ax.set_xticks(range(len(CHECKPOINTS)), CHECKPOINTS, fontsize=7)
        grid(ax)
        if not place:
            handles, labels = ax.get_legend_handles_labels()
            figure.legend(handles, labels, loc="upper left", ncols=4, frameon=False, fontsize=8)
    return svg(figure, "rankings")


def _rows(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for agent in result["agents"]:
        for checkpoint, wave in zip(CHECKPOINTS, waves(agent), strict=True):
            if wave is None:
                rows.append((agent["name"], checkpoint, "–", "–", "–", "–", "–"))
                continue
            order = sorted(wave["rankings"], key=lambda item: item["rank"])
            rows.append(
                (
                    agent["name"],
                    checkpoint,
                    *(named(item["principle"]) for item in order),
                    (wave["certainty"] or "–").replace("_", " "),
                )
            )
    return rows


def _in_words(everybody: Mapping[str, Ranks]) -> str:
    first: list[str] = []
    last: list[str] = []
    for ranks in everybody.values():
        for place, found in ((0, first), (3, last)):
            rank = ranks[place]
            if rank:
                found.append(min(rank, key=lambda principle: rank[principle]))
    return f"First choices at the start: {_counted(first)}; at the end: {_counted(last)}."


def _counted(choices: Sequence[str]) -> str:
    if not choices:
        return "none is known"
    return ", ".join(
        f"{named(choice)} {choices.count(choice)}"
        for choice in sorted(set(choices), key=lambda choice: (-choices.count(choice), named(choice)))
    )
