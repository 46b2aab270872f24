"""What was asked for beside the configuration, and is kept with a run's models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from shared.schemas.base import Wire

#: Where a run's seed is from: the configuration names it; it came with the request; it follows from the
#: configuration (of a series: with the run's number); whoever asked drew it.
SeedSource = Literal["config", "request", "derived", "drawn"]


class Asked(Wire):
    """Stored beside the routes of the roles; each is ``None`` where it is not known.

    ``connection`` is what the request named for every role.
    """

    connection: str | None = None
    seed_source: SeedSource | None = None
    design_hash: str | None = None

    @classmethod
    def stored(cls, models: Mapping[str, Any]) -> Self:
        """Out of the models of a stored run."""
        return cls.model_validate({name: models.get(name) for name in cls.model_fields})
