"""Run by Alembic: one transaction for all versions, under a lock that ends with it."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, pool, text

from shared.database.advisory_locks import AdvisoryLock
from shared.database.models import Base


def run() -> None:
    """Migrate the database whose URL the configuration carries."""
    engine = create_engine(context.config.attributes["url"], poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
        with context.begin_transaction():
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": AdvisoryLock.MIGRATION})
            # From here on: whoever waits for a table stands in the way of all who come after.
            wait = context.config.attributes["lock_wait"]
            connection.execute(
                text("SELECT set_config('lock_timeout', :wait, true)"), {"wait": f"{wait * 1000:.0f}ms"}
            )
            context.run_migrations()
    engine.dispose()


run()
