"""Reservations: what is held for an order at the pool, all lines or none.

What a line holds is never set, it is derived: what was ordered, less cancelled, less set aside at nodes, less gone.
Every fact only adds to one of these sums; so facts may come in any order and end in the same state.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from oms_inventory.domain.channel import Shop
from oms_inventory.domain.stock import Cause, Stock


class State(StrEnum):
    """How far the reservation of an order is."""

    ANNOUNCED = "announced"
    """Others spoke of the order before it was placed."""
    WAITING = "waiting"
    """There was not enough for every line; tried again when stock arrives."""
    RESERVED = "reserved"
    CANCELLED = "cancelled"


class Quantity(NamedTuple):
    """So many of a SKU for one line of an order."""

    line_id: str
    sku: str
    quantity: int


class Lack(NamedTuple):
    """What was asked of a SKU and what could be had."""

    sku: str
    requested: int
    available: int


@dataclass(slots=True)
class Line:
    """The sums of one order line. `allocated` is set aside at nodes and still there, `consumed` left for good."""

    line_id: str
    sku: str
    ordered: int = 0
    cancelled: int = 0
    allocated: int = 0
    consumed: int = 0
    reserved: int = 0

    @property
    def wanted(self) -> int:
        """What the line still needs from the pool."""
        return max(0, self.ordered - self.cancelled - self.allocated - self.consumed)


@dataclass(slots=True)
class Reservation:
    """An order as inventory knows it. `shop` is None until the order was placed."""

    order_id: UUID
    version: int
    state: State = State.ANNOUNCED
    saved_state: State = State.ANNOUNCED
    shop: Shop | None = None
    lines: dict[str, Line] = field(default_factory=dict)
    changed: dict[str, Line] = field(default_factory=dict)

    def line(self, line_id: str, sku: str) -> Line:
        """The line to be changed; a new one when nobody spoke of it before."""
        line = self.lines.get(line_id)
        if line is None:
            line = self.lines[line_id] = Line(line_id, sku)
        self.changed[line_id] = line
        return line

    def derive(self, line: Line) -> int:
        """Bring the line's reserved quantity to what it should be; answers the difference, which must be posted."""
        target = line.wanted if self.state is State.RESERVED else 0
        difference, line.reserved = target - line.reserved, target
        return difference


@dataclass(frozen=True, slots=True)
class Held:
    """Every line is reserved: what the order is sure of."""

    lines: list[Quantity]


@dataclass(frozen=True, slots=True)
class Short:
    """Not every line can be had, so none is reserved."""

    lacks: list[Lack]


def place(
    stock: Stock, reservation: Reservation, shop: Shop, ordered: Iterable[Quantity], cause: Cause
) -> Held | Short | None:
    """Reserve a placed order. None when there is nothing to say: it was placed before, or nothing of it is left."""
    if any(line.ordered for line in reservation.lines.values()):
        return None
    reservation.shop = shop
    for line_id, sku, quantity in ordered:
        line = reservation.line(line_id, sku)
        line.sku = sku
        line.ordered = quantity
    if reservation.state is State.CANCELLED:
        return None
    return hold(stock, reservation, cause)


def hold(stock: Stock, reservation: Reservation, cause: Cause) -> Held | Short | None:
    """Reserve what every line wants if the shop may sell all of it, else nothing. None when nothing is left."""
    assert reservation.shop is not None
    wanted: dict[str, int] = {}
    left = []
    for line in reservation.lines.values():
        wanted[line.sku] = wanted.get(line.sku, 0) + line.wanted
        if line.ordered > line.cancelled:
            left.append(Quantity(line.line_id, line.sku, line.ordered - line.cancelled))
    if not left:
        reservation.state = State.CANCELLED
        return None
    lacks = [
        Lack(sku, quantity, can)
        for sku, quantity in wanted.items()
        if quantity and (can := stock.sellable(reservation.shop, sku)) < quantity
    ]
    if lacks:
        reservation.state = State.WAITING
        return Short(lacks)
    reservation.state = State.RESERVED
    for line in reservation.lines.values():
        _settle(stock, reservation, line, cause)
    return Held(left)


def cancel_lines(stock: Stock, reservation: Reservation, cancelled: Sequence[Quantity], cause: Cause) -> list[Quantity]:
    """Take quantities out of the order; answers what its reservation gave back."""
    for line_id, sku, quantity in cancelled:
        reservation.line(line_id, sku).cancelled += quantity
    return _give_back(stock, reservation, [reservation.lines[quantity.line_id] for quantity in cancelled], cause)


def cancel_order(stock: Stock, reservation: Reservation, cause: Cause) -> list[Quantity]:
    """Close the reservation for good; answers what it gave back. What nodes have set aside is theirs to return."""
    reservation.state = State.CANCELLED
    return _give_back(stock, reservation, list(reservation.lines.values()), cause)


def _give_back(stock: Stock, reservation: Reservation, lines: Iterable[Line], cause: Cause) -> list[Quantity]:
    back = ((line, -_settle(stock, reservation, line, cause)) for line in lines)
    return [Quantity(line.line_id, line.sku, quantity) for line, quantity in back if quantity > 0]


def _settle(stock: Stock, reservation: Reservation, line: Line, cause: Cause) -> int:
    difference = reservation.derive(line)
    if difference:
        reservation.changed[line.line_id] = line
        stock.post(cause, line.sku, reserved=difference, line_id=line.line_id, shop=reservation.shop)
    return difference
