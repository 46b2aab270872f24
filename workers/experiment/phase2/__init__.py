"""Phase 2: the group talks and votes, round after round, until it agrees or has no rounds left."""

from workers.experiment.phase2.manager import Phase2Manager

__all__ = ["Phase2Manager"]
