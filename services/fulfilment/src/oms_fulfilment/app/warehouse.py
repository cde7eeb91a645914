"""What warehouses report of shipments. No report is lost: what cannot be applied is kept, with the reason."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from oms_events.contracts.intake import WarehouseReport, WarehouseReportReceived
from oms_events.envelope import Batch, EventMeta
from oms_events.runtime.work import Work
from oms_fulfilment.adapters import reports as store
from oms_fulfilment.adapters.reports import Verdict
from oms_fulfilment.app.changes import Changes
from oms_fulfilment.domain.facts import Rejected
from oms_fulfilment.domain.reports import Report, judge
from oms_fulfilment.domain.waiting import wanted_anew

UNMATCHED_FOR = timedelta(days=7)


async def on_warehouse_report_received(received: Batch[WarehouseReportReceived], work: Work) -> None:
    """Apply each report once, by its number."""
    changes = await Changes.of_shipments(work, [item.event.shipment_id for item in received])
    seen = await store.known(
        work.connection, [(item.event.shipment_id, item.event.report.report_no) for item in received]
    )
    orders = changes.by_shipment()
    verdicts = []
    for item in received:
        report = item.event.report
        number = (report.shipment_id, report.report_no)
        if number not in seen:
            seen.add(number)
            verdicts.append(apply_report(changes, orders, report, item.meta))
    await store.insert(work.connection, verdicts, now=work.now)
    await changes.save()


async def expire_reports(work: Work) -> None:
    """Give up on reports whose shipment never came."""
    await store.expire(work.connection, before=work.now - UNMATCHED_FOR)


def apply_report(changes: Changes, orders: Mapping[UUID, UUID], report: WarehouseReport, cause: EventMeta) -> Verdict:
    """Let a report change its shipment; answers what became of the report. Lines given back are routed elsewhere."""
    order_id = orders.get(report.shipment_id)
    if order_id is None:
        return _verdict(report, "unmatched", "the shipment is not known")
    judged = judge(changes.shipment(order_id, report.shipment_id), _report(report))
    changes.put_shipment(judged.shipment, judged.facts, cause)
    for fact in judged.facts:
        if isinstance(fact, Rejected):
            skus = dict.fromkeys(units.sku for units in fact.lines)
            changes.put(wanted_anew(changes.demand(order_id)).excluding(report.node, skus, "warehouse"))
            changes.route_later(order_id, cause)
    return _verdict(report, judged.outcome, judged.reason)


def _report(report: WarehouseReport) -> Report:
    lines: dict[str, int] = {}
    for line in report.lines:
        lines[line.line_id] = lines.get(line.line_id, 0) + line.quantity
    return Report(
        node=report.node,
        report_no=report.report_no,
        kind=report.kind,
        lines=lines or None,
        weight_g=sum(parcel.weight_g for parcel in report.parcels),
        reason=report.reason,
        occurred_at=report.occurred_at,
    )


def _verdict(report: WarehouseReport, state: str, reason: str) -> Verdict:
    document = report.model_dump_json()
    return Verdict(report.shipment_id, report.report_no, report.node, report.kind, document, state, reason)
