"""The money of an order: shares of its discount, whether its sums agree, and what is due."""

from collections.abc import Sequence
from typing import Protocol

from oms_events.values import largest_remainder
from oms_orders.domain.order import Line, Order


class SoldLine(Protocol):
    """A line as its channel sold it. `discount_minor` is for the whole line."""

    @property
    def line_no(self) -> str: ...
    @property
    def listing(self) -> str: ...
    @property
    def quantity(self) -> int: ...
    @property
    def unit_price_minor(self) -> int: ...
    @property
    def discount_minor(self) -> int: ...


def price_lines(sold: Sequence[SoldLine], order_discount_minor: int) -> list[Line]:
    """Lines that carry the order's discount, shared by what each line earns, exact to the last unit.

    Raises ValueError when a line number stands twice: cancellations could not tell the two apart.
    """
    if len({line.line_no for line in sold}) != len(sold):
        raise ValueError("a channel's line number stands twice in one order")
    if order_discount_minor:
        earned = [max(0, line.quantity * line.unit_price_minor - line.discount_minor) for line in sold]
        shares = largest_remainder(order_discount_minor, earned)
    else:
        shares = [0] * len(sold)
    return [
        Line(line.line_no, line.listing, None, line.quantity, line.unit_price_minor, line.discount_minor + share)
        for line, share in zip(sold, shares, strict=True)
    ]


def total_of(order: Order) -> int:
    """What the lines and the shipping sum up to. It should be what the channel says the buyer pays."""
    return sum(line.amount_minor for line in order.lines.values()) + order.shipping_minor


def discount_of(line: Line, quantity: int) -> int:
    """The part of the line's discount that belongs to so many of it, which sums up with that of the rest."""
    if quantity == line.quantity:
        return line.discount_minor
    return largest_remainder(line.discount_minor, [quantity, line.quantity - quantity])[0]


def cancelled_of(order: Order) -> int:
    """What its buyer was asked for what was cancelled of it since."""
    return sum(
        line.cancelled * line.unit_price_minor - discount_of(line, line.cancelled)
        for line in order.lines.values()
        if line.cancelled
    )


def due_of(order: Order) -> int:
    """What the buyer owes for what was not cancelled. A wholly cancelled order owes nothing, shipping included."""
    if all(line.left <= 0 for line in order.lines.values()):
        return 0
    return max(0, order.total_minor - cancelled_of(order))
