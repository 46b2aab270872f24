"""Phase 1: what agents do alone. They learn the principles, rank them, and are paid by their choices."""

from workers.experiment.phase1.manager import Phase1Manager

__all__ = ["Phase1Manager"]
