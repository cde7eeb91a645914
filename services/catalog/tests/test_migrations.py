"""The migrated database is what the code believes it to be."""

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from oms_catalog.adapters.tables import metadata
from oms_events.testing.scenario import Scenario


def _differences(connection: Connection) -> list[Any]:
    def ours(_: object, name: str | None, kind: str, *__: object) -> bool:
        return kind != "table" or name in metadata.tables

    options = {"include_object": ours, "compare_type": True}
    return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)


async def test_migrations_make_the_tables_that_the_code_uses(scenario: Scenario) -> None:
    async with scenario.runtime.connection() as connection:
        assert await connection.run_sync(_differences) == []
        collations = await connection.exec_driver_sql(
            "select distinct collation_name from information_schema.columns"
            " where (table_name, column_name) in (('skus', 'sku'), ('skus', 'product_code'), ('listings', 'shop'))"
        )
        assert [row.collation_name for row in collations] == ["C"]
