"""The events of a run in words, and where it stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from deploy.cli.api import ServerEvent
from deploy.cli.experiment.printable import one_line, printable

#: Principles in a few words.
_PRINCIPLES = {
    "maximizing_floor": "highest floor",
    "maximizing_average": "highest average",
    "maximizing_average_floor_constraint": "average with a floor",
    "maximizing_average_range_constraint": "average with a range",
    "minimizing_range": "smallest range",
    "maximizing_median": "highest median",
    "maximizing_average_ceiling_constraint": "average with a ceiling",
}
_CHECKPOINTS = {
    "initial": "at first",
    "post_explanation": "after the explanation",
    "post_application": "after the paid choices",
    "final": "at the end",
}
_PHASES = {1: "Phase 1: everybody alone", 2: "Phase 2: the group"}

#: Characters of a statement where it is told compactly.
_STATEMENT = 100


@dataclass
class Standing:
    """Where a run stands, gathered from its events."""

    name: str = ""
    agents: list[str] = field(default_factory=list)
    rounds: int = 0
    phase: int = 0
    round: int = 0
    speaker: str | None = None
    votes: int = 0
    tokens: int = 0
    calls: int = 0
    fraction: float = 0.0
    #: An estimate; ``None`` before there is one.
    seconds_left: float | None = None
    _silent: list[str] = field(default_factory=list)

    def take(self, event: ServerEvent) -> None:
        """Go on to where the run is after ``event``."""
        data = event.data
        match event.type:
            case "experiment_started":
                self.name, self.agents, self.rounds = data["name"], data["agents"], data["rounds"]
            case "phase":
                self.phase = data["phase"]
                self.round, self.speaker = 0, None
            case "speaking_order":
                self.round = data["round"]
                self._silent = list(data["order"])
                self.speaker = next(iter(self._silent), None)
            case "statement":
                self._silent = [name for name in self._silent if name != data["agent"]]
                self.speaker = next(iter(self._silent), None)
            case "ballot_result":
                self.votes += 1
            case "progress":
                self.phase, self.round = data["phase"], data["round"] or self.round
                self.tokens, self.calls = data["tokens"], data["calls"]
                self.fraction, self.seconds_left = data["fraction"], data["seconds_left"]
            case "experiment_finished":
                self.fraction, self.seconds_left = 1.0, 0.0

    def words(self) -> str:
        """Phase, round, speaker, votes and tokens in one line."""
        parts = [f"phase {self.phase}"] if self.phase else ["waits"]
        if self.phase == 2 and self.round:
            parts.append(f"round {self.round}" + (f" of {self.rounds}" if self.rounds else ""))
            if self.speaker:
                parts.append(f"{one_line(self.speaker, 30)} speaks")
        if self.votes:
            parts.append(f"{self.votes} vote{'s' if self.votes > 1 else ''}")
        parts.append(f"{self.tokens:,} tokens")
        return " · ".join(parts)


def told(event: ServerEvent, *, compact: bool = False) -> list[str]:
    """What an event says, as lines without control characters; none for what is no news to a reader.

    Args:
        event: of any type.
        compact: statements are cut to one line, and choices made alone are left out.
    """
    data = event.data
    if compact and (event.type == "application" or (event.type == "payoff" and data["phase"] == 1)):
        return []
    match event.type:
        case "queued":
            ahead = data.get("position") or 0
            return ["Waits for a worker" + (f" (place {ahead} in the queue)." if ahead else ".")]
        case "experiment_started":
            agents = _names(data["agents"])
            return [
                f"{printable(data['name'])}: {agents}; profile {data['profile']}, at most "
                f"{data['rounds']} rounds, seed {data['seed']}."
            ]
        case "resumed":
            return [f"Goes on from its last step (attempt {data['attempt']})."]
        case "phase":
            return ["", _PHASES.get(data["phase"], "")] if data["state"] == "started" else []
        case "speaking_order":
            return ["", f"Round {data['round']}: {_names(data['order'])}"]
        case "statement":
            return _statement(data, compact=compact)
        case "progress":
            return []
        case _:
            line = _line(event.type, data)
            return [] if line is None else [f"  {printable(line)}"]


def _statement(data: dict[str, Any], *, compact: bool) -> list[str]:
    name = printable(data["agent"])
    if data["quarantined"]:
        return [f"{name} finds no words that count."]
    if compact:
        return [f"{name}: {one_line(data['content'], _STATEMENT)}"]
    return [f"{name}: {printable(data['content']).strip()}"]


def _line(kind: str, data: dict[str, Any]) -> str | None:
    match kind:
        case "ranking":
            when = _CHECKPOINTS.get(data["checkpoint"], data["checkpoint"])
            if data["order"] is None:
                return f"{data['agent']} gives no ranking that can be read, {when}."
            order = " > ".join(_PRINCIPLES.get(one, one) for one in data["order"])
            return f"{data['agent']} ranks {when}: {order}{_certainty(data['certainty'])}"
        case "application":
            if data["principle"] is None:
                return f"{data['agent']} makes no choice that can be read ({data['round']} of 4)."
            choice = chosen_words(data["principle"], data["amount"])
            return f"{data['agent']} chooses ({data['round']} of 4): {choice}{_certainty(data['certainty'])}"
        case "payoff":
            if data["income"] is None:
                return f"{data['agent']} earns nothing."
            place = str(data["income_class"]).replace("_", " ")
            return (
                f"{data['agent']} earns ${data['payoff']}: class {place}, ${data['income']:,} a year "
                f"(distribution {data['distribution']})"
            )
        case "manipulation":
            return f"{data['agent']} was reminded of its task as the manipulator."
        case "vote_initiation":
            if data["initiator"] is None:
                return "Nobody asks for a vote." if data["asked"] else None
            return f"{data['initiator']} asks for a vote."
        case "vote_confirmation":
            agrees = data["agrees"]
            answer = (
                "gives no readable answer" if agrees is None else "agrees" if agrees else "does not agree"
            )
            return (
                f"{data['agent']} {answer} to vote." if agrees is not None else f"{data['agent']} {answer}."
            )
        case "ballot_result":
            return _ballot(data)
        case "service_degraded":
            return f"Goes on without {data['service']} at {data['step']}: {data['message']}"
        case "experiment_finished":
            return None
        case "cancelled":
            return "The run was cancelled."
        case "error":
            return f"The run failed ({data.get('code')}): {data.get('message')}"
        case _:
            return None


def _ballot(data: dict[str, Any]) -> str:
    votes = ", ".join(f"{_PRINCIPLES.get(one, one)} {count}" for one, count in data["counts"].items())
    if data["abstentions"]:
        votes += (", " if votes else "") + f"abstained {data['abstentions']}"
    if data["reached"]:
        return f"The ballot decides for {chosen_words(data['principle'], data['amount'])} ({votes})."
    why = f" ({str(data['disagreement']).replace('_', ' ')})" if data["disagreement"] else ""
    return f"The ballot decides nothing{why}: {votes}."


def chosen_words(principle: str, amount: int | None) -> str:
    """A choice in words."""
    words = _PRINCIPLES.get(principle, principle)
    return words if amount is None else f"{words} of ${amount:,}"


def _certainty(certainty: str | None) -> str:
    return "" if certainty is None else f" ({certainty.replace('_', ' ')})"


def _names(names: Iterable[str]) -> str:
    return ", ".join(printable(name) for name in names)


def seconds_words(seconds: float) -> str:
    """A duration in words: ``42 s``, ``3:05 min``, ``2:10 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02} h"
