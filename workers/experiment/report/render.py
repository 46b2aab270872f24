"""The report of a run: one HTML file that holds everything it shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.experiment.report import page
from workers.experiment.report.chart import Table
from workers.experiment.report.citation import citation, seed_source
from workers.experiment.report.growth import growth
from workers.experiment.report.palette import named
from workers.experiment.report.payoffs import payoffs
from workers.experiment.report.rankings import rankings
from workers.experiment.report.speaking import speaking
from workers.experiment.report.tokens import tokens
from workers.experiment.report.votes import votes

PICTURES = (rankings, speaking, votes, payoffs, growth, tokens)


def render(result: Mapping[str, Any], *, title: str | None = None) -> str:
    """The report of ``result`` (as :func:`~workers.experiment.result.build.build` makes it).

    The same result gives the same bytes. The file loads nothing and runs nothing.

    Args:
        result: the whole result JSON.
        title: in the place of the run's name.
    """
    heading = title or result["run"]["name"] or "Experiment"
    return page.page(
        heading,
        (
            f"<h1>{page.text(heading)}</h1>",
            _status(result),
            _summary(result),
            *(page.picture(draw(result)) for draw in PICTURES),
            _preferences(result),
            _discussion(result),
            _agents(result),
            f'<section id="cite"><h2>To cite this run</h2><pre>{page.text(citation(result))}</pre></section>',
        ),
    )


def _status(result: Mapping[str, Any]) -> str:
    status = result["run"]["status"]
    reason = result["general_information"]["status_reason"]
    told = (
        ""
        if reason is None
        else f" <span>{page.text(reason['message'])} ({page.text(reason['code'])})</span>"
    )
    warning = "" if status == "complete" else " It says nothing about agreement."
    label = f'<span class="status {page.text(status)}">{page.text(status)}</span>'
    return f"<p>{label}{told}{warning}</p>"


def _summary(result: Mapping[str, Any]) -> str:
    general, run = result["general_information"], result["run"]
    usage = run["usage"]
    cost = usage["cost"]["total"]
    degraded = sorted({failure["service"] for failure in run["degraded_services"]})
    return page.facts(
        {
            "Outcome": _outcome(general),
            "Does the constraint bind": None
            if general["constraint_binding"] is None
            else (
                "yes" if general["constraint_binding"] else "no: without it the same distribution is picked"
            ),
            "Rounds": f"{general['rounds_conducted_phase_2']} of at most {general['max_rounds_phase_2']}",
            "Agents": ", ".join(agent["name"] for agent in result["agents"]),
            "Manipulation": _manipulation(general["manipulator_target_info"]),
            "Profile": run["config"].get("profile"),
            "Seed": f"{run['seed']} ({seed_source(run)})",
            "Calls": f"{usage['calls']:,}, {usage['reasked']:,} of them asked again",
            "Tokens": f"{usage['input_tokens']:,} read, {usage['output_tokens']:,} written",
            "Cost": "not known" if cost is None else f"{cost:,.4f} in the currency of the prices",
            "Time": f"{usage['seconds']:,.1f} s",
            "Services that failed": ", ".join(degraded) or None,
        }
    )


def _outcome(general: Mapping[str, Any]) -> str:
    decided = named(general["decided_principle"], general["consensus_amount"])
    return {
        "consensus": f"consensus on {decided}",
        "majority": f"a majority for {decided}",
        "imposed": f"{decided}, imposed",
        "none": "no agreement",
    }.get(general["decided_by"], "not known: the run is not complete")


def _manipulation(info: Mapping[str, Any] | None) -> str | None:
    if info is None:
        return None
    kind = (info["manipulator_type"] or "").replace("_", " ")
    target = f" for {named(info['target_principle'])}" if info["target_principle"] else ""
    return f"{info['manipulator_name']}, {kind}{target}{'' if info['delivered'] else ', not delivered'}"


def _preferences(result: Mapping[str, Any]) -> str:
    """What the rankings add up to, by checkpoint and method."""
    rows = [
        (
            checkpoint.replace("_", " "),
            method.replace("_", " "),
            named(found["winner"]) if found["winner"] else "a tie: " + ", ".join(map(named, found["tied"])),
            ", ".join(f"{named(principle)} {score:g}" for principle, score in found["scores"].items()),
        )
        for checkpoint, analysed in (result["analysis"]["preference_aggregation"] or {}).items()
        for method, found in (analysed.get("methods") or {}).items()
    ]
    if not rows:
        return ""
    shown = page.table(Table(("Checkpoint", "Method", "Winner", "Scores"), tuple(rows)))
    return (
        '<section id="preferences"><h2>What the rankings add up to</h2>'
        f"<details open><summary>In numbers</summary>{shown}</details></section>"
    )


def _discussion(result: Mapping[str, Any]) -> str:
    """What was said, in the order in which it was said."""
    said = sorted(
        (
            (
                round_["number_discussion_round"],
                round_["speaking_order"],
                agent["name"],
                round_["public_message"],
            )
            for agent in result["agents"]
            for round_ in (agent["phase_2"] or {}).get("rounds", [])
            if round_["speaking_order"] is not None and round_["public_message"]
        ),
        key=lambda line: line[:2],
    )
    if not said:
        return ""
    lines = "".join(
        f"<p>Round {number}, {page.text(name)}:</p><blockquote>{page.text(message)}</blockquote>"
        for number, _, name, message in said
    )
    return (
        '<section id="discussion"><h2>The discussion</h2>'
        f"<details><summary>{len(said)} statements</summary>{lines}</details></section>"
    )


def _model(agent: Mapping[str, Any]) -> str:
    """What answered, and what the configuration calls it where that is something else."""
    used, configured = agent["model"], agent["configured_model"]
    return used if used == configured else f"{used or '–'} (configured: {configured})"


def _agents(result: Mapping[str, Any]) -> str:
    models = result["run"]["models"]["agents"]
    rows = []
    for agent in result["agents"]:
        used = models.get(agent["name"]) or {}
        rows.append(
            (
                agent["name"],
                _model(agent),
                ", ".join(used.get("answered") or ()) or "–",
                used.get("digest") or "–",
                str(agent["temperature"]),
                agent["language"],
                ", ".join(note.replace("_", " ") for note in used.get("notes") or ()) or "–",
            )
        )
    heads = ("Agent", "Model", "Answered as", "Digest", "Temperature", "Language", "Noted")
    return f'<section id="agents"><h2>Agents</h2>{page.table(Table(heads, tuple(rows)))}</section>'
