"""The migrated database is what the code believes it to be."""

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from oms_logistics.adapters.tables import metadata


def _differences(connection: Connection) -> list:
    def ours(_, name, kind, *__) -> bool:
        return kind != "table" or name in metadata.tables

    options = {"include_object": ours, "compare_type": True, "compare_server_default": True}
    return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)


async def test_migrations_make_the_tables_that_the_code_uses(empty):
    async with empty.runtime.connection() as connection:
        assert await connection.run_sync(_differences) == []
