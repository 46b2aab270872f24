"""The picture of the votes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.experiment.report.chart import Picture, Table, axes, blank, cells, label_margin, svg
from workers.experiment.report.palette import GRID, UNKNOWN, look, money, named

#: Of more votes than these the picture shows the last ones.
MAX_COLUMNS = 10


def votes(result: Mapping[str, Any]) -> Picture:
    """A column for each vote: the ballots, or who would not take part."""
    history = result["voting_history"]
    ballots = {vote["round_number"]: vote for vote in history["vote_rounds"]}
    refused = {
        attempt["round_number"]: attempt
        for attempt in history["vote_confirmation_attempts"]
        if attempt["round_number"] not in ballots
    }
    names = [agent["name"] for agent in result["agents"]]
    numbers = sorted({*ballots, *refused})
    return Picture(
        key="votes",
        title="Votes",
        alt=_in_words(history, len(refused)),
        svg=_draw(names, numbers[-MAX_COLUMNS:], ballots, refused) if numbers else None,
        table=Table(
            ("Round", "Agent", "Ballot", "Certainty", "Outcome"),
            tuple(_rows(numbers, ballots, refused)),
        ),
        notes=(
            "A ballot shows the principle (F floor, A average, Af average with a floor, Ar average with a "
            "range) and its amount; – is an abstention. Where a vote was called and not everybody took part, "
            "the column shows who would.",
        ),
    )


def _draw(
    names: list[str],
    numbers: list[int],
    ballots: Mapping[int, Mapping[str, Any]],
    refused: Mapping[int, Mapping[str, Any]],
) -> str:
    filled: dict[tuple[int, int], tuple[str, str, bool]] = {}
    heads = []
    for column, number in enumerate(numbers):
        vote = ballots.get(number)
        heads.append(f"round {number}\n{_outcome(vote)}")
        if vote is None:
            for row, name in enumerate(names):
                answer = refused[number]["confirmation_responses"].get(name)
                filled[row, column] = (GRID, (answer or "no answer").lower(), answer is None)
            continue
        for ballot in vote["participant_votes"]:
            seen = look(ballot["assessed_choice"])
            amount = ballot["constraint_amount"]
            text = "–" if seen is UNKNOWN else seen.sign + ("" if amount is None else f"\n{money(amount)}")
            filled[names.index(ballot["participant_name"]), column] = (seen.colour, text, seen is UNKNOWN)
    figure = blank(0.42 * len(names) + 0.75)
    left = label_margin(names)
    wide = min((7.0 - left - 0.1) / len(numbers), 1.2) * len(numbers)
    ax = axes(figure, left, 0.6, 7.0 - left - wide, 0.1)
    cells(ax, names, heads, filled)
    return svg(figure, "votes")


def _outcome(vote: Mapping[str, Any] | None) -> str:
    if vote is None:
        return "no ballot"
    return "decided" if vote["consensus_reached"] else "not decided"


def _rows(
    numbers: list[int], ballots: Mapping[int, Mapping[str, Any]], refused: Mapping[int, Mapping[str, Any]]
) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for number in numbers:
        vote = ballots.get(number)
        if vote is None:
            for name, answer in refused[number]["confirmation_responses"].items():
                rows.append(
                    (str(number), name, f"takes part: {(answer or 'no answer').lower()}", "–", "no ballot")
                )
            continue
        outcome = _outcome(vote)
        if vote["disagreement"]:
            outcome += f" ({vote['disagreement'].replace('_', ' ')})"
        for ballot in vote["participant_votes"]:
            cast = named(ballot["assessed_choice"], ballot["constraint_amount"])
            if ballot["assessed_choice"] is None:
                cast = f"abstains ({(ballot['abstention'] or 'unreadable').replace('_', ' ')})"
            certainty = (ballot["certainty"] or "–").replace("_", " ")
            rows.append((str(number), ballot["participant_name"], cast, certainty, outcome))
    return rows


def _in_words(history: Mapping[str, Any], refused: int) -> str:
    held = len(history["vote_rounds"])
    if not held and not refused:
        return "No vote was called."
    text = f"{held} ballots were held, {history['successful_votes']} of them decided"
    return text + (f"; {refused} votes were called and not everybody took part." if refused else ".")
