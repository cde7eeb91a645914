"""Alembic for one service: `migrations/env.py` calls `run_migrations`, the service's CLI calls `upgrade`."""

import asyncio
from pathlib import Path

import structlog
from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from oms_events.runtime.settings import Settings

log = structlog.get_logger()

_LOCK_ID = 0x0B0D8


def config_for(folder: Path, database_url: str | None = None) -> Config:
    """Alembic's configuration for a folder of migrations; the address comes from the environment unless given."""
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.attributes["database_url"] = database_url or Settings().database_url.get_secret_value()
    return config


def upgrade(folder: Path, *, revision: str = "head", database_url: str | None = None) -> None:
    """Bring the database to a revision. Two at once wait for each other.

    A database that newer code has brought further stays as it is: the code before it can work with it, and must be
    able to start again when the newer one is rolled back.
    """
    config = config_for(folder, database_url)
    known, there = asyncio.run(_revisions(config))
    if there - known:
        log.warning("the database is newer than this code", revision=", ".join(sorted(there)))
        return
    command.upgrade(config, revision)


async def behind(folder: Path, database_url: str) -> str | None:
    """What the database lacks for this code, or None: it is at the newest revision, or newer code was here."""
    config = config_for(folder, database_url)
    known, there = await _revisions(config)
    heads = set(ScriptDirectory.from_config(config).get_heads())
    if there - known or there == heads:
        return None
    return f"at revision {', '.join(sorted(there)) or 'none'}, not yet at {', '.join(sorted(heads))}"


async def _revisions(config: Config) -> tuple[set[str], set[str]]:
    """The revisions that this code knows, and those that the database is at."""
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    engine = create_async_engine(config.attributes["database_url"], poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            there = await connection.run_sync(lambda plain: MigrationContext.configure(plain).get_current_heads())
    finally:
        await engine.dispose()
    return known, set(there)


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
