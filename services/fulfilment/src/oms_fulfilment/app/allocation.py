"""Inventory's answer to a plan, shipment by shipment."""

from oms_events.contracts.inventory import StockAllocated, StockAllocationRejected
from oms_events.envelope import Batch
from oms_events.runtime.work import Work
from oms_fulfilment.app.changes import Changes
from oms_fulfilment.app.sourcing import NodeSku
from oms_fulfilment.domain.shipping import allocate, refuse_allocation
from oms_fulfilment.domain.waiting import refused


async def on_stock_allocated(allocated: Batch[StockAllocated], work: Work) -> None:
    """Ask for a carrier."""
    changes = await Changes.of_orders(work, [item.event.order_id for item in allocated])
    for item in allocated:
        shipment, facts = allocate(changes.shipment(item.event.order_id, item.event.shipment_id))
        changes.put_shipment(shipment, facts, item.meta)
    await changes.save()


async def on_stock_allocation_rejected(rejected: Batch[StockAllocationRejected], work: Work) -> None:
    """Believe inventory, and plan the lines again elsewhere."""
    changes = await Changes.of_orders(work, [item.event.order_id for item in rejected])
    short: dict[NodeSku, int] = {}
    for item in rejected:
        refusal = item.event
        before = changes.shipment(refusal.order_id, refusal.shipment_id)
        shipment = refuse_allocation(before)
        changes.put_shipment(shipment, (), item.meta)
        if shipment.state == before.state:
            continue
        lacking = {s.sku: s.available for s in refusal.shortages if s.available < s.requested}
        short |= {(refusal.node, sku): available for sku, available in lacking.items()}
        demand = refused(changes.demand(refusal.order_id)).excluding(refusal.node, lacking, "inventory")
        changes.put(demand)
        changes.route_later(refusal.order_id, item.meta, refused=refusal.decision_id)
    await changes.save(short=short)
