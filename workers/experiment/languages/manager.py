"""The language manager: every text that an agent reads, in its language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path
from re import Match

from shared.schemas.experiment.terms import Certainty, IncomeClass, Language, Principle
from workers.experiment.languages.catalogues import (
    FOLDER,
    PLACEHOLDER,
    CatalogueError,
    differences,
    read_catalogue,
)

_CENT = Decimal("0.01")


class LanguageManager:
    """The texts of one language.

    Args:
        language: of the texts.
        folder: where the catalogues are, for tests and for other wordings of an experiment.

    Raises:
        CatalogueError: a file of the language is no catalogue.
    """

    def __init__(self, language: Language, folder: Path = FOLDER) -> None:
        self.language = language
        self._texts: Mapping[str, str] = read_catalogue(language, folder)

    def has(self, key: str) -> bool:
        """Whether there is such a text."""
        return key in self._texts

    def text(self, key: str, **values: object) -> str:
        """The text ``section.key``, its placeholders filled in; values that it does not mention are ignored.

        What is filled in is data: braces in it stay as they are.

        Raises:
            CatalogueError: there is no such text, or a placeholder got no value.
        """
        template = self._texts.get(key)
        if template is None:
            raise CatalogueError(f"{self.language.value}: there is no text {key}")

        def value(match: Match[str]) -> str:
            name = match.group(1)
            if name not in values:
                raise CatalogueError(f"{self.language.value}: {key}: no value for the placeholder {{{name}}}")
            return str(values[name])

        return PLACEHOLDER.sub(value, template)

    def money(self, dollars: int | Decimal) -> str:
        """An amount as the language writes it: an ``int`` in whole dollars, a ``Decimal`` to the cent."""
        exact = Decimal(dollars)
        if isinstance(dollars, Decimal):
            exact = exact.quantize(_CENT, rounding=ROUND_HALF_UP)
        digits = f"{abs(exact):,}"
        if self.language is Language.SPANISH:
            digits = digits.translate({ord(","): ".", ord("."): ","})
        return self.text("agent.money.negative" if exact < 0 else "agent.money.amount", digits=digits)

    def names(self, names: Sequence[str]) -> str:
        """Names in a row: ``A, B and C``."""
        if len(names) < 2:
            return "".join(names)
        first = self.text("agent.list.between").join(names[:-1])
        return self.text("agent.list.last", first=first, last=names[-1])

    def principle(self, principle: Principle) -> str:
        """The name of a principle."""
        return self.text(f"agent.principle.{principle.value}")

    def certainty(self, certainty: Certainty) -> str:
        """A degree of certainty in words."""
        return self.text(f"agent.certainty.{certainty.value}")

    def income_class(self, income_class: IncomeClass) -> str:
        """The name of an income class."""
        return self.text(f"agent.income_class.{income_class.value}")


def check_catalogues(folder: Path = FOLDER) -> None:
    """Every language has the same texts, with the same placeholders.

    Raises:
        CatalogueError: with everything that is missing, and where.
    """
    found = differences({language: read_catalogue(language, folder) for language in Language})
    if found:
        raise CatalogueError(*found)


@cache
def load(language: Language) -> LanguageManager:
    """The texts of a language; the first use of one checks all of them.

    Raises:
        CatalogueError: some language lacks a text.
    """
    _check_once()
    return LanguageManager(language)


@cache
def _check_once() -> None:
    check_catalogues()
