"""What a start looks like: one live line a step on a terminal, plain lines elsewhere. Always on stderr."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console

from deploy.local.events import Event, Kind

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class StartDisplay:
    """Shows the events of a start, and afterwards a word about what happens.

    Use it as a context manager and as the supervisor's ``report``.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._labels: dict[str, str] = {}
        self._began: dict[str, float] = {}

    def __enter__(self) -> StartDisplay:
        """Begin to show."""
        if self.console.is_terminal:
            from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            self._progress = Progress(
                SpinnerColumn(finished_text="[green]✓[/]"),
                TextColumn("{task.description}"),
                TimeElapsedColumn(),
                TextColumn("[dim]{task.fields[said]}"),
                console=self.console,
            )
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last picture standing."""
        self.finish()

    def finish(self) -> None:
        """End the live picture; later events are plain lines."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def __call__(self, event: Event) -> None:
        """Show an event."""
        match event.kind:
            case Kind.STEP:
                self._step(event)
            case Kind.PROGRESS:
                if self._progress and event.name in self._tasks and event.fraction is not None:
                    said = f"fetching from the package index: {event.fraction:.0%}"
                    self._progress.update(self._tasks[event.name], said=said)
            case Kind.DONE:
                self._done(event)
            case Kind.FAILED:
                if self._progress and event.name in self._tasks:
                    self._progress.update(self._tasks[event.name], said="[red]failed[/]")
                else:
                    self._line(f"{event.text or event.name}: failed")
            case Kind.NOTE:
                self._line(event.text)
            case Kind.READY:
                self.finish()
            case Kind.STOPPED:
                self._line("stopped")

    def _step(self, event: Event) -> None:
        self._began[event.name] = time.monotonic()
        label = event.text if event.name.isalpha() else f"{event.text} {event.name.rpartition('-')[2]}"
        self._labels[event.name] = label
        if self._progress:
            self._tasks[event.name] = self._progress.add_task(label, total=None, said="")
        else:
            self._line(f"{label}: starting")

    def _done(self, event: Event) -> None:
        if self._progress and event.name in self._tasks:
            self._progress.update(self._tasks[event.name], total=1.0, completed=1.0, said=event.text)
        else:
            took = time.monotonic() - self._began.get(event.name, time.monotonic())
            self._line(f"{self._labels.get(event.name, event.name)}: ready ({event.text}, {took:.1f} s)")

    def _line(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)
