"""The picture of the payoffs under all four principles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.schemas.experiment.terms import FOUR_PRINCIPLES
from workers.experiment.report.chart import Picture, Table, axes, blank, grid, label_margin, svg
from workers.experiment.report.palette import INK, LOOKS, dollars, ink_on, named, shortened


def payoffs(result: Mapping[str, Any]) -> Picture:
    """What the group's decision paid each agent, and what each principle would have paid its class."""
    paid = [
        (agent["name"], after)
        for agent in result["agents"]
        if (after := (agent["phase_2"] or {}).get("post_group_discussion"))
        and after["payoff_received"] is not None
    ]
    return Picture(
        key="payoffs",
        title="Payoffs of the group's decision, under all four principles",
        alt=_in_words(paid),
        svg=_draw(paid) if paid else None,
        table=Table(
            ("Agent", "Class", "Paid", *(named(principle) for principle in FOUR_PRINCIPLES), "Balance"),
            tuple(
                (
                    name,
                    _place(after),
                    dollars(after["payoff_received"]),
                    *(
                        dollars(after["counterfactual_payoffs"].get(principle))
                        for principle in FOUR_PRINCIPLES
                    ),
                    dollars(after["bank_balance"]),
                )
                for name, after in paid
            ),
        ),
        notes=(
            "Bars: what the class that the agent was put in is paid under each principle. "
            "Line: what it was paid.",
        ),
    )


def _draw(paid: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    figure = blank(0.9 + 0.62 * len(paid))
    names = [f"{shortened(name, 16)}, {_place(after)}" for name, after in paid]
    ax = axes(figure, label_margin(names, columns=40), 0.5, 0.35, 0.35)
    highest = max(
        max(after["payoff_received"], *after["counterfactual_payoffs"].values()) for _, after in paid
    )
    for place, principle in enumerate(FOUR_PRINCIPLES):
        look = LOOKS[principle]
        heights = [after["counterfactual_payoffs"].get(principle) or 0.0 for _, after in paid]
        rows = [row + (place - 1.5) * 0.2 for row in range(len(paid))]
        ax.barh(rows, heights, height=0.18, color=look.colour, label=look.name)
        for row in rows:
            ax.text(0.008 * highest, row, look.sign, va="center", fontsize=6.5, color=ink_on(look.colour))
    for row, (_, after) in enumerate(paid):
        ax.plot(
            [after["payoff_received"]] * 2,
            [row - 0.42, row + 0.42],
            color=INK,
            linewidth=2,
            label="paid" if not row else None,
        )
    ax.set_yticks(range(len(paid)), names)
    ax.set_ylim(len(paid) - 0.5, -0.5)
    ax.set_xlim(0, 1.05 * highest or 1)
    ax.set_xlabel("dollars")
    grid(ax, "x")
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper left", ncols=5, frameon=False, fontsize=7.5)
    return svg(figure, "payoffs")


def _in_words(paid: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    if not paid:
        return "Nothing was paid."
    return "Paid: " + "; ".join(f"{name} {dollars(after['payoff_received'])}" for name, after in paid) + "."


def _place(after: Mapping[str, Any]) -> str:
    return shortened(after["class_put_in"].replace("_", " "), 16)
