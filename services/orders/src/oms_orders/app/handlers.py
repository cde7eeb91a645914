"""What is told of orders, whoever tells it: the orders of a batch are loaded once, told of it, and saved once."""

from collections.abc import Mapping, Sequence
from typing import cast
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
from oms_events.contracts.intake import ChannelCancellationReceived, ChannelOrderReceived, ChannelPaymentReceived
from oms_events.contracts.inventory import StockReservationRejected, StockReserved
from oms_events.contracts.logistics import (
    DeliveryPromiseBroken,
    ShipmentDelivered,
    WaybillAssigned,
    WaybillRefused,
)
from oms_events.envelope import Batch, Received, origin
from oms_events.registry import Event
from oms_events.runtime.deadlines import Deadline
from oms_events.runtime.work import Work
from oms_orders.adapters import listings, orders
from oms_orders.app import intake
from oms_orders.app.book import SOURCE, Book
from oms_orders.app.facts import cancellation_detail, tell, timeline_detail
from oms_orders.domain.cancellation import Wish, cancel
from oms_orders.domain.intake import map_listings
from oms_orders.domain.order import Order
from oms_orders.domain.states import awaits_payment
from oms_orders.settings import settings

News = (
    ChannelOrderReceived
    | ChannelPaymentReceived
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
_PASSING_BY: frozenset[type[Event]] = frozenset(
    {
        ShipmentRequested,
        ShipmentReleased,
        ShipmentAccepted,
        ShipmentRejected,
        ShipmentCancelled,
        DeliveryPromiseBroken,
    }
)
"""Changes nothing about the order: a line on its timeline, known or not."""
_CLEARING: Mapping[type[Event], str] = {OrderRouted: "NO_ROUTE", WaybillAssigned: "NO_CARRIER"}
"""Ends a hold with this code. An order without one has nothing to learn."""
_ABOUT_PAYMENTS = (ChannelOrderReceived, ChannelPaymentReceived)
_ABOUT_SHIPMENTS = (ShipmentDispatched, ShipmentDelivered)
_ABOUT_CANCELLATIONS = (ChannelOrderReceived, ChannelCancellationReceived, CancellationAnswered)
_MAPPED_PAGE = 500
"""Orders that one transaction lets go on when their listings are mapped: a listing may hold up any number."""


async def on_news(received: Batch[News], work: Work) -> None:
    """Tell orders what happened, in the order in which it is told."""
    told = [cast("intake.Told", one) for one in received if isinstance(one.event, ChannelOrderReceived)]
    told = await intake.unheard(told, work)
    shops = await intake.shops_of(told, work)
    book = Book(work, await _load(received, work))
    coming = {one.event.order_id for one in told} - book.orders.keys()
    book.expect(await intake.early_facts(coming, work))
    unheard = {one.meta.id for one in told}
    for one in received:
        if not isinstance(one.event, ChannelOrderReceived):
            _hear(book, one)
        elif one.meta.id in unheard:
            order = one.event.order
            intake.hear(book, cast("intake.Told", one), shops[order.channel, order.shop])
    await book.save()


async def _load(received: Batch[News], work: Work) -> dict[UUID, Order]:
    """The orders that may have something to learn."""
    clearing = {one.event.order_id for one in received if type(one.event) in _CLEARING}
    learning = {
        one.event.order_id
        for one in received
        if type(one.event) not in _PASSING_BY and type(one.event) not in _CLEARING
    }
    learning |= await orders.held(work.connection, clearing - learning, _CLEARING.values())
    if not learning:
        return {}
    return await orders.load(
        work.connection,
        learning,
        payments=_ids(received, _ABOUT_PAYMENTS),
        shipments=_ids(received, _ABOUT_SHIPMENTS),
        cancellations=_ids(received, _ABOUT_CANCELLATIONS),
    )


def _ids(received: Batch[News], kinds: tuple[type[Event], ...]) -> set[UUID]:
    return {one.event.order_id for one in received if isinstance(one.event, kinds)}


def _hear(book: Book, one: Received[News]) -> None:
    order_id, kind = one.event.order_id, type(one.event)
    order = book.orders.get(order_id)
    if kind in _PASSING_BY or (kind in _CLEARING and (order is None or not order.holds)):
        book.note(order_id, one.meta, kind.__name__, timeline_detail(one.event))
    elif order is None:
        book.wait(order_id, one)
    else:
        cause = book.cause(one.meta)
        book.record(order, one.meta, cause, kind.__name__, tell(order, one.event, cause))


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
    book = Book(work, await orders.load(work.connection, causes, cancellations=causes))
    reason = f"not paid within {settings().unpaid_timeout_s} s"
    for order_id, order in book.orders.items():
        if awaits_payment(order):
            meta = causes[order_id]
            wish = Wish("unpaid", "unpaid", reason, meta.time, {})
            cause = book.cause(meta)
            cancellation = cancel(order, wish, cause)
            book.record(order, meta, cause, "PaymentOverdue", cancellation_detail(cancellation))
    await book.save()
