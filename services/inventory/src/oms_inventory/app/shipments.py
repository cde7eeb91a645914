"""What happens at nodes: shipments planned, taken back, dispatched."""

from collections.abc import Iterable, Sequence

from oms_events.contracts.fulfilment import (
    OrderRouted,
    PlannedShipment,
    ShipmentCancelled,
    ShipmentDispatched,
    ShipmentRejected,
)
from oms_events.contracts.inventory import StockAllocated, StockAllocationRejected, StockConsumed
from oms_events.envelope import Batch, Received
from oms_events.runtime.work import Work
from oms_inventory.adapters import shipments
from oms_inventory.app.announcing import announce_released, line_quantities, shortages
from oms_inventory.app.books import Books, close, open_shipments, quantities
from oms_inventory.domain.allocation import Allocated, Refused, Shipment, TakenBack, allocate, dispatch, take_back
from oms_inventory.domain.reservation import Quantity, Reservation
from oms_inventory.domain.stock import Cause, Reason

Spoken = tuple[Shipment, Sequence[Quantity]]
Stopped = ShipmentCancelled | ShipmentRejected


async def on_order_routed(routed: Batch[OrderRouted], work: Work) -> None:
    """Set each planned shipment's lines aside at its node, all lines of a shipment or none."""
    plans = [(item, plan, quantities(plan.lines)) for item in routed for plan in item.event.shipments]
    spoken = [(Shipment(plan.shipment_id, item.event.order_id, plan.node), lines) for item, plan, lines in plans]
    books = await _open(work, spoken)
    for item, plan, lines in plans:
        reservation, shipment = books.orders[item.event.order_id], books.shipments[plan.shipment_id]
        cause = Cause("allocated", item.meta.id, item.meta.time, reservation.order_id, plan.shipment_id)
        outcome = allocate(books.stock, reservation, shipment, lines, cause)
        _answer(work, reservation, item, plan, outcome)
    await close(work, books)


def _answer(
    work: Work,
    reservation: Reservation,
    item: Received[OrderRouted],
    plan: PlannedShipment,
    outcome: Allocated | Refused | None,
) -> None:
    order_id, decision_id, node = item.event.order_id, item.event.decision_id, plan.node
    answer: StockAllocated | StockAllocationRejected
    match outcome:
        case Allocated(lines):
            answer = StockAllocated(
                order_id=order_id,
                shipment_id=plan.shipment_id,
                decision_id=decision_id,
                node=node,
                lines=line_quantities(lines),
            )
        case Refused(lacks):
            answer = StockAllocationRejected(
                order_id=order_id,
                shipment_id=plan.shipment_id,
                decision_id=decision_id,
                node=node,
                shortages=shortages(lacks),
            )
        case None:
            return
    work.emit(answer, cause=item.meta, sequence=reservation.version)


async def on_shipment_dispatched(dispatched: Batch[ShipmentDispatched], work: Work) -> None:
    """Book what left the warehouse."""
    lines = [quantities(item.event.lines) for item in dispatched]
    books = await _open(work, list(zip(_shipments(dispatched), lines, strict=True)), create=True)
    for item, gone in zip(dispatched, lines, strict=True):
        event = item.event
        reservation, shipment = books.orders[event.order_id], books.shipments[event.shipment_id]
        cause = Cause("dispatched", item.meta.id, event.dispatched_at, event.order_id, event.shipment_id)
        if dispatch(books.stock, reservation, shipment, gone, cause):
            consumed = StockConsumed(
                order_id=event.order_id,
                shipment_id=event.shipment_id,
                node=shipment.node,
                lines=line_quantities(gone),
            )
            work.emit(consumed, cause=item.meta, sequence=reservation.version)
    await close(work, books)


async def on_shipment_cancelled(cancelled: Batch[ShipmentCancelled], work: Work) -> None:
    """Take back what was set aside for lines that were stopped."""
    lines = [quantities(item.event.lines) for item in cancelled]
    books = await _open(work, list(zip(_shipments(cancelled), lines, strict=True)))
    fresh = await shipments.fresh_cancellations(
        work.connection, [(item.event.shipment_id, item.event.cancellation_id) for item in cancelled]
    )
    for item, stopped in zip(cancelled, lines, strict=True):
        key = (item.event.shipment_id, item.event.cancellation_id)
        if key in fresh:
            fresh.remove(key)
            _take_back(work, books, item, stopped, how="cancelled")
    await close(work, books)


async def on_shipment_rejected(rejected: Batch[ShipmentRejected], work: Work) -> None:
    """Take back what the warehouse will not ship; it stays reserved for the order, which is routed again."""
    lines = [quantities(item.event.lines) for item in rejected]
    books = await _open(work, list(zip(_shipments(rejected), lines, strict=True)))
    for item, refused in zip(rejected, lines, strict=True):
        _take_back(work, books, item, refused, how="rejected")
    await close(work, books)


def _take_back(work: Work, books: Books, item: Received[Stopped], lines: Sequence[Quantity], *, how: TakenBack) -> None:
    order_id, shipment_id = item.event.order_id, item.event.shipment_id
    reservation, shipment = books.orders[order_id], books.shipments[shipment_id]
    reason: Reason = "shipment_cancelled" if how == "cancelled" else "shipment_rejected"
    cause = Cause(reason, item.meta.id, item.meta.time, order_id, shipment_id)
    returned = take_back(books.stock, reservation, shipment, lines, cause, how=how)
    for came_back, to_pool in ((returned.reserved, True), (returned.free, False)):
        announce_released(
            work,
            reservation,
            came_back,
            item.meta,
            reason=f"shipment {how}",
            shipment_id=shipment_id,
            to_pool=to_pool,
        )


def _shipments(batch: Iterable[Received[ShipmentDispatched | Stopped]]) -> list[Shipment]:
    return [Shipment(item.event.shipment_id, item.event.order_id, item.event.node) for item in batch]


async def _open(work: Work, spoken: Sequence[Spoken], *, create: bool = False) -> Books:
    return await open_shipments(work, [shipment for shipment, _ in spoken], spoken, create=create)
