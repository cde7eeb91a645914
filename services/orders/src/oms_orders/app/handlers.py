"""One function per event: the orders it is about are loaded under lock, told of it, and saved."""

from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

from oms_events.contracts.catalog import ListingMapped, ListingUnmapped
from oms_events.contracts.fulfilment import (
    CancellationAnswered,
    OrderRouted,
    RoutingFailed,
    ShipmentAccepted,
    ShipmentCancelled,
    ShipmentDispatched,
    ShipmentRejected,
    ShipmentReleased,
    ShipmentRequested,
)
from oms_events.contracts.intake import ChannelCancellationReceived, ChannelPaymentReceived
from oms_events.contracts.inventory import StockReservationRejected, StockReserved
from oms_events.contracts.logistics import (
    DeliveryPromiseBroken,
    ShipmentDelivered,
    WaybillAssigned,
    WaybillRefused,
)
from oms_events.envelope import Batch, Received, origin
from oms_events.runtime.deadlines import Deadline
from oms_events.runtime.work import Work
from oms_orders.adapters import listings, orders
from oms_orders.adapters.orders import Detail
from oms_orders.app.book import SOURCE, Book
from oms_orders.app.facts import cancellation_detail, tell, timeline_detail
from oms_orders.domain.cancellation import Wish, cancel
from oms_orders.domain.intake import map_listings
from oms_orders.domain.states import awaits_payment
from oms_orders.settings import settings

AboutOrder = (
    ChannelPaymentReceived
    | ChannelCancellationReceived
    | StockReserved
    | StockReservationRejected
    | OrderRouted
    | RoutingFailed
    | CancellationAnswered
    | ShipmentRequested
    | ShipmentReleased
    | ShipmentAccepted
    | ShipmentRejected
    | ShipmentDispatched
    | ShipmentCancelled
    | WaybillAssigned
    | WaybillRefused
    | ShipmentDelivered
    | DeliveryPromiseBroken
)
E = TypeVar("E", bound=AboutOrder)
_MAPPED_PAGE = 500
"""Orders that one transaction lets go on when their listings are mapped: a listing may hold up any number."""


async def on_channel_payment_received(received: Batch[ChannelPaymentReceived], work: Work) -> None:
    """Count the money; paid in full, the order may be released."""
    await _tell(received, work, "payments")


async def on_channel_cancellation_received(received: Batch[ChannelCancellationReceived], work: Work) -> None:
    """Cancel at once before the release, ask fulfilment after it."""
    await _tell(received, work, "cancellations")


async def on_stock_reserved(received: Batch[StockReserved], work: Work) -> None:
    """All lines have stock: the order may be released."""
    await _tell(received, work)


async def on_stock_reservation_rejected(received: Batch[StockReservationRejected], work: Work) -> None:
    """Hold the order until stock arrives."""
    await _tell(received, work)


async def on_order_routed(received: Batch[OrderRouted], work: Work) -> None:
    """End the hold for want of a node, where there is one."""
    await _tell_held(received, work, "NO_ROUTE")


async def on_routing_failed(received: Batch[RoutingFailed], work: Work) -> None:
    """Hold the order until a node can ship it."""
    await _tell(received, work)


async def on_waybill_assigned(received: Batch[WaybillAssigned], work: Work) -> None:
    """End the hold for want of a carrier, where there is one."""
    await _tell_held(received, work, "NO_CARRIER")


async def on_waybill_refused(received: Batch[WaybillRefused], work: Work) -> None:
    """Hold the order until a carrier takes it."""
    await _tell(received, work)


async def on_shipment_dispatched(received: Batch[ShipmentDispatched], work: Work) -> None:
    """Count what left."""
    await _tell(received, work, "shipments")


async def on_shipment_delivered(received: Batch[ShipmentDelivered], work: Work) -> None:
    """Count what arrived; with the last of it the order is completed."""
    await _tell(received, work, "shipments")


async def on_cancellation_answered(received: Batch[CancellationAnswered], work: Work) -> None:
    """Take out of the order what fulfilment could stop."""
    await _tell(received, work, "cancellations")


async def on_passing_by(
    received: Batch[
        ShipmentRequested
        | ShipmentReleased
        | ShipmentAccepted
        | ShipmentRejected
        | ShipmentCancelled
        | DeliveryPromiseBroken
    ],
    work: Work,
) -> None:
    """Put on the timeline what changes nothing about the order itself, known or not."""
    book = Book(work, {})
    _note_all(book, received)
    await book.save()


async def on_listing_mapped(mapped: Batch[ListingMapped], work: Work) -> None:
    """Remember the SKU, and let the orders go on that waited for it."""
    skus = {(e.channel, e.shop, e.listing): e.sku for e in (received.event for received in mapped)}
    await listings.save(work.connection, skus)
    await place_mapped_orders(work)


async def on_listing_unmapped(unmapped: Batch[ListingUnmapped], work: Work) -> None:
    """Orders to come will be held. Those placed already keep their SKU."""
    gone = {(e.channel, e.shop, e.listing): None for e in (received.event for received in unmapped)}
    await listings.save(work.connection, gone)


async def place_mapped_orders(work: Work) -> None:
    """Let a page of orders go on whose listings have a SKU by now. Also a job: a page may not be all."""
    waiting = await listings.waiting(work.connection, page=_MAPPED_PAGE)
    if not waiting:
        return
    book = Book(work, await orders.load(work.connection, waiting))
    for order_id, order in book.orders.items():
        meta = origin(SOURCE, "listings-mapped", str(order_id), str(order.version), at=order.received_at)
        cause = book.cause(meta)
        map_listings(order, waiting[order_id], cause)
        book.record(order, meta, cause, "ListingsMapped", {"skus": waiting[order_id]})
    await book.save()


async def on_unpaid(due: Sequence[Deadline], work: Work) -> None:
    """Cancel orders that were not paid in time."""
    causes = {UUID(deadline.key): deadline.cause(SOURCE) for deadline in due}
    book = Book(work, await orders.load(work.connection, causes, "cancellations"))
    reason = f"not paid within {settings().unpaid_timeout_s} s"
    for order_id, order in book.orders.items():
        if awaits_payment(order):
            meta = causes[order_id]
            wish = Wish("unpaid", "unpaid", reason, meta.time, {})
            cause = book.cause(meta)
            cancellation = cancel(order, wish, cause)
            book.record(order, meta, cause, "PaymentOverdue", cancellation_detail(cancellation))
    await book.save()


async def _tell(received: Sequence[Received[E]], work: Work, *details: Detail) -> None:
    book = Book(work, await orders.load(work.connection, {one.event.order_id for one in received}, *details))
    _tell_all(book, received)
    await book.save()


async def _tell_held(received: Sequence[Received[E]], work: Work, code: str) -> None:
    """Only orders with such a hold have anything to learn; for all others it is a line on the timeline."""
    held = await orders.held(work.connection, {one.event.order_id for one in received}, code)
    book = Book(work, await orders.load(work.connection, held) if held else {})
    _tell_all(book, [one for one in received if one.event.order_id in held])
    _note_all(book, [one for one in received if one.event.order_id not in held])
    await book.save()


def _tell_all(book: Book, received: Sequence[Received[E]]) -> None:
    for one in received:
        order = book.orders.get(one.event.order_id)
        if order is None:
            book.wait(one.event.order_id, one)
        else:
            cause = book.cause(one.meta)
            detail = tell(order, one.event, cause)
            book.record(order, one.meta, cause, type(one.event).__name__, detail)


def _note_all(book: Book, received: Sequence[Received[E]]) -> None:
    for one in received:
        book.note(one.event.order_id, one.meta, type(one.event).__name__, timeline_detail(one.event))
