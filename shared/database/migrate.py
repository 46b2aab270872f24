"""Bring a database to the newest schema: ``python -m shared.database.migrate``."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

from shared.settings import get_settings

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


if __name__ == "__main__":
    settings = get_settings()
    upgrade(settings.migration_database_url or settings.database_url)
