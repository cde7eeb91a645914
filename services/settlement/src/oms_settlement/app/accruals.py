"""What is heard of orders becomes money that is expected."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from oms_events.contracts.fulfilment import ShipmentDispatched
from oms_events.contracts.orders import (
    OrderCancelled,
    OrderLinesCancelled,
    OrderPaid,
    OrderPlaced,
    UnplacedOrder,
)
from oms_events.contracts.settlement import account_of
from oms_events.contracts.shared import LineQuantity
from oms_events.envelope import Batch, Received
from oms_events.runtime.work import Work
from oms_settlement.adapters import orders, terms
from oms_settlement.adapters.orders import Name, Order
from oms_settlement.adapters.terms import Terms
from oms_settlement.app.books import Books, Cause
from oms_settlement.domain.position import Basis, Card, Dated, Facts, Line, steps

News = OrderPlaced | OrderPaid | OrderLinesCancelled | OrderCancelled | ShipmentDispatched

_BASIS: Mapping[type[News], Basis] = {
    OrderPlaced: "paid",
    OrderPaid: "paid",
    OrderLinesCancelled: "cancelled",
    OrderCancelled: "cancelled",
    ShipmentDispatched: "dispatched",
}


async def on_order_news(received: Batch[News], work: Work) -> None:
    """Take down what was heard, and expect the money that follows from it."""
    known = await orders.load(work.connection, {one.event.order_id for one in received})
    described = [order for one in received if (order := _described(one.event)) is not None]
    books = Books(work, await _terms_with(described, work), known)
    for one in received:
        _hear(books, one)
    await books.save()


def _described(event: News) -> OrderPlaced | UnplacedOrder | None:
    """What an event says of whose order it is, if it does."""
    match event:
        case OrderPlaced():
            return event
        case OrderCancelled():
            return event.unplaced
        case _:
            return None


async def _terms_with(described: list[OrderPlaced | UnplacedOrder], work: Work) -> Terms:
    """The terms in force; accounts that sell for the first time are begun."""
    known = await terms.terms(work.connection)
    new = {
        account: (order.channel, order.shop, order.currency)
        for order in described
        if (account := account_of(order.channel, order.shop)) not in known.accounts
    }
    if not new:
        return known
    await terms.open_accounts(work.connection, new)
    await terms.new_edition(work.connection)
    return await terms.terms(work.connection)


def _hear(books: Books, one: Received[News]) -> None:
    event = one.event
    order = books.orders.setdefault(event.order_id, Order(event.order_id))
    before = order.facts
    after = _with(before, event, one.meta.time)
    if after == before:
        return
    order.facts = after
    books.changed[order.order_id] = order
    if (told := _described(event)) is not None:
        order.name = Name(account_of(told.channel, told.shop), told.channel_order_no, told.currency)
    if order.name is None or not after.moving:
        return
    card = _card(books.terms, order.name)
    for step in steps(before, after, _BASIS[type(event)], card):
        books.accrue(order, step, Cause(one.meta, _moment(event, one.meta.time)))
    order.due_at = after.due_at(books.terms.due_days(order.name.account)) if order.open else None


def _with(facts: Facts, event: News, at: datetime) -> Facts:
    """The facts with one more; one that is known changes nothing."""
    match event:
        case OrderPlaced() if facts.lines is None:
            lines = {line.line_id: Line(line.amount_minor, line.quantity) for line in event.lines}
            facts = replace(
                facts, lines=lines, shipping_minor=event.shipping_minor, unplaced_minor=event.cancelled_minor
            )
        case OrderPaid() if facts.paid_at is None:
            facts = replace(facts, paid_at=event.paid_at, paid_minor=event.paid_minor)
        case OrderLinesCancelled():
            more = {str(event.cancellation_id): Dated(at, _quantities(event.lines))}
            facts = replace(facts, cancelled=more | dict(facts.cancelled))
        case OrderCancelled() if facts.gone_at is None:
            facts = replace(facts, gone_at=at)
            if (unplaced := event.unplaced) is not None:
                facts = replace(
                    facts,
                    lines={},
                    shipping_minor=unplaced.shipping_minor,
                    unplaced_minor=unplaced.cancelled_minor,
                )
        case ShipmentDispatched():
            more = {str(event.shipment_id): Dated(event.dispatched_at, _quantities(event.lines))}
            facts = replace(facts, dispatched=more | dict(facts.dispatched))
        case _:
            pass
    return facts


def _moment(event: News, at: datetime) -> datetime:
    """When it happened: the books are dated by that, not by when it was heard."""
    if isinstance(event, OrderPaid):
        return event.paid_at
    if isinstance(event, ShipmentDispatched):
        return event.dispatched_at
    return at


def _quantities(lines: tuple[LineQuantity, ...]) -> dict[str, int]:
    quantities: dict[str, int] = {}
    for line in lines:
        quantities[line.line_id] = quantities.get(line.line_id, 0) + line.quantity
    return quantities


def _card(known: Terms, name: Name) -> Card:
    return lambda component, at: known.card(name.channel, name.shop, component, name.currency, at)
