"""What the whole group has read: statements, countdowns, outcomes of votes, additions to the agenda."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


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
    #: A new round begins.
    ROUND = "round"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One entry, as the agents read it.

    Attributes:
        round: in which it was said.
        text: a finished line or paragraph in the group's language, with the speaker's name.
        agent: who said it; ``None`` for what nobody said.
        reasoning: what the speaker had thought before, where the configuration publishes it.
    """

    kind: EntryKind
    round: int
    text: str
    agent: str | None = None
    reasoning: str | None = None

    def shown(self, *, reasoning: bool = True) -> str:
        """The entry with or without the reasoning that was published with it."""
        if reasoning and self.reasoning:
            return f"{self.text}\n{self.reasoning}"
        return self.text


class PublicHistory:
    """What the group has said and done since it met, oldest first. Only ever appended to."""

    def __init__(self, entries: Iterable[HistoryEntry] = ()) -> None:
        self._entries = list(entries)

    @property
    def entries(self) -> tuple[HistoryEntry, ...]:
        """All entries, oldest first."""
        return tuple(self._entries)

    @property
    def text(self) -> str:
        """The whole of it, untruncated."""
        return "\n".join(entry.shown() for entry in self._entries)

    def append(self, entry: HistoryEntry) -> None:
        """Add what was said or done last."""
        self._entries.append(entry)

    def add(
        self,
        kind: EntryKind,
        round_number: int,
        text: str,
        *,
        agent: str | None = None,
        reasoning: str | None = None,
    ) -> None:
        """Add an entry made of these parts."""
        self.append(HistoryEntry(kind=kind, round=round_number, text=text, agent=agent, reasoning=reasoning))

    def of_round(self, number: int) -> tuple[HistoryEntry, ...]:
        """The entries of one round."""
        return tuple(entry for entry in self._entries if entry.round == number)

    def truncated(self, limit: int) -> str:
        """The history in at most ``limit`` characters, of whole entries, in their order.

        Outcomes of votes, countdowns and the agenda are kept before statements, the newest first; then the
        newest statements, up to the first that does not fit. The newest statement is kept without its
        reasoning rather than left out. The mark ``[…]`` stands where something was left out.
        """
        whole = self.text
        if len(whole) <= limit:
            return whole
        kept: dict[int, str] = {}
        left = limit
        newest_first = range(len(self._entries) - 1, -1, -1)
        last_statement = next(
            (at for at in newest_first if self._entries[at].kind is EntryKind.STATEMENT), None
        )
        if last_statement is not None:
            entry = self._entries[last_statement]
            for text in (entry.shown(), entry.text):
                if _cost(text) <= left:
                    kept[last_statement] = text
                    left -= _cost(text)
                    break
        for outcomes in (True, False):
            for at in newest_first:
                entry = self._entries[at]
                if at in kept or (entry.kind in _OUTCOMES) is not outcomes:
                    continue
                text = entry.shown()
                if _cost(text) > left:
                    break
                kept[at] = text
                left -= _cost(text)
        return _joined(kept)

    def __len__(self) -> int:
        return len(self._entries)


#: What is kept before statements, when not everything fits.
_OUTCOMES = frozenset({EntryKind.VOTE, EntryKind.COUNTDOWN, EntryKind.AGENDA})
_GAP = "[…]"


def _cost(text: str) -> int:
    """Characters that an entry takes, counting the mark and the line breaks that may stand before it."""
    return len(text) + len(_GAP) + 2


def _joined(kept: dict[int, str]) -> str:
    lines: list[str] = []
    expected = 0
    for at in sorted(kept):
        if at != expected:
            lines.append(_GAP)
        lines.append(kept[at])
        expected = at + 1
    return "\n".join(lines) if lines else _GAP
