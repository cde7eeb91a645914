"""Alembic for one service: `migrations/env.py` calls `run_migrations`, the service's CLI calls `upgrade`."""

import asyncio
from pathlib import Path

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from oms_events.runtime.settings import Settings

_LOCK_ID = 0x0B0D8


def config_for(folder: Path, database_url: str | None = None) -> Config:
    """Alembic's configuration for a folder of migrations; the address comes from the environment unless given."""
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.attributes["database_url"] = database_url or Settings().database_url.get_secret_value()
    return config


def upgrade(folder: Path, *, revision: str = "head", database_url: str | None = None) -> None:
    """Bring the database to a revision. Two at once wait for each other."""
    command.upgrade(config_for(folder, database_url), revision)


def run_migrations(metadata: MetaData) -> None:
    """Body of a service's `env.py`."""
    asyncio.run(_run(metadata, context.config.attributes["database_url"]))


async def _run(metadata: MetaData, database_url: str) -> None:
    engine = create_async_engine(database_url, poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(_migrate, metadata)
        await connection.commit()
    await engine.dispose()


def _migrate(connection: Connection, metadata: MetaData) -> None:
    # A migration that waits long for a lock stops everyone who queues behind it.
    connection.execute(text("set lock_timeout = '5s'"))
    connection.execute(text("select pg_advisory_lock(:id)"), {"id": _LOCK_ID})
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()
    connection.execute(text("select pg_advisory_unlock(:id)"), {"id": _LOCK_ID})
