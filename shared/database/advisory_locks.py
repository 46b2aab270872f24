"""The advisory locks of Postgres that Parley takes: all of them, so that no two have one number.

Each is held until the end of a transaction; there may be a pooler that knows nothing longer.
"""

from __future__ import annotations

from enum import IntEnum, unique


@unique
class AdvisoryLock(IntEnum):
    """What one process does at a time. The numbers mean nothing, and stay: versions run beside each other."""

    #: Migrations.
    MIGRATION = 0x7061726C65790001
    #: The sweep.
    SWEEP = 0x7061726C65790002
    #: A change of the key that opens everything.
    BOOTSTRAP = 0x7061726C65790003
