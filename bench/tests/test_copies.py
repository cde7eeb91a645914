"""What keeps copied rows apart from their originals."""

import pytest
from bench.copies import _value
from sqlalchemy import Column, Table, Uuid

from oms_analytics.adapters import tables as analytics
from oms_fulfilment.adapters import tables as fulfilment
from oms_inventory.adapters import tables as inventory
from oms_logistics.adapters import tables as logistics
from oms_orders.adapters import tables as orders
from oms_settlement.adapters import tables as settlement

_OF_STATEMENTS = {"statement_groups"}
"""No statement comes while databases fill up."""
_OF_ORDERS = [
    table
    for service in (analytics, fulfilment, inventory, logistics, orders, settlement)
    for table in service.metadata.sorted_tables
    if "order_id" in table.columns and table.name not in _OF_STATEMENTS
]


@pytest.mark.parametrize("table", _OF_ORDERS, ids=lambda table: table.fullname)
def test_a_copy_of_an_orders_row_has_a_key_of_its_own(table: Table) -> None:
    assert any(column.identity is not None or _is_changed(column) for column in table.primary_key.columns)


def _is_changed(column: Column[object]) -> bool:
    return _value(column.name, "uuid" if isinstance(column.type, Uuid) else "other") != column.name
