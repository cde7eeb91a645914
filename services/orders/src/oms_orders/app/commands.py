"""What operators ask for. Each goes through the same rules as the events do, and may be asked twice."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from oms_events.envelope import origin
from oms_events.runtime.problems import Problem, not_found
from oms_events.runtime.work import Work
from oms_events.values import derived_id
from oms_orders.adapters import orders, queries
from oms_orders.app.book import SOURCE, Book
from oms_orders.app.facts import cancellation_detail
from oms_orders.domain.cancellation import Wish, cancel, reject_hold
from oms_orders.domain.holds import add_hold, close_hold
from oms_orders.domain.order import Block, Cancellation, Hold, Order


async def cancel_order(
    order_id: UUID, quantities: Mapping[str, int], reason: str, reference: str, work: Work
) -> Cancellation:
    """Cancel quantities, or all that is left when none are named. The same reference is the same wish.

    Raises Problem 404 for an unknown order.
    """
    book, order = await _open(order_id, work)
    cancellation_no = f"operator:{reference}"
    if cancellation_no in order.cancellations:
        return order.cancellations[cancellation_no]
    meta = origin(SOURCE, "cancel", str(order_id), reference, at=work.now)
    wish = Wish(cancellation_no, "operator", reason, work.now, quantities)
    cause = book.cause(meta)
    cancellation = cancel(order, wish, cause)
    book.record(order, meta, cause, "CancelOrder", cancellation_detail(cancellation))
    await book.save()
    return cancellation


async def hold_order(
    order_id: UUID, work: Work, *, blocks: Sequence[Block], detail: str, by: str, reference: str
) -> UUID:
    """Stop an order by hand. The same reference is the same hold. Answers the hold's id.

    Raises Problem 404 for an unknown order, 409 for one that has ended.
    """
    book, order = await _open(order_id, work)
    hold_id = derived_id("hold", str(order_id), "CUSTOM", reference, at=order.received_at)
    if await queries.hold(work.connection, hold_id) is not None:
        return hold_id
    if order.closed:
        raise Problem(409, "the order has ended: nothing is left to stop")
    meta = origin(SOURCE, "hold", str(order_id), reference, at=work.now)
    add_hold(order, Hold(hold_id, None, "CUSTOM", detail, tuple(blocks), auto=False, opened_at=work.now))
    book.record(order, meta, book.cause(meta), "HoldOrder", {"by": by, "blocks": list(blocks)})
    await book.save()
    return hold_id


async def resolve_hold(hold_id: UUID, outcome: str, by: str, note: str, work: Work) -> None:
    """Let the order go on (`resolved`), or cancel what can still be stopped of it (`rejected`).

    Raises Problem 404 for an unknown hold, 409 for one that ended otherwise or that only an event can resolve.
    """
    row = await queries.hold(work.connection, hold_id)
    if row is None:
        raise not_found(f"hold {hold_id}")
    book, order = await _open(row["order_id"], work)
    hold = next((hold for hold in order.open_holds() if hold.hold_id == hold_id), None)
    if hold is None:
        await _agree(hold_id, outcome, work)
        return
    meta = origin(SOURCE, "resolve", str(hold_id), at=hold.opened_at)
    cause = book.cause(meta)
    if outcome == "rejected":
        reject_hold(order, hold, by, note, cause)
    elif hold.auto:
        raise Problem(409, f"{hold.code} ends by itself when its cause is gone; it can only be rejected by hand")
    else:
        close_hold(order, hold, "RESOLVED", by, cause, note=note)
    book.record(order, meta, cause, "ResolveHold", {"code": hold.code, "outcome": outcome, "by": by})
    await book.save()


async def _agree(hold_id: UUID, outcome: str, work: Work) -> None:
    """A hold that ended as wanted is a command sent twice; any other ending is a conflict."""
    row = await queries.hold(work.connection, hold_id)
    if row is None or row["state"] != outcome.upper():
        raise Problem(409, f"the hold has ended already: {row['state'].lower() if row else 'unknown'}")


async def _open(order_id: UUID, work: Work) -> tuple[Book, Order]:
    book = Book(work, await orders.load(work.connection, [order_id], cancellations=[order_id]))
    order = book.orders.get(order_id)
    if order is None:
        raise not_found(f"order {order_id}")
    return book, order
