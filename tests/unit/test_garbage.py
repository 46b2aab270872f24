"""What a process holds when it is ready is not looked through again."""

from __future__ import annotations

import gc

from shared import garbage


def test_a_full_collection_skips_what_was_there() -> None:
    try:
        garbage.settle()
        assert gc.get_freeze_count() > 10_000
        assert len(gc.get_objects()) < gc.get_freeze_count()
    finally:
        gc.unfreeze()
