"""`uuid` for scripts: random identifiers alone."""

from __future__ import annotations

import uuid


def uuid4() -> uuid.UUID:
    """A random UUID."""
    return uuid.uuid4()
