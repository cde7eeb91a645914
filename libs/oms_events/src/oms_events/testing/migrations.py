"""Whether a migrated database is what the code believes it to be."""

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, MetaData
from sqlalchemy.ext.asyncio import AsyncConnection


async def schema_differences(connection: AsyncConnection, metadata: MetaData) -> list[Any]:
    """What a migration would still have to change: empty in a sound service. Partitions are nobody's declaration."""

    def declared(_: object, name: str | None, kind: str, *__: object) -> bool:
        return kind != "table" or name in metadata.tables

    def differences(connection: Connection) -> list[Any]:
        options = {"include_object": declared, "compare_type": True}
        found: list[Any] = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
        return found

    return await connection.run_sync(differences)
