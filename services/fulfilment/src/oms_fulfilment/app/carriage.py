"""The carrier's answer: a waybill releases the shipment to its warehouse."""

from uuid import UUID

from oms_events.contracts.intake import WarehouseReport
from oms_events.contracts.logistics import WaybillAssigned, WaybillRefused
from oms_events.envelope import Batch, EventMeta
from oms_events.runtime.work import Work
from oms_fulfilment.adapters import reports as store
from oms_fulfilment.app.changes import Changes
from oms_fulfilment.app.warehouse import apply_report
from oms_fulfilment.domain.shipping import refuse_carriage, release


async def on_waybill_assigned(assigned: Batch[WaybillAssigned], work: Work) -> None:
    """Release shipments, and apply what their warehouses have reported ahead of it."""
    changes = await Changes.of_orders(work, [item.event.order_id for item in assigned])
    released: dict[UUID, EventMeta] = {}
    for item in assigned:
        waybill = item.event
        shipment, facts = release(
            changes.shipment(waybill.order_id, waybill.shipment_id),
            carrier=waybill.carrier,
            service=waybill.service,
            waybill_no=waybill.waybill_no,
        )
        changes.put_shipment(shipment, facts, item.meta)
        if facts:
            released[shipment.shipment_id] = item.meta
    documents = await store.unmatched(work.connection, released.keys())
    early = [WarehouseReport.model_validate_json(document) for document in documents]
    early.sort(key=lambda report: (report.occurred_at, report.report_no))
    orders = changes.by_shipment()
    await store.settle(
        work.connection,
        [apply_report(changes, orders, report, released[report.shipment_id]) for report in early],
    )
    await changes.save()


async def on_waybill_refused(refused: Batch[WaybillRefused], work: Work) -> None:
    """Note why the shipment waits; it goes on when a waybill comes."""
    changes = await Changes.of_orders(work, [item.event.order_id for item in refused])
    for item in refused:
        shipment = changes.shipment(item.event.order_id, item.event.shipment_id)
        changes.put_shipment(refuse_carriage(shipment, item.event.reason), (), item.meta)
    await changes.save()
