"""Channel orders: every telling is kept, and the order made of it is placed as soon as nothing stops that."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from oms_events.contracts.intake import ChannelOrderReceived
from oms_events.envelope import Received
from oms_events.registry import Event
from oms_events.runtime.work import Work
from oms_orders.adapters import listings, records
from oms_orders.adapters.records import Telling
from oms_orders.app.book import Book
from oms_orders.app.facts import tell
from oms_orders.domain.holds import DEFAULT_AUDIT, AuditRule
from oms_orders.domain.intake import receive, receive_again

_NAME = ChannelOrderReceived.__name__
Told = Received[ChannelOrderReceived]


@dataclass(frozen=True, slots=True)
class Shop:
    """What is to be known of a shop to judge its orders."""

    skus: Mapping[str, str]
    audit: AuditRule


async def unheard(told: Sequence[Told], work: Work) -> list[Told]:
    """The tellings that say something not heard before. All are kept as they came."""
    if not told:
        return []
    tellings = []
    for one in told:
        document = one.event.order.model_dump_json()
        digest = hashlib.sha256(document.encode()).digest()
        tellings.append(Telling(one.event.order_id, one.event.order.version, digest, document))
    new = await records.keep_tellings(work.connection, tellings, work.now)
    fresh = []
    for one, telling in zip(told, tellings, strict=True):
        name = (telling.order_id, telling.version, telling.content_hash)
        if name in new:
            new.remove(name)
            fresh.append(one)
    return fresh


async def shops_of(told: Sequence[Told], work: Work) -> dict[tuple[str, str], Shop]:
    """The shops of these orders, with the SKU of each listing they sold. To be asked before any order is locked, as
    where listings are mapped: locks are always taken in that order."""
    if not told:
        return {}
    orders = [one.event.order for one in told]
    skus = await listings.find(
        work.connection, {(order.channel, order.shop, line.listing) for order in orders for line in order.lines}
    )
    noted = {(order.channel, order.shop) for order in orders if order.buyer_note}
    audits = await listings.audit_rules(work.connection, noted)
    names = {(order.channel, order.shop) for order in orders}
    return {name: Shop(skus.get(name, {}), audits.get(name, DEFAULT_AUDIT)) for name in names}


def hear(book: Book, one: Told, shop: Shop) -> None:
    """Make an order of what is told for the first time, and compare what is told again with what is known."""
    if one.event.order_id in book.orders:
        _hear_again(book, one, shop)
    else:
        _hear_first(book, one, shop)


def _hear_first(book: Book, one: Told, shop: Shop) -> None:
    """An order begins. What came before it is told to it before anything is concluded."""
    order_id, cause = one.event.order_id, book.cause(one.meta)
    order = receive(order_id, one.event.order, shop.skus, cause, audit=shop.audit)
    book.add(order)
    waited = [(fact, tell(order, fact.event, book.cause(fact.meta))) for fact in book.take_early(order_id)]
    book.record(order, one.meta, cause, _NAME, {"version": order.channel_version})
    for fact, said in waited:
        book.note(order_id, fact.meta, type(fact.event).__name__, {"early": True, **said})


def _hear_again(book: Book, one: Told, shop: Shop) -> None:
    order, cause = book.orders[one.event.order_id], book.cause(one.meta)
    note = receive_again(order, one.event.order, shop.skus, cause, audit=shop.audit)
    book.record(order, one.meta, cause, _NAME, {"version": one.event.order.version, "note": note})
    if order.order_id not in book.new:
        book.retold[order.order_id] = order


async def early_facts(order_ids: Collection[UUID], work: Work) -> dict[UUID, list[Received[Event]]]:
    """What was heard of these orders before they came. It is taken: nobody keeps it on."""
    early: dict[UUID, list[Received[Event]]] = {}
    if order_ids:
        for order_id, fact in await records.take_early(work.connection, order_ids):
            early.setdefault(order_id, []).append(fact)
    return early
