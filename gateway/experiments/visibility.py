"""What an experiment's owner may read of a run that goes on: nothing that could be passed on to the agents.

What was thought, voted and remembered in a phase is shown when the phase has ended. Phase 1 is all of that
kind, for its agents are alone; of phase 2 the others hear the statements that counted, and the order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shared.database.models import ExperimentStep

#: The step that draws who speaks when.
_ORDER = "order"
_STATEMENT = "statement"


def visible(steps: Iterable[ExperimentStep], *, phase: int, ended: bool) -> Iterator[ExperimentStep]:
    """The steps that may be shown.

    Args:
        steps: rows that belong to no session any more.
        phase: that the run is in.
        ended: whether the run has ended.
    """
    for step in steps:
        order = step.phase == 2 and step.kind == "draw" and step.purpose == _ORDER
        if ended or step.phase < phase or order:
            yield step
        elif step.purpose == _STATEMENT and step.outcome == "answered" and step.unreadable is None:
            # The speaker's memory stands in its prompts, and what it thought may stand in its answer.
            step.system_prompt = step.user_prompt = None
            step.answer = step.value
            yield step
