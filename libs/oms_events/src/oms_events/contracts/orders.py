"""Events of orders: the life of one order, in order."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from oms_events.contracts.shared import (
    Code,
    Currency,
    Destination,
    Instant,
    LineQuantity,
    Minor,
    Part,
    Price,
    Quantity,
    Text,
)
from oms_events.registry import Event, Topic, event

ORDER = Topic("oms.orders.order.v1", key="order_id")

Lines = Annotated[tuple[LineQuantity, ...], Field(max_length=2000)]


class OrderLine(Part):
    """A line with its share of the order's discount: `amount_minor` is what the line really earned."""

    line_id: Text
    listing: Text
    sku: Text
    quantity: Quantity
    unit_price_minor: Price
    discount_minor: Price
    amount_minor: Minor


class UnplacedOrder(Part):
    """An order that was over before it could be placed, for those who may yet see its money in a statement."""

    channel: Code
    shop: Code
    channel_order_no: Text
    currency: Currency
    cancelled_minor: Price
    shipping_minor: Price


@event(ORDER)
class OrderPlaced(Event):
    """A channel's order became an order of ours: every line names a SKU, every discount a line.

    `lines` is what is left of it, `total_minor` what the channel said of all. `cancelled_minor` is what its buyer was
    asked for besides the lines: for pieces that were cancelled before the order could be placed.
    """

    order_id: UUID
    channel: Code
    shop: Code
    channel_order_no: Text
    placed_at: Instant
    currency: Currency
    lines: Annotated[tuple[OrderLine, ...], Field(min_length=1, max_length=2000)]
    shipping_minor: Price
    total_minor: Price
    ship_to: Destination
    delivery_tier: str
    ship_by: Instant | None = None
    cancelled_minor: Price = 0


@event(ORDER)
class HoldOpened(Event):
    """Something stops the order; `blocks` names what may not happen until it is resolved."""

    order_id: UUID
    hold_id: UUID
    code: str
    blocks: tuple[str, ...]
    detail: str = ""
    line_id: str | None = None


@event(ORDER)
class HoldResolved(Event):
    """A hold no longer stops the order. `outcome` is `resolved`, `rejected` or `expired`."""

    order_id: UUID
    hold_id: UUID
    code: str
    outcome: str
    by: str


@event(ORDER)
class OrderPaid(Event):
    """What the buyer owed has been received in full, if only after the order was cancelled."""

    order_id: UUID
    currency: Currency
    paid_minor: Price
    paid_at: Instant


@event(ORDER)
class OrderReleased(Event):
    """Paid, reserved and free of holds: these lines may be routed and shipped."""

    order_id: UUID
    channel: Code
    shop: Code
    currency: Currency
    lines: Lines
    ship_to: Destination
    delivery_tier: str
    released_at: Instant
    ship_by: Instant | None = None


@event(ORDER)
class CancellationRequested(Event):
    """Lines already released should be stopped if they still can be: fulfilment answers for each shipment."""

    order_id: UUID
    cancellation_id: UUID
    lines: Lines
    reason: str = ""


@event(ORDER)
class OrderLinesCancelled(Event):
    """These quantities are no longer part of the order."""

    order_id: UUID
    cancellation_id: UUID
    lines: Lines
    reason: str = ""


@event(ORDER)
class OrderCancelled(Event):
    """Nothing of the order is left to ship. `unplaced` describes one that nobody has heard of."""

    order_id: UUID
    reason: str
    unplaced: UnplacedOrder | None = None


@event(ORDER)
class OrderCompleted(Event):
    """Everything that was not cancelled has been delivered."""

    order_id: UUID
    completed_at: Instant
