"""What warehouses report of their stock."""

from datetime import datetime

from oms_events.contracts.intake import StockReport, StockReportReceived
from oms_events.envelope import Batch
from oms_events.runtime.work import Work
from oms_inventory.adapters import reports, shelf
from oms_inventory.app import waiting
from oms_inventory.domain.counting import count_movement, count_snapshot
from oms_inventory.domain.stock import Cause, Stock


async def on_stock_report_received(received: Batch[StockReportReceived], work: Work) -> None:
    """Bring on hand to what the warehouse says, and serve orders that waited for it."""
    said = [item.event.report for item in received]
    stock = await shelf.load(
        work.connection,
        {report.sku for report in said},
        cells={(report.sku, report.node) for report in said},
        create=True,
    )
    # Only under the pools' locks: no dispatch can then come between the sum and its use.
    fresh = await reports.fresh(work.connection, said)
    moved = await reports.moved_since(work.connection, _snapshots(said))
    for item in received:
        report = item.event.report
        key = (report.node, report.sku, report.report_no)
        if key in fresh:
            fresh.remove(key)
            cause = Cause(
                "snapshot" if report.kind == "snapshot" else "warehouse_movement",
                item.meta.id,
                report.occurred_at,
                document=report.report_no,
            )
            _count(stock, report, moved, cause)
    await shelf.save(work.connection, stock)
    await waiting.serve(work, stock.grown())


def _snapshots(said: list[StockReport]) -> dict[tuple[str, str], datetime]:
    """The earliest snapshot of each (SKU, node)."""
    since: dict[tuple[str, str], datetime] = {}
    for report in said:
        if report.kind == "snapshot":
            key = (report.sku, report.node)
            since[key] = min(report.occurred_at, since.get(key, report.occurred_at))
    return since


def _count(stock: Stock, report: StockReport, moved: reports.Moved, cause: Cause) -> None:
    known = moved.setdefault((report.sku, report.node), [])
    if report.kind == "snapshot":
        since = sum(quantity for at, quantity in known if at > report.occurred_at)
        count_snapshot(stock, report.sku, report.node, report.quantity, cause, moved_since=since)
    elif count_movement(stock, report.sku, report.node, report.quantity, cause):
        known.append((report.occurred_at, report.quantity))
