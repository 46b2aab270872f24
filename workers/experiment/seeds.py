"""Every random draw of a run: a function of its seed and of the step, never of what was drawn before."""

from __future__ import annotations

import hashlib
from random import Random

from workers.experiment.steps.key import StepKey


class SeedManager:
    """Generators for the draws of a run.

    Args:
        seed: of the run, 0 to 2³¹ - 1.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def generator(self, key: StepKey) -> Random:
        """The generator of one draw: the same for the same seed and place, whatever else was drawn."""
        digest = hashlib.sha256(f"{self.seed}:{key.path}".encode()).digest()
        return Random(int.from_bytes(digest, "big"))  # noqa: S311 - repeatable is what it must be
