"""The migrated database is what the code believes it to be."""

from oms_catalog.adapters.tables import metadata
from oms_events.testing.migrations import schema_differences
from oms_events.testing.scenario import Scenario


async def test_migrations_make_the_tables_that_the_code_uses(scenario: Scenario) -> None:
    async with scenario.runtime.connection() as connection:
        assert await schema_differences(connection, metadata) == []
        collations = await connection.exec_driver_sql(
            "select distinct collation_name from information_schema.columns"
            " where (table_name, column_name) in (('skus', 'sku'), ('skus', 'product_code'), ('listings', 'shop'))"
        )
        assert [row.collation_name for row in collations] == ["C"]
