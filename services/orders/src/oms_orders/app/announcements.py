"""What was decided about an order, as the events that tell others."""

from collections.abc import Callable, Mapping
from typing import Any

from oms_events.contracts import orders as contracts
from oms_events.registry import Event
from oms_orders.domain.order import (
    Cancelled,
    Completed,
    Decision,
    HoldClosed,
    HoldOpened,
    Line,
    LinesCancelled,
    Order,
    Paid,
    Placed,
    Released,
    StopAsked,
)
from oms_orders.domain.pricing import cancelled_of, discount_of

# The parts are given as plain dicts: one validation of the whole event is cheaper than one of each part.


def announcement(order: Order, decision: Decision) -> Event:
    """The event that tells of a decision. Raises ValidationError when the order breaks the contract."""
    return _ANNOUNCE[type(decision)](order, decision)


def label(decision: Decision) -> str:
    """A decision in a word or two, for the timeline."""
    if isinstance(decision, HoldOpened | HoldClosed):
        return f"{_NAMES[type(decision)]} {decision.hold.code}"
    return _NAMES[type(decision)]


def _placed(order: Order, _: Placed) -> Event:
    return contracts.OrderPlaced.model_validate(
        {
            "order_id": order.order_id,
            "channel": order.channel,
            "shop": order.shop,
            "channel_order_no": order.channel_order_no,
            "placed_at": order.placed_at,
            "currency": order.currency,
            "lines": tuple(_line(line) for line in order.lines.values() if line.left > 0),
            "shipping_minor": order.shipping_minor,
            "total_minor": order.total_minor,
            "ship_to": _destination(order),
            "delivery_tier": order.delivery_tier,
            "ship_by": order.ship_by,
            "cancelled_minor": cancelled_of(order),
        }
    )


def _line(line: Line) -> dict[str, Any]:
    """A line with what is left of it: of a part that was cancelled before, others need to know the money only."""
    discount_minor = discount_of(line, line.left)
    return {
        "line_id": line.line_id,
        "listing": line.listing,
        "sku": line.sku,
        "quantity": line.left,
        "unit_price_minor": line.unit_price_minor,
        "discount_minor": discount_minor,
        "amount_minor": line.left * line.unit_price_minor - discount_minor,
    }


def _destination(order: Order) -> dict[str, str]:
    place = order.ship_to
    return {
        "country": place.country,
        "region": place.region,
        "city": place.city,
        "postcode": place.postcode,
        "receiver_token": place.receiver_token,
    }


def _quantities(order: Order, quantities: Mapping[str, int]) -> tuple[dict[str, Any], ...]:
    return tuple(
        {"line_id": line_id, "sku": order.lines[line_id].sku, "quantity": quantity}
        for line_id, quantity in quantities.items()
    )


def _paid(order: Order, _: Paid) -> Event:
    return contracts.OrderPaid.model_validate(
        {
            "order_id": order.order_id,
            "currency": order.currency,
            "paid_minor": order.paid_minor,
            "paid_at": order.paid_at,
        }
    )


def _released(order: Order, _: Released) -> Event:
    return contracts.OrderReleased.model_validate(
        {
            "order_id": order.order_id,
            "channel": order.channel,
            "shop": order.shop,
            "currency": order.currency,
            "lines": _quantities(order, {line.line_id: line.left for line in order.lines.values() if line.left > 0}),
            "ship_to": _destination(order),
            "delivery_tier": order.delivery_tier,
            "released_at": order.released_at,
            "ship_by": order.ship_by,
        }
    )


def _hold_opened(order: Order, decision: HoldOpened) -> Event:
    hold = decision.hold
    return contracts.HoldOpened(
        order_id=order.order_id,
        hold_id=hold.hold_id,
        code=hold.code,
        blocks=hold.blocks,
        detail=hold.detail,
        line_id=hold.line_id,
    )


def _hold_closed(order: Order, decision: HoldClosed) -> Event:
    hold = decision.hold
    return contracts.HoldResolved(
        order_id=order.order_id,
        hold_id=hold.hold_id,
        code=hold.code,
        outcome=hold.state.lower(),
        by=hold.closed_by or "",
    )


def _stop_asked(order: Order, decision: StopAsked) -> Event:
    return contracts.CancellationRequested.model_validate(
        {
            "order_id": order.order_id,
            "cancellation_id": decision.cancellation.cancellation_id,
            "lines": _quantities(order, decision.quantities),
            "reason": decision.cancellation.reason,
        }
    )


def _lines_cancelled(order: Order, decision: LinesCancelled) -> Event:
    return contracts.OrderLinesCancelled.model_validate(
        {
            "order_id": order.order_id,
            "cancellation_id": decision.cancellation.cancellation_id,
            "lines": _quantities(order, decision.quantities),
            "reason": decision.cancellation.reason,
        }
    )


def _cancelled(order: Order, decision: Cancelled) -> Event:
    return contracts.OrderCancelled(
        order_id=order.order_id, reason=decision.reason, unplaced=_unplaced(order) if order.entered_at is None else None
    )


def _unplaced(order: Order) -> contracts.UnplacedOrder:
    return contracts.UnplacedOrder(
        channel=order.channel,
        shop=order.shop,
        channel_order_no=order.channel_order_no,
        currency=order.currency,
        cancelled_minor=cancelled_of(order),
        shipping_minor=order.shipping_minor,
    )


def _completed(order: Order, _: Completed) -> Event:
    assert order.completed_at is not None
    return contracts.OrderCompleted(order_id=order.order_id, completed_at=order.completed_at)


_ANNOUNCE: Mapping[type[Decision], Callable[[Order, Any], Event]] = {
    Placed: _placed,
    Paid: _paid,
    Released: _released,
    HoldOpened: _hold_opened,
    HoldClosed: _hold_closed,
    StopAsked: _stop_asked,
    LinesCancelled: _lines_cancelled,
    Cancelled: _cancelled,
    Completed: _completed,
}
_NAMES: Mapping[type[Decision], str] = {
    Placed: "OrderPlaced",
    Paid: "OrderPaid",
    Released: "OrderReleased",
    HoldOpened: "HoldOpened",
    HoldClosed: "HoldResolved",
    StopAsked: "CancellationRequested",
    LinesCancelled: "OrderLinesCancelled",
    Cancelled: "OrderCancelled",
    Completed: "OrderCompleted",
}
