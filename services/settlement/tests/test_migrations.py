"""The migrated database is what the code believes it to be."""

from oms_events.testing.migrations import schema_differences
from oms_settlement.adapters.tables import metadata


async def test_migrations_make_the_tables_that_the_code_uses(scenario) -> None:
    async with scenario.runtime.connection() as connection:
        assert await schema_differences(connection, metadata) == []
