"""Bring a database to the newest schema: ``python -m shared.database.migrate``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from alembic import command
from alembic.config import Config
from psycopg import errors
from sqlalchemy.exc import OperationalError

from shared.settings import SettingsError, get_settings

MIGRATIONS = Path(__file__).parent / "migrations"
#: Seconds that a migration waits for a table; whatever comes after it waits behind it as long.
LOCK_WAIT = 2.0
_PAUSE = 1.0  # seconds
_TRIES = 100


def config(url: str) -> Config:
    """Alembic's configuration for the database at ``url`` (a ``postgresql+psycopg`` URL)."""
    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS))
    made.attributes["url"] = url
    made.attributes["lock_wait"] = LOCK_WAIT
    return made


def upgrade(url: str, revision: str = "head") -> None:
    """Migrate to ``revision`` while others use the database; who migrates at the same time waits.

    A table that is in use is waited for :data:`LOCK_WAIT` seconds at a time, with pauses in which everybody
    else gets on, for some minutes.

    Raises:
        sqlalchemy.exc.OperationalError: the database is out of reach, or a table was in use all the time.
    """
    for tried in range(1, _TRIES + 1):
        try:
            command.upgrade(config(url), revision)
        except OperationalError as error:
            if tried == _TRIES or not isinstance(error.orig, errors.LockNotAvailable):
                raise
            time.sleep(_PAUSE)
        else:
            return


def main() -> int:
    """Migrate the database of the settings; the exit status of the process."""
    try:
        settings = get_settings()
    except SettingsError as error:
        print(f"parley migrate: {error}", file=sys.stderr)
        return 2
    upgrade(settings.migration_database_url or settings.database_url)
    return 0


if __name__ == "__main__":
    sys.exit(main())
