"""What time does to expectations: what did not come until it was due is missing, and orders turn up late."""

from oms_events.envelope import origin
from oms_events.runtime.work import Work
from oms_settlement.adapters import differences, orders, statements, terms
from oms_settlement.adapters.differences import Difference
from oms_settlement.adapters.orders import Order
from oms_settlement.app.books import SYSTEM, Books, Cause, named
from oms_settlement.app.source import SOURCE
from oms_settlement.domain import chart, reconciliation
from oms_settlement.domain.journal import entry
from oms_settlement.domain.reconciliation import Sums

PAGE = 1000


async def call_overdue(work: Work) -> None:
    """Periodic: make differences of what should have come by now."""
    due = await orders.load_due(work.connection, work.now, PAGE)
    if not due:
        return
    books = Books(work, await terms.terms(work.connection), {order.order_id: order for order in due})
    for order in due:
        assert order.due_at is not None
        meta = origin(SOURCE, "overdue", str(order.order_id), order.due_at.isoformat(), at=order.due_at)
        books.call_overdue(order, Cause(meta, order.due_at))
    await books.save(whole=False)


async def adopt_orphans(work: Work) -> None:
    """Periodic: give lines to orders that became known after the statement."""
    orphans = await differences.orphans(work.connection, PAGE)
    if not orphans:
        return
    ids = await differences.orders_of(work.connection, {(one.account, one.order_no) for one in orphans.values()})
    known = await orders.load(work.connection, set(ids.values()))
    books = Books(work, await terms.terms(work.connection), known)
    numbers = await statements.numbers_of(
        work.connection, {one.statement_id for one in orphans.values() if one.statement_id is not None}
    )
    adopted = []
    for orphan in orphans.values():
        order = known[ids[orphan.account, orphan.order_no]]
        assert orphan.statement_id is not None
        if named(order).currency == orphan.currency:
            _adopt(books, orphan, order, numbers[orphan.statement_id])
            adopted.append((orphan.statement_id, orphan.order_no, order.order_id))
        else:
            _reattribute(books, orphan, order)
    await statements.adopt(work.connection, adopted)
    await books.save(whole=False)


def _adopt(books: Books, orphan: Difference, order: Order, statement_no: int) -> None:
    """Out of suspense, off what waits for it."""
    cause = _cause(orphan)
    amount, value = orphan.settled_minor, abs(orphan.settled_minor)
    gone = Sums(0, -amount, 0, 0, -orphan.lines, 0, -value, 0)
    books.totals.add(orphan.account, orphan.currency, orphan.component, gone)
    after = reconciliation.settle(order.standing(orphan.component), amount, orphan.lines, statement_no)
    books.change(order, orphan.component, after, cause)
    books.resolve(orphan, SYSTEM, "the order became known", cause)
    if amount:
        posted = entry(
            orphan.account,
            orphan.currency,
            str(cause.meta.id),
            "adopted",
            booked_at=cause.at,
            postings={
                (chart.suspense_of(amount), orphan.component): amount,
                (chart.control_of(orphan.component), orphan.component): -amount,
            },
            order_id=str(order.order_id),
            statement_id=str(orphan.statement_id),
        )
        books.ledger.post(posted, cause.meta)


def _reattribute(books: Books, orphan: Difference, order: Order) -> None:
    orphan.reason, orphan.order_id = str(reconciliation.Reason.FX_SETTLEMENT), order.order_id
    orphan.detail = f"the order is in {named(order).currency}"
    orphan.version += 1
    books.attribute(orphan, _cause(orphan))


def _cause(orphan: Difference) -> Cause:
    meta = origin(SOURCE, "orphan", str(orphan.difference_id), at=orphan.opened_at)
    return Cause(meta, orphan.opened_at)
