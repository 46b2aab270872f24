"""Bring a database to the newest schema: ``python -m shared.database.migrate``."""

from __future__ import annotations

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config

from shared.settings import SettingsError, get_settings

MIGRATIONS = Path(__file__).parent / "migrations"


def config(url: str) -> Config:
    """Alembic's configuration for the database at ``url`` (a ``postgresql+psycopg`` URL)."""
    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS))
    made.attributes["url"] = url
    return made


def upgrade(url: str, revision: str = "head") -> None:
    """Migrate to ``revision``; processes that do so at the same time wait for one another."""
    command.upgrade(config(url), revision)


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
