"""What is known of an order: a set of facts. They may come in any order and more than once, and add up to the same."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

Document = Mapping[str, Any]


class Fact(NamedTuple):
    """What one event said of an order. `sequence` is the version its source gave it, 0 where it gave none."""

    event_id: str
    kind: str
    occurred_at: datetime
    document: Document


@dataclass(frozen=True, slots=True)
class Line:
    """A line as ordered, and how many of it were cancelled and dispatched since."""

    line_id: str
    sku: str
    quantity: int
    unit_price_minor: int
    discount_minor: int
    amount_minor: int
    cancelled: int
    dispatched: int

    @property
    def kept(self) -> int:
        """What is left of it."""
        return max(0, self.quantity - self.cancelled)

    @property
    def kept_discount_minor(self) -> int:
        """The discount of what is left: whole units' share of it, rounded down."""
        return self.discount_minor * self.kept // self.quantity

    @property
    def kept_minor(self) -> int:
        """What the line is worth with what is left of it."""
        return self.unit_price_minor * self.kept - self.kept_discount_minor

    @property
    def waiting(self) -> int:
        """Pieces that are neither dispatched nor cancelled. What is cancelled comes off what waits before it comes off
        what has left."""
        return max(0, self.kept - self.dispatched)

    @property
    def waiting_minor(self) -> int:
        """What they are worth. Cut as settlement cuts its advance receipts, so that both are the same to the unit."""
        return self._cut(self.kept) - self._cut(self.kept - self.waiting)

    @property
    def waiting_discount_minor(self) -> int:
        """The discount in it."""
        return self.unit_price_minor * self.waiting - self.waiting_minor

    def _cut(self, pieces: int) -> int:
        return self.amount_minor * pieces // self.quantity


@dataclass(frozen=True, slots=True)
class Money:
    """An amount for something, in a currency."""

    component: str
    currency: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What statements say of a component so far: what was expected of it, what was paid."""

    currency: str
    expected_minor: int
    settled_minor: int
    answered: bool
    """False where it says that nothing has come: the money is still expected."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order as its facts tell it."""

    channel: str
    shop: str
    currency: str
    placed_at: datetime
    shipping_minor: int
    lines: tuple[Line, ...]
    estimated_freight: tuple[Money, ...]
    """Of shipments that are not called off."""
    owed_freight: tuple[Money, ...]
    """Of shipments that left."""
    accruals: tuple[Money, ...]
    standings: Mapping[tuple[str, str], Standing]
    """By component and currency."""
    write_offs: tuple[Money, ...]
    shipments: int
    delivered: int
    late: int
    rejections: int

    @property
    def cancelled(self) -> bool:
        """Whether nothing is left of it."""
        return all(line.kept == 0 for line in self.lines)

    @property
    def unsent(self) -> bool:
        """Whether nothing of it has left and something is still to."""
        return not self.shipments and any(line.waiting for line in self.lines)


@dataclass(slots=True)
class _Notes:
    placed: Document | None = None
    cancelled: dict[str, int] = field(default_factory=dict)
    waybills: dict[str, Money] = field(default_factory=dict)
    dispatched: dict[str, dict[str, int]] = field(default_factory=dict)
    called_off: set[str] = field(default_factory=set)
    delivered: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)
    accruals: dict[str, list[Money]] = field(default_factory=dict)
    standings: dict[tuple[str, str], tuple[tuple[datetime, int, str], Standing]] = field(default_factory=dict)
    write_offs: dict[str, Money] = field(default_factory=dict)
    rejections: int = 0


def order_of(facts: Iterable[Fact]) -> Order | None:
    """The order that the facts are about, or None while nobody has said that it was placed.

    Facts of one event count once. What their order could decide, their content does: ids, versions, times.
    """
    notes = _Notes()
    # Sorted by id, so that even two facts which contradict each other are always judged the same way.
    for fact in sorted({fact.event_id: fact for fact in facts}.values(), key=lambda fact: fact.event_id):
        _TAKE[fact.kind](notes, fact)
    return None if notes.placed is None else _order(notes, notes.placed)


def _order(notes: _Notes, placed: Document) -> Order:
    left = notes.dispatched
    sent: dict[str, int] = {}
    for quantities in left.values():
        for line_id, quantity in quantities.items():
            sent[line_id] = sent.get(line_id, 0) + quantity
    return Order(
        channel=placed["channel"],
        shop=placed["shop"],
        currency=placed["currency"],
        placed_at=datetime.fromisoformat(placed["placed_at"]),
        shipping_minor=placed["shipping_minor"],
        lines=tuple(_line(line, notes.cancelled, sent) for line in placed["lines"]),
        estimated_freight=tuple(
            money for id_, money in notes.waybills.items() if id_ in left or id_ not in notes.called_off
        ),
        owed_freight=tuple(money for id_, money in notes.waybills.items() if id_ in left),
        accruals=tuple(money for accrual in notes.accruals.values() for money in accrual),
        standings={key: standing for key, (_, standing) in notes.standings.items()},
        write_offs=tuple(notes.write_offs.values()),
        shipments=len(left),
        delivered=len(notes.delivered),
        late=len(notes.late),
        rejections=notes.rejections,
    )


def _line(told: Sequence[Any], cancelled: Mapping[str, int], dispatched: Mapping[str, int]) -> Line:
    line_id, sku, quantity, unit_price, discount, amount = told
    return Line(
        line_id, sku, quantity, unit_price, discount, amount, cancelled.get(line_id, 0), dispatched.get(line_id, 0)
    )


def _placed(notes: _Notes, fact: Fact) -> None:
    notes.placed = notes.placed or fact.document


def _lines_cancelled(notes: _Notes, fact: Fact) -> None:
    for line_id, quantity in fact.document["lines"]:
        notes.cancelled[line_id] = notes.cancelled.get(line_id, 0) + quantity


def _waybill(notes: _Notes, fact: Fact) -> None:
    told = fact.document
    notes.waybills[told["shipment_id"]] = Money("freight", told["currency"], -told["cost_minor"])


def _dispatched(notes: _Notes, fact: Fact) -> None:
    quantities: dict[str, int] = {}
    for line_id, quantity in fact.document["lines"]:
        quantities[line_id] = quantities.get(line_id, 0) + quantity
    notes.dispatched[fact.document["shipment_id"]] = quantities


def _called_off(notes: _Notes, fact: Fact) -> None:
    notes.called_off.add(fact.document["shipment_id"])


def _delivered(notes: _Notes, fact: Fact) -> None:
    notes.delivered.add(fact.document["shipment_id"])
    if fact.document["late_by_s"] > 0:
        notes.late.add(fact.document["shipment_id"])


def _promise_broken(notes: _Notes, fact: Fact) -> None:
    notes.late.add(fact.document["shipment_id"])


def _accrual(notes: _Notes, fact: Fact) -> None:
    told = fact.document
    notes.accruals[told["accrual_id"]] = [
        Money(component, told["currency"], amount) for component, amount in told["components"]
    ]


def _standing(notes: _Notes, fact: Fact) -> None:
    told = fact.document
    rank = (fact.occurred_at, told["sequence"], fact.event_id)
    for component, expected, settled in told["components"]:
        key = (component, told["currency"])
        if key not in notes.standings or notes.standings[key][0] < rank:
            notes.standings[key] = (rank, Standing(told["currency"], expected, settled, told["answered"]))


def _write_off(notes: _Notes, fact: Fact) -> None:
    told = fact.document
    notes.write_offs[told["write_off_id"]] = Money(told["component"], told["currency"], told["amount_minor"])


def _rejection(notes: _Notes, _: Fact) -> None:
    notes.rejections += 1


def _nothing(_: _Notes, __: Fact) -> None:
    """Said of the order, and shown, but of no consequence for what it earned."""


_TAKE = {
    "OrderPlaced": _placed,
    "OrderPaid": _nothing,
    "OrderLinesCancelled": _lines_cancelled,
    "OrderCancelled": _nothing,
    "HoldOpened": _nothing,
    "HoldResolved": _nothing,
    "StockReservationRejected": _rejection,
    "WaybillAssigned": _waybill,
    "ShipmentDispatched": _dispatched,
    "ShipmentCancelled": _called_off,
    "ShipmentRejected": _called_off,
    "ShipmentDelivered": _delivered,
    "DeliveryPromiseBroken": _promise_broken,
    "AccrualPosted": _accrual,
    "StatementLineMatched": _standing,
    "DifferenceAttributed": _standing,
    "DifferenceResolved": _nothing,
    "WriteOffPosted": _write_off,
}
