"""What warehouses and operators said of stock."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.contracts.intake import StockReport

_FRESH = text(
    """
    insert into stock_reports (node, sku, report_no, kind, quantity, occurred_at)
    select * from unnest(
        cast(:nodes as text[]), cast(:skus as text[]), cast(:report_nos as text[]), cast(:kinds as text[]),
        cast(:quantities as bigint[]), cast(:occurred_ats as timestamptz[]))
    on conflict do nothing
    returning node, sku, report_no
    """
)
_MOVED_SINCE = text(
    """
    select sku, node, movements.occurred_at, sum(on_hand) as moved
      from unnest(cast(:skus as text[]), cast(:nodes as text[]), cast(:since as timestamptz[]))
           as snapshot(of_sku, of_node, since)
      join movements on sku = of_sku and node = of_node and movements.occurred_at > since
                    and on_hand <> 0 and reason <> 'snapshot'
     group by sku, node, movements.occurred_at
    """
)
_ADJUST = text(
    """
    insert into stock_adjustments (reference, node, sku, quantity, reason)
    values (:reference, :node, :sku, :quantity, :reason)
    on conflict do nothing
    returning reference
    """
)
_ADJUSTMENT = text("select node, sku, quantity, reason from stock_adjustments where reference = :reference")

Moved = dict[tuple[str, str], list[tuple[datetime, int]]]
"""By SKU and node: when goods moved, and by how much."""


async def fresh(connection: AsyncConnection, reports: Sequence[StockReport]) -> set[tuple[str, str, str]]:
    """Keep reports; answers (node, SKU, number) of those never seen before."""
    rows = await connection.execute(
        _FRESH,
        {
            "nodes": [report.node for report in reports],
            "skus": [report.sku for report in reports],
            "report_nos": [report.report_no for report in reports],
            "kinds": [report.kind for report in reports],
            "quantities": [report.quantity for report in reports],
            "occurred_ats": [report.occurred_at for report in reports],
        },
    )
    return {(node, sku, report_no) for node, sku, report_no in rows}


async def moved_since(connection: AsyncConnection, snapshots: dict[tuple[str, str], datetime]) -> Moved:
    """What moved at each (SKU, node) after a moment, by the ledger, snapshots left out."""
    moved: Moved = {key: [] for key in snapshots}
    rows = await connection.execute(
        _MOVED_SINCE,
        {
            "skus": [sku for sku, _ in snapshots],
            "nodes": [node for _, node in snapshots],
            "since": list(snapshots.values()),
        },
    )
    for sku, node, occurred_at, quantity in rows:
        moved[sku, node].append((occurred_at, int(quantity)))
    return moved


async def adjust(
    connection: AsyncConnection, *, reference: str, node: str, sku: str, quantity: int, reason: str
) -> tuple[str, str, int, str] | None:
    """Keep an adjustment; None when it is new, else what the reference stood for before."""
    values = {"reference": reference, "node": node, "sku": sku, "quantity": quantity, "reason": reason}
    if (await connection.execute(_ADJUST, values)).scalar_one_or_none() is not None:
        return None
    earlier = (await connection.execute(_ADJUSTMENT, {"reference": reference})).one()
    return earlier.node, earlier.sku, earlier.quantity, earlier.reason
