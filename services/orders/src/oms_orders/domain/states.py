"""The three axes of an order and the one word shown for them. All are derived, none is ever set."""

from dataclasses import dataclass
from typing import Literal

from oms_orders.domain.order import Order
from oms_orders.domain.pricing import due_of

PaymentState = Literal["unpaid", "part_paid", "paid", "overpaid", "refund_due"]
FulfilmentState = Literal[
    "open", "reserved", "released", "part_shipped", "shipped", "part_delivered", "delivered", "cancelled"
]
AfterSalesState = Literal["none", "cancel_requested", "part_cancelled", "cancelled"]
State = Literal[
    "on_hold",
    "awaiting_payment",
    "awaiting_stock",
    "released",
    "in_fulfilment",
    "shipped",
    "completed",
    "cancelled",
]


@dataclass(frozen=True, slots=True)
class Axes:
    """Where an order is on each axis, and the state shown."""

    payment: PaymentState
    fulfilment: FulfilmentState
    after_sales: AfterSalesState
    state: State


def axes_of(order: Order) -> Axes:
    """Derive all from quantities, money and holds."""
    payment, fulfilment = _payment(order), _fulfilment(order)
    return Axes(payment, fulfilment, _after_sales(order), _shown(order, payment, fulfilment))


def awaits_payment(order: Order) -> bool:
    """Whether the wait for the buyer's money should go on."""
    return not order.closed and order.paid_at is None and order.paid_minor < due_of(order)


def _payment(order: Order) -> PaymentState:
    paid, due = order.paid_minor, due_of(order)
    if paid > due:
        return "overpaid" if due == order.total_minor else "refund_due"
    if paid == due:
        return "paid" if paid or order.total_minor == 0 else "unpaid"
    return "part_paid" if paid else "unpaid"


def _fulfilment(order: Order) -> FulfilmentState:
    left = shipped = delivered = 0
    all_shipped = all_delivered = True
    for line in order.lines.values():
        left += line.left
        shipped += line.shipped
        delivered += line.delivered
        all_shipped = all_shipped and line.shipped >= line.left
        all_delivered = all_delivered and line.delivered >= line.left
    if delivered:
        return "delivered" if all_delivered else "part_delivered"
    if shipped:
        return "shipped" if all_shipped else "part_shipped"
    if left == 0:
        return "cancelled"
    if order.released_at is not None:
        return "released"
    return "reserved" if order.reserved else "open"


def _after_sales(order: Order) -> AfterSalesState:
    if order.cancelled_at is not None:
        return "cancelled"
    if order.open_cancellations():
        return "cancel_requested"
    return "part_cancelled" if any(line.cancelled for line in order.lines.values()) else "none"


def _shown(order: Order, payment: PaymentState, fulfilment: FulfilmentState) -> State:
    if order.closed:
        return "cancelled" if order.cancelled_at is not None else "completed"
    if order.released_at is not None and all(line.shipped >= line.left for line in order.lines.values()):
        return "shipped"
    # Stock that is short is a wait, not a question to a person.
    if any(hold.state == "OPEN" and hold.code != "STOCK_SHORT" for hold in order.holds):
        return "on_hold"
    if order.released_at is not None:
        return "released" if fulfilment == "released" else "in_fulfilment"
    return "awaiting_payment" if payment in {"unpaid", "part_paid"} and order.paid_at is None else "awaiting_stock"
