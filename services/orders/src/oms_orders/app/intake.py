"""Channel orders: every telling is kept, and the order made of it is placed as soon as nothing stops that."""

import hashlib
from collections.abc import Collection
from uuid import UUID

from oms_events.contracts.intake import ChannelOrderReceived
from oms_events.envelope import Batch, Received
from oms_events.registry import Event
from oms_events.runtime.work import Work
from oms_orders.adapters import listings, orders, records
from oms_orders.adapters.records import Telling
from oms_orders.app.book import Book
from oms_orders.app.facts import tell
from oms_orders.domain.holds import DEFAULT_AUDIT
from oms_orders.domain.intake import receive, receive_again

_NAME = ChannelOrderReceived.__name__


async def on_channel_order_received(received: Batch[ChannelOrderReceived], work: Work) -> None:
    """Make orders of what is told for the first time, and compare what is told again with what is known."""
    fresh = await _first_tellings(received, work)
    if not fresh:
        return
    told = [one.event.order for one in fresh]
    # Listings before orders, here and where they are mapped: locks are always taken in that order.
    skus = await listings.find(
        work.connection, {(order.channel, order.shop, line.listing) for order in told for line in order.lines}
    )
    noted_shops = {(order.channel, order.shop) for order in told if order.buyer_note}
    audits = await listings.audit_rules(work.connection, noted_shops)
    ids = {one.event.order_id for one in fresh}
    book = Book(work, await orders.load(work.connection, ids, "payments", "cancellations"))
    early = await _early_facts(ids - book.orders.keys(), work)

    for one in fresh:
        order_id, sold, cause = one.event.order_id, one.event.order, book.cause(one.meta)
        shop = (sold.channel, sold.shop)
        detail: dict[str, object] = {"version": sold.version}
        known = book.orders.get(order_id)
        audit, mapped = audits.get(shop, DEFAULT_AUDIT), skus.get(shop, {})
        if known is None:
            order = receive(order_id, sold, mapped, cause, audit=audit)
            book.add(order)
            waited = [(fact, tell(order, fact.event, book.cause(fact.meta))) for fact in early.get(order_id, ())]
        else:
            order, waited = known, []
            detail["note"] = receive_again(order, sold, mapped, cause, audit=audit)
            if order_id not in book.new:
                book.retold[order_id] = order
        book.record(order, one.meta, cause, _NAME, detail)
        for fact, said in waited:
            book.note(order_id, fact.meta, type(fact.event).__name__, {"early": True, **said})
    await book.save()


async def _first_tellings(received: Batch[ChannelOrderReceived], work: Work) -> list[Received[ChannelOrderReceived]]:
    """The tellings that say something not heard before. All are kept as they came."""
    tellings = []
    for one in received:
        document = one.event.order.model_dump_json()
        digest = hashlib.sha256(document.encode()).digest()
        tellings.append(Telling(one.event.order_id, one.event.order.version, digest, document))
    unheard = await records.keep_tellings(work.connection, tellings, work.now)
    fresh = []
    for one, telling in zip(received, tellings, strict=True):
        name = (telling.order_id, telling.version, telling.content_hash)
        if name in unheard:
            unheard.remove(name)
            fresh.append(one)
    return fresh


async def _early_facts(order_ids: Collection[UUID], work: Work) -> dict[UUID, list[Received[Event]]]:
    early: dict[UUID, list[Received[Event]]] = {}
    if order_ids:
        for order_id, fact in await records.take_early(work.connection, order_ids):
            early.setdefault(order_id, []).append(fact)
    return early
