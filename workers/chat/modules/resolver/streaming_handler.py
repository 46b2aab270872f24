"""What clients hear while modules run: each warning once, and the stages as they come."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from workers.chat.modules.resolver.result_models import ModuleWarning, StageUpdate

log = logging.getLogger(__name__)


class StreamingHandler:
    """Tells warnings and stages to whoever listens to the turn.

    Attributes:
        warnings: those told, in order.
    """

    def __init__(
        self, warn: Callable[[ModuleWarning], None], on_stage: Callable[[StageUpdate], None]
    ) -> None:
        self._warn = warn
        self._on_stage = on_stage
        self.warnings: list[ModuleWarning] = []

    def warn(self, warnings: Iterable[ModuleWarning]) -> None:
        """Tell warnings, to the log as well; one that was told already is not told again."""
        for warning in warnings:
            if warning in self.warnings:
                continue
            self.warnings.append(warning)
            # Not its message: what a script failed with may hold what was said.
            log.warning(
                "Module %s: %s",
                warning.module_name,
                warning.warning_type.value,
                extra={"warning_type": warning.warning_type.value, "stage": warning.stage},
            )
            self._warn(warning)

    def in_order(self, order: Sequence[str]) -> list[ModuleWarning]:
        """All warnings so far, by stage and then in the order of their modules."""
        places: dict[str | None, int] = {name: place for place, name in enumerate(order)}
        return sorted(self.warnings, key=lambda told: (told.stage, places.get(told.module_name, -1)))

    def stage(
        self, number: int, state: Literal["started", "finished"], label: str, modules: Iterable[str]
    ) -> None:
        """Tell that a stage began or ended, and with which modules."""
        self._on_stage(StageUpdate(number, state, label, tuple(modules)))
