"""The open agenda: what may still be put on it, how an agent is told, and how its proposal is read."""

from __future__ import annotations

import re
from collections.abc import Sequence

from shared.schemas.experiment.terms import FURTHER_PRINCIPLES, Principle
from workers.experiment.languages.manager import LanguageManager
from workers.experiment.reading.script import uniform

#: The last line of a statement, in any of the languages, and nothing but it: no statement proposes by chance.
_MARK = re.compile(r"^\W*(?:proposal|propuesta|提案)\W*\s*(\d)\W*$", re.IGNORECASE)


def proposable(agenda: Sequence[Principle]) -> tuple[Principle, ...]:
    """The further principles that are not on ``agenda`` yet."""
    return tuple(principle for principle in FURTHER_PRINCIPLES if principle not in agenda)


def proposal_question(text: LanguageManager, further: Sequence[Principle]) -> str:
    """What is added to the question for a statement: that a further principle may be proposed, and how."""
    options = "\n".join(
        text.text("discussion.agenda_line", number=principle.number, principle=text.principle(principle))
        for principle in further
    )
    return text.text("discussion.statement.proposal", options=options, example=further[0].number)


def without_proposal(statement: str, further: Sequence[Principle]) -> tuple[str, Principle | None]:
    """A statement without its line of proposal, and what it proposes.

    Only a line that is the last one and names a number among those that were offered is a proposal; every
    other statement is what it was.
    """
    body, _, last = statement.strip().rpartition("\n")
    found = _MARK.match(uniform(last).strip())
    if found is None or not body.strip():
        return statement, None
    proposed = next((principle for principle in further if principle.number == int(found.group(1))), None)
    return (statement, None) if proposed is None else (body.strip(), proposed)
