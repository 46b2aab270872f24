"""What a run used: calls and tokens, by who asked and where in the protocol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from workers.experiment.steps.journal import StepKind, StepRecord
from workers.experiment.steps.model_call import StepOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What the calls of one role in one round (``None``: outside of rounds) came to.

    Attributes:
        role: an agent's name; ``None`` for the utility agent.
        calls: that were answered, each once, however often it was sent.
        reasked: of them, those that ask again for what could not be read or did not come.
        unreadable: answers that could not be read.
        timed_out: calls that took too long.
        refused: calls that the provider refused.
        uncounted: answers whose tokens the provider did not tell.
    """

    role: str | None
    phase: int
    round: int | None
    calls: int = 0
    reasked: int = 0
    unreadable: int = 0
    timed_out: int = 0
    refused: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    uncounted: int = 0


@dataclass(slots=True)
class Tally:
    """Adds up steps, one by one: nothing of a step is kept but its counts.

    Attributes:
        models: names under which each role's models answered, in the order of their first answer.
        notes: what was found out about each role's model.
    """

    models: dict[str | None, list[str]] = field(default_factory=dict)
    notes: dict[str | None, list[str]] = field(default_factory=dict)
    #: By role, phase and round, the counts of a :class:`Spent` by their names.
    _rows: dict[tuple[str | None, int, int | None], Counter[str]] = field(default_factory=dict)

    def add(self, step: StepRecord) -> None:
        """Count a step; draws, notes and calls in flight count for nothing."""
        answer = step.answer
        if step.kind is not StepKind.CALL or answer is None:
            return
        row = self._rows.setdefault((step.role, step.key.phase, step.key.round), Counter())
        row["calls"] += 1
        row["reasked"] += step.key.tried is not None and step.key.tried > 1
        row["unreadable"] += step.unreadable is not None
        row["timed_out"] += answer.outcome is StepOutcome.TIMED_OUT
        row["refused"] += answer.outcome is StepOutcome.REFUSED
        row["input_tokens"] += answer.input_tokens or 0
        row["output_tokens"] += answer.output_tokens or 0
        row["uncounted"] += answer.outcome is StepOutcome.ANSWERED and answer.output_tokens is None
        if answer.model is not None:
            _remember(self.models.setdefault(step.role, []), answer.model)
        for note in answer.notes:
            _remember(self.notes.setdefault(step.role, []), note)

    def spent(self) -> tuple[Spent, ...]:
        """What was counted; in the order of the protocol, whatever the order of adding."""

        def place(key: tuple[str | None, int, int | None]) -> tuple[int, bool, int, bool, str]:
            role, phase, round_number = key
            # Of phase 1 what is in no round comes first and last; of phase 2 it is its end.
            late = round_number is None and phase == 2
            return phase, late, round_number or 0, role is None, role or ""

        return tuple(
            Spent(role=key[0], phase=key[1], round=key[2], **row)
            for key, row in sorted(self._rows.items(), key=lambda item: place(item[0]))
        )


def tally(steps: Iterable[StepRecord]) -> Tally:
    """The tally of ``steps``, added in the order of their paths: concurrent answers arrive in any order."""
    counted = Tally()
    for step in sorted(steps, key=lambda step: step.key.path):
        counted.add(step)
    return counted


def _remember(names: list[str], name: str) -> None:
    if name not in names:
        names.append(name)
