"""The migrated database is what the code believes it to be."""

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from oms_events.testing.scenario import Scenario
from oms_orders.adapters.tables import metadata


def _differences(connection: Connection) -> list[Any]:
    return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)


async def test_migrations_make_the_tables_that_the_code_uses(scenario: Scenario) -> None:
    async with scenario.runtime.connection() as connection:
        differences = await connection.run_sync(_differences)
    assert [difference for difference in differences if "alembic_version" not in str(difference)] == []
