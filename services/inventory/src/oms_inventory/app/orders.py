"""What happens at the pool: orders placed, cancelled in part, cancelled."""

from oms_events.contracts.orders import OrderCancelled, OrderLinesCancelled, OrderPlaced
from oms_events.envelope import Batch, EventMeta
from oms_events.runtime.work import Work
from oms_inventory.adapters import reservations, shipments
from oms_inventory.adapters.reservations import Queued
from oms_inventory.app.announcing import announce_held, announce_released, announce_short
from oms_inventory.app.books import close, open_orders, quantities
from oms_inventory.domain.channel import Shop
from oms_inventory.domain.reservation import (
    Held,
    Reservation,
    Short,
    State,
    cancel_lines,
    cancel_order,
    hold,
    place,
)
from oms_inventory.domain.stock import Cause


async def on_order_placed(placed: Batch[OrderPlaced], work: Work) -> None:
    """Reserve every order's lines, all or nothing, first come first served."""
    shops = {item.event.order_id: Shop(item.event.channel, item.event.shop) for item in placed}
    orders = await reservations.lock_placed(work.connection, shops)
    skus = {line.sku for item in placed for line in item.event.lines}
    books = await open_orders(work, orders, skus, shops=set(shops.values()))
    short: list[Queued] = []
    for item in placed:
        order_id = item.event.order_id
        reservation = orders[order_id]
        cause = Cause("reserved", item.meta.id, item.meta.time, order_id)
        outcome = place(books.stock, reservation, shops[order_id], quantities(item.event.lines), cause)
        match outcome:
            case Held():
                announce_held(work, reservation, outcome, item.meta)
            case Short():
                announce_short(work, reservation, outcome, item.meta)
                short.append(_queued(reservation, item.meta))
    await close(work, books)
    await reservations.queue(work.connection, short)


def _queued(order: Reservation, meta: EventMeta) -> Queued:
    skus = sorted({line.sku for line in order.lines.values()})
    return Queued(order.order_id, skus, meta.id, meta.correlationid, meta.time)


async def on_order_lines_cancelled(cancelled: Batch[OrderLinesCancelled], work: Work) -> None:
    """Give back what was reserved for cancelled lines. What is left of a waiting order may now be had."""
    orders = await reservations.lock(work.connection, [item.event.order_id for item in cancelled])
    fresh = await shipments.fresh_cancellations(
        work.connection, [(item.event.order_id, item.event.cancellation_id) for item in cancelled]
    )
    books = await open_orders(work, orders, {line.sku for item in cancelled for line in item.event.lines})
    for item in cancelled:
        key = (item.event.order_id, item.event.cancellation_id)
        if key not in fresh:
            continue
        fresh.remove(key)
        reservation = orders[item.event.order_id]
        cause = Cause("lines_cancelled", item.meta.id, item.meta.time, reservation.order_id)
        released = cancel_lines(books.stock, reservation, quantities(item.event.lines), cause)
        announce_released(work, reservation, released, item.meta, reason="lines cancelled")
        if reservation.state is State.WAITING:
            outcome = hold(books.stock, reservation, cause._replace(reason="reserved"))
            if isinstance(outcome, Held):
                announce_held(work, reservation, outcome, item.meta)
    await close(work, books)


async def on_order_cancelled(cancelled: Batch[OrderCancelled], work: Work) -> None:
    """Close the order's reservation. An order cancelled before it is placed will not be reserved either."""
    orders = await reservations.lock(work.connection, [item.event.order_id for item in cancelled])
    books = await open_orders(work, orders, ())
    for item in cancelled:
        reservation = orders[item.event.order_id]
        cause = Cause("order_cancelled", item.meta.id, item.meta.time, reservation.order_id)
        released = cancel_order(books.stock, reservation, cause)
        announce_released(work, reservation, released, item.meta, reason="order cancelled")
    await close(work, books)
