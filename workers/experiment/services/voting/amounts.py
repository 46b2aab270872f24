"""Which amounts a ballot may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from workers.experiment.languages.manager import LanguageManager

if TYPE_CHECKING:
    from shared.schemas.experiment.phase2_settings import Phase2Settings


@dataclass(frozen=True, slots=True)
class Bounds:
    """From ``minimum`` to ``maximum`` dollars a year, both included; ``None``: no bound."""

    minimum: int = 1
    maximum: int | None = None

    @classmethod
    def of(cls, settings: Phase2Settings) -> Self:
        """Those of the configuration; any amount over 0 where ``amount_range_validation`` is off."""
        if not settings.amount_range_validation:
            return cls()
        return cls(settings.amount_min_reasonable, settings.amount_max_reasonable)

    def problem(self, amount: int, text: LanguageManager) -> str | None:
        """What is wrong with ``amount``, in the agent's language; ``None`` when it lies within."""
        told = text.money(amount)
        if amount < self.minimum:
            return text.text("voting.correction.low", amount=told, minimum=text.money(self.minimum))
        if self.maximum is not None and amount > self.maximum:
            return text.text("voting.correction.high", amount=told, maximum=text.money(self.maximum))
        return None
