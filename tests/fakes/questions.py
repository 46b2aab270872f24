"""What an agent of an experiment is asked: told from the answer's schema, or the catalogues' texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

_LANGUAGES = Path(__file__).resolve().parents[2] / "workers" / "experiment" / "languages"
_PLACEHOLDER = re.compile(r"\{[a-z_]+\}|\n")
_QUOTES = ' "“”«»「」'
_ROUND = re.compile(r"(?:\b[Rr]ound |\b[Rr]onda |第 )(\d+)")

#: The kinds of questions, by where their texts stand: the first one whose text is all there is meant.
_TEXTS = (
    ("favoured", "utility.favoured"),
    ("failure", "utility.failure"),
    ("compress", "utility.compress"),
    ("compress", "utility.compress_more"),
    ("memory", "memory.instruction"),
    ("initiation", "voting.initiation"),
    ("confirmation", "voting.confirmation"),
    ("ballot", "voting.ballot.principle"),
    ("amount", "voting.ballot.amount"),
    ("correction", "voting.correction.question"),
    ("combined", "voting.ballot.combined"),
    ("application", "phase1.application.question"),
    ("ranking", "phase1.ranking.initial"),
    ("ranking", "phase1.ranking.post_explanation"),
    ("ranking", "phase1.ranking.post_application"),
    ("final_ranking", "results.final_ranking"),
    ("comprehension", "phase1.comprehension.question"),
    ("explanation", "phase1.explanation"),
    ("reasoning", "discussion.reasoning.first"),
    ("reasoning", "discussion.reasoning.later"),
    ("statement", "discussion.statement.first"),
    ("statement", "discussion.statement.later"),
    ("statement", "discussion.statement.last"),
)
#: What else is known of a question by a text of its own.
_AGAIN = "reading.again"
_STATEMENT_AGAIN = "discussion.feedback.preview"


@dataclass(frozen=True)
class Asked:
    """One request to an agent's model.

    Attributes:
        text: all messages.
        question: the last message.
        schema: of the answer, when the request asks for one.
    """

    text: str
    question: str
    schema: dict[str, Any] | None

    @property
    def title(self) -> str | None:
        """The reader's name, where there is a schema."""
        return None if self.schema is None else str(self.schema.get("title"))

    @cached_property
    def kind(self) -> str | None:
        """Which question it is, in whatever language; ``None`` when it is none of an experiment."""
        return next((kind for kind, _, pieces in _markers() if _all_in(pieces, self.question)), None)

    @cached_property
    def round(self) -> int:
        """The round of the group that it is asked in; 0 before the first."""
        return max((int(number) for number in _ROUND.findall(self.text)), default=0)

    @cached_property
    def last_answer(self) -> str | None:
        """What the agent is told that it answered before, when it is asked again."""
        for _, _, pieces in _hints():
            if _all_in(pieces, self.question):
                quoted = self.question.rpartition(pieces[0])[2]
                return quoted.partition("\n")[0].strip(_QUOTES)
        return None


def _all_in(pieces: tuple[str, ...], text: str) -> bool:
    return all(piece in text for piece in pieces)


@cache
def _markers() -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    return tuple(_pieces_of(_TEXTS))


@cache
def _hints() -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    return tuple(_pieces_of((("again", _AGAIN), ("again", _STATEMENT_AGAIN))))


def _pieces_of(texts: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Kind, language and the parts between the placeholders of each text, in every language."""
    for kind, key in texts:
        section, *names = key.split(".")
        for folder in sorted(path for path in _LANGUAGES.iterdir() if path.is_dir()):
            catalogue = folder / f"{section}.yaml"
            if not catalogue.is_file():
                continue
            text: Any = _read(catalogue)
            for name in names:
                text = text[name]
            pieces = tuple(piece for part in _PLACEHOLDER.split(text) if len(piece := part.strip(' ".')) > 1)
            yield kind, folder.name, pieces


@cache
def _read(catalogue: Path) -> Any:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(catalogue.read_text(encoding="utf-8"), Loader=loader)
