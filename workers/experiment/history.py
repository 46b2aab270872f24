"""What the whole group has read: statements, countdowns, outcomes of votes, additions to the agenda."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Principle


class EntryKind(StrEnum):
    """What an entry of the public history is."""

    #: What an agent said to the group.
    STATEMENT = "statement"
    #: What came of calling a vote or of voting; never who voted for what.
    VOTE = "vote"
    #: How many rounds remain.
    COUNTDOWN = "countdown"
    #: A further principle was put on the open agenda.
    AGENDA = "agenda"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One entry, as the agents read it.

    Attributes:
        round: in which it was said.
        text: a finished line or paragraph in the group's language, with the speaker's name.
        agent: who said it; ``None`` for what nobody said.
        reasoning: what the speaker had thought before, as a finished line; only the speaker itself reads it.
    """

    kind: EntryKind
    round: int
    text: str
    agent: str | None = None
    reasoning: str | None = None

    def shown(self, reader: str | None = None) -> str:
        """The entry as ``reader`` sees it: its own private reasoning stands before its statement."""
        if self.reasoning and self.agent is not None and self.agent == reader:
            return f"{self.reasoning}\n{self.text}"
        return self.text


def one_line(words: str) -> str:
    """``words`` as they are told to others: a line of their own would pass for what somebody else said, or
    for what came of a vote.
    """
    return " ".join(words.split())


class PublicHistory:
    """What the group has said and done since it met, oldest first. Only ever appended to."""

    def __init__(
        self, entries: Iterable[HistoryEntry] = (), agenda: Iterable[Principle] = FOUR_PRINCIPLES
    ) -> None:
        self._entries = list(entries)
        self._agenda = list(agenda)

    @property
    def entries(self) -> tuple[HistoryEntry, ...]:
        """All entries, oldest first."""
        return tuple(self._entries)

    @property
    def agenda(self) -> tuple[Principle, ...]:
        """What may be voted for, in the order in which it was put on the agenda."""
        return tuple(self._agenda)

    @property
    def text(self) -> str:
        """The whole of it, untruncated, as everybody may read it."""
        return self.read_by(None)

    def read_by(self, reader: str | None) -> str:
        """The whole of it as one agent reads it."""
        return "\n".join(entry.shown(reader) for entry in self._entries)

    def add(
        self,
        kind: EntryKind,
        round_number: int,
        text: str,
        *,
        agent: str | None = None,
        reasoning: str | None = None,
    ) -> None:
        """Add what was said or done last."""
        self._entries.append(
            HistoryEntry(kind=kind, round=round_number, text=text, agent=agent, reasoning=reasoning)
        )

    def propose(self, principle: Principle) -> bool:
        """Put a principle on the agenda; ``False`` when it is there already."""
        if principle in self._agenda:
            return False
        self._agenda.append(principle)
        return True

    def truncated(self, limit: int, reader: str | None = None) -> str:
        """The history in at most ``limit`` characters, of whole entries, in their order.

        First the newest statement is kept, then outcomes of votes, countdowns and the agenda, the newest
        first; then the other statements, back to the first that does not fit. A reader's own reasoning is
        left out before a statement is. The mark ``[…]`` stands where something was left out.
        """
        whole = self.read_by(reader)
        if len(whole) <= limit:
            return whole
        kept: dict[int, str] = {}
        left = limit - _MARK
        newest_first = range(len(self._entries) - 1, -1, -1)
        statements = [at for at in newest_first if self._entries[at].kind not in _OUTCOMES]
        outcomes = [at for at in newest_first if self._entries[at].kind in _OUTCOMES]
        for run in (statements[:1], outcomes, statements[1:]):
            for at in run:
                entry = self._entries[at]
                fitting = (text for text in (entry.shown(reader), entry.text) if len(text) + _MARK <= left)
                text = next(fitting, None)
                if text is None:
                    break
                kept[at] = text
                left -= len(text) + _MARK
        return self._joined(kept)

    def _joined(self, kept: Mapping[int, str]) -> str:
        lines: list[str] = []
        expected = 0
        for at in sorted(kept):
            if at != expected:
                lines.append(_GAP)
            lines.append(kept[at])
            expected = at + 1
        if expected != len(self._entries):
            lines.append(_GAP)
        return "\n".join(lines)

    def __len__(self) -> int:
        return len(self._entries)


#: What is kept before statements, when not everything fits.
_OUTCOMES = frozenset({EntryKind.VOTE, EntryKind.COUNTDOWN, EntryKind.AGENDA})
_GAP = "[…]"
#: Characters that an entry may take besides its text: a mark before it, and two line breaks.
_MARK = len(_GAP) + 2
