"""Orders that wait for stock: served oldest first, as soon as something comes free.

A bounded number is tried in the transaction that brought the stock; a job takes the rest.
"""

from collections.abc import Sequence
from datetime import timedelta

from oms_events.contracts.orders import OrderPlaced
from oms_events.envelope import EventMeta
from oms_events.runtime.work import Work
from oms_inventory.adapters import reservations, shelf
from oms_inventory.adapters.reservations import Waiting
from oms_inventory.app.announcing import announce_held
from oms_inventory.domain.reservation import Held, Short, hold
from oms_inventory.domain.stock import Cause

_PAGE = 200
_RETRY_AFTER = timedelta(seconds=60)
"""An order that the pool could serve but its shop's share could not: others of the queue come first for a while."""


async def serve(work: Work, skus: Sequence[str]) -> None:
    """Reserve orders that waited for any of these SKUs, as far as they can be had now."""
    if not skus:
        return
    found = await reservations.lock_waiting(work.connection, skus, now=work.now, page=_PAGE)
    if not found:
        return
    wanted = {line.sku for waiting in found for line in waiting.reservation.lines.values() if line.wanted}
    shops = {waiting.reservation.shop for waiting in found if waiting.reservation.shop is not None}
    stock = await shelf.load_free(work.connection, wanted, shops=shops)
    refused = []
    for waiting in found:
        if any(line.wanted and line.sku not in stock.pools for line in waiting.reservation.lines.values()):
            continue
        outcome = hold(stock, waiting.reservation, _cause(waiting))
        if isinstance(outcome, Held):
            announce_held(work, waiting.reservation, outcome, _placed(waiting))
        elif isinstance(outcome, Short):
            refused.append(waiting.reservation.order_id)
    await reservations.save(work.connection, [waiting.reservation for waiting in found])
    await shelf.save(work.connection, stock)
    await reservations.postpone(work.connection, refused, retry_at=work.now + _RETRY_AFTER)


async def serve_waiting_orders(work: Work) -> None:
    """Job: whoever could be served now and was not."""
    await serve(work, await reservations.waited_for(work.connection))


def _cause(waiting: Waiting) -> Cause:
    return Cause("reserved", waiting.cause_id, waiting.received_at, waiting.reservation.order_id)


def _placed(waiting: Waiting) -> EventMeta:
    """The event that placed the order: what is reserved now is its late answer."""
    return EventMeta(
        id=waiting.cause_id,
        source="/oms/orders",
        type=OrderPlaced.type,
        subject=str(waiting.reservation.order_id),
        time=waiting.received_at,
        correlationid=waiting.correlation_id,
    )
