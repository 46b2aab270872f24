"""What is shown while runs are followed: lines and live bars for people, lines of JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from deploy.cli.api import ServerEvent
from deploy.cli.experiment.printable import one_line
from deploy.cli.experiment.telling import Standing, chosen_words, seconds_words, told

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

#: Where nothing moves on the screen, a line tells of progress whenever so much more is done.
_NEWS = 0.1

#: What is told of each of several runs before its end, and what is told of any run at least.
_NEWS_OF_SEVERAL = ("service_degraded", "resumed")
_NEWS_AT_LEAST = ("experiment_started", "ballot_result", "cancelled", "error", *_NEWS_OF_SEVERAL)

#: Characters of an event that is shown as it came.
_RAW = 2000

_FINAL = ("experiment_finished", "cancelled", "error")


@dataclass
class FollowedRun:
    """A run that is followed.

    Attributes:
        id: of the experiment.
        label: what tells it from the others on the screen; empty for one alone.
        seed: that it was begun with, when this command chose it.
        last_event: that ended it (of its last attempt).
        experiment: as it is once it has ended.
    """

    id: str
    label: str = ""
    seed: int | None = None
    standing: Standing = field(default_factory=Standing)
    last_event: ServerEvent | None = None
    experiment: dict[str, Any] | None = None

    def take(self, event: ServerEvent) -> None:
        """Go on to where the run is after ``event``."""
        self.standing.take(event)
        if event.type in _FINAL:
            self.last_event = event
        elif event.type == "resumed":
            self.last_event = None

    @property
    def succeeded(self) -> bool:
        """Whether it came to its end."""
        return self.experiment is not None and self.experiment["status"] == "succeeded"

    def summary(self) -> dict[str, Any]:
        """What is told of it as JSON."""
        if self.experiment is None:
            return {"id": self.id, "seed": self.seed, "status": "running"}
        left_out = ("config", "source_configs", "attempts", "changes")
        shown = {name: value for name, value in self.experiment.items() if name not in left_out}
        ended = self.last_event
        decided = ended.data if ended is not None and ended.type == "experiment_finished" else {}
        return {
            **shown,
            **{
                name: decided.get(name) for name in ("consensus_reached", "decided_by", "principle", "amount")
            },
        }


class Screen(Protocol):
    """Shows runs."""

    def event(self, run: FollowedRun, event: ServerEvent) -> None:
        """One more event, which ``run`` has taken."""

    def ended(self, run: FollowedRun) -> None:
        """The run has ended."""

    def caught_up(self) -> None:
        """Everything that had happened before has been told."""

    def note(self, text: str) -> None:
        """A word to people."""

    def close(self) -> None:
        """Nothing more is shown."""


class JsonScreen:
    """A line of JSON for every event."""

    def event(self, run: FollowedRun, event: ServerEvent) -> None:
        """Print it."""
        _print_json({"type": event.type, "id": event.id, "data": {**event.data, "experiment_id": run.id}})

    def ended(self, run: FollowedRun) -> None:
        """Told by the outcome."""

    def caught_up(self) -> None:
        """Makes no difference here."""

    def note(self, text: str) -> None:
        """To standard error."""
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing is open."""

    @staticmethod
    def outcome(
        runs: Sequence[FollowedRun], exit_status: int, cautions: Sequence[Mapping[str, str]] | None = None
    ) -> None:
        """Print the last line; with ``cautions`` of the configuration, when a command has read one."""
        outcome: dict[str, Any] = {"type": "outcome", "exit_status": int(exit_status)}
        if cautions is not None:
            outcome["cautions"] = list(cautions)
        _print_json({**outcome, "experiments": [run.summary() for run in runs]})


def _print_json(value: dict[str, Any]) -> None:
    print(json.dumps(value, ensure_ascii=False), flush=True)


@dataclass(frozen=True)
class Look:
    """What a configuration's ``logging`` asks of the terminal."""

    verbosity_level: str = "standard"
    use_colors: bool = True
    show_progress_bars: bool = True

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Look:
        """That of a configuration as it is stored."""
        asked = config.get("logging") or {}
        return cls(**{name: value for name, value in asked.items() if name in cls.__dataclass_fields__})

    @property
    def minimal(self) -> bool:
        """Whether only votes and ends are told."""
        return self.verbosity_level == "minimal"

    @property
    def at_length(self) -> bool:
        """Whether everything is told at length, of several runs as well, and of what was before."""
        return self.verbosity_level in ("detailed", "debug")

    @property
    def raw(self) -> bool:
        """Whether every event is shown as it came, too."""
        return self.verbosity_level == "debug"


class TextScreen:
    """Words, and on a terminal a live line for every run.

    Args:
        compact: what had happened before is told in single lines, until :meth:`caught_up`.
        brief: only ends are told in words, for several runs at once.
        look: how much is told, and how.
    """

    def __init__(self, *, compact: bool = False, brief: bool = False, look: Look | None = None) -> None:
        self._look = look or Look()
        self._console = _console(colors=self._look.use_colors)
        self._compact = compact and not self._look.at_length
        self._brief = brief
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._told: dict[str, float] = {}
        if self._console.is_terminal and self._look.show_progress_bars:
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

            self._progress = Progress(
                SpinnerColumn(),
                BarColumn(bar_width=20),
                TextColumn("{task.percentage:>3.0f} %"),
                TextColumn("{task.description}", markup=False),
                TextColumn("{task.fields[left]}", markup=False),
                console=self._console,
                transient=True,
            )
            self._progress.start()

    def event(self, run: FollowedRun, event: ServerEvent) -> None:
        """Tell it, and where the run is now."""
        if self._look.raw:
            shown = json.dumps(event.data, ensure_ascii=False)
            self._line(_labelled(run, one_line(f"{event.id or '-'} {event.type} {shown}", _RAW)))
        if self._tells(event):
            for line in told(event, compact=self._compact):
                if not self._brief:
                    self._line(line)
                elif line:
                    self._line(_labelled(run, line))
        self._show(run, event)

    def _tells(self, event: ServerEvent) -> bool:
        if self._brief and not self._look.at_length:
            return event.type in _NEWS_OF_SEVERAL
        return not self._look.minimal or event.type in _NEWS_AT_LEAST

    def ended(self, run: FollowedRun) -> None:
        """Take its live line away, and say what came of it."""
        if self._progress is not None and run.id in self._tasks:
            self._progress.remove_task(self._tasks.pop(run.id))
        lines = ending(run)
        if self._brief:
            self._line(f"{run.label}: {lines[0]}")
            return
        self._line("")
        for line in lines:
            self._line(line)

    def caught_up(self) -> None:
        """From here on everything is told at length."""
        self._compact = False

    def note(self, text: str) -> None:
        """Say it among the lines."""
        self._line(text)

    def close(self) -> None:
        """Take the live lines away."""
        if self._progress is not None:
            self._progress.stop()

    def _line(self, text: str) -> None:
        self._console.print(text, soft_wrap=not self._console.is_terminal)

    def _show(self, run: FollowedRun, event: ServerEvent) -> None:
        standing = run.standing
        left = "" if standing.seconds_left is None else f"· {seconds_words(standing.seconds_left)} left"
        words = f"{run.label}: {standing.words()}" if run.label else standing.words()
        if self._progress is not None:
            if run.id not in self._tasks:
                self._tasks[run.id] = self._progress.add_task("", total=1.0, left="")
            task = self._tasks[run.id]
            self._progress.update(task, completed=standing.fraction, description=words, left=left)
        elif event.type == "progress" and standing.fraction >= self._told.get(run.id, 0.0) + _NEWS:
            self._told[run.id] = standing.fraction
            if self._compact or self._look.minimal:
                return
            self._line(f"… {standing.fraction:.0%} · {words} {left}".rstrip())


def _labelled(run: FollowedRun, line: str) -> str:
    return f"{run.label}: {line.strip()}" if run.label else line


def _console(*, colors: bool) -> Console:
    """A console whose reader may go away, as ``head`` does: that is no failure."""
    import typer
    from rich.console import Console

    class _Console(Console):
        def on_broken_pipe(self) -> None:
            try:
                super().on_broken_pipe()
            except SystemExit:
                raise typer.Exit(0) from None

    # Without an opinion the console asks the environment (NO_COLOR).
    return _Console(highlight=False, markup=False, emoji=False, no_color=None if colors else True)


def ending(run: FollowedRun) -> list[str]:
    """What came of a run that has ended, in words."""
    experiment = run.experiment
    assert experiment is not None
    used = (
        f"{experiment['calls']} calls ({experiment['reasked']} asked again), "
        f"{experiment['tokens']:,} tokens, {seconds_words(experiment['seconds'])}, seed {experiment['seed']}"
    )
    if experiment["status"] == "cancelled":
        return [f"Cancelled. {used}."]
    if experiment["status"] == "failed":
        error = experiment["error"] or {}
        return [f"Failed ({error.get('code')}): {one_line(str(error.get('message')), 500)} {used}."]
    lines = [f"{decision(run)} {used}."]
    if experiment["degraded"]:
        lines.append(f"{experiment['degraded']} services failed on the way and were done without.")
    lines.append(f"Result, SHA-256: {experiment['result_hash']}")
    return lines


def decision(run: FollowedRun) -> str:
    """What the group decided, in a sentence."""
    if run.last_event is None or run.last_event.type != "experiment_finished":
        return "Finished."
    data = run.last_event.data
    rounds = f"{data['rounds']} round{'' if data['rounds'] == 1 else 's'}"
    if data["principle"] is None:
        return f"No agreement after {rounds}."
    choice = chosen_words(data["principle"], data["amount"])
    match data["decided_by"]:
        case "imposed":
            return f"Imposed: {choice}."
        case "majority":
            return f"A majority after {rounds}: {choice}."
        case _:
            return f"Consensus after {rounds}: {choice}."
