"""Matching some orders of a statement: one transaction, with all that follows from it."""

from oms_events.envelope import EventMeta, origin
from oms_events.runtime.work import Work
from oms_events.values import derived_text
from oms_settlement.adapters import orders, statements, terms
from oms_settlement.adapters.differences import Difference, difference_id
from oms_settlement.adapters.orders import Order
from oms_settlement.adapters.statements import Conflict, Group, Statement
from oms_settlement.app.books import Books, Cause
from oms_settlement.app.source import SOURCE
from oms_settlement.domain import chart, reconciliation
from oms_settlement.domain.journal import entry
from oms_settlement.domain.position import Postings
from oms_settlement.domain.reconciliation import Finding, Reason, Sums
from oms_settlement.settings import settings

_UNDIVIDED = frozenset({"stripe_balance"})
"""Formats of payment providers: what a buyer paid comes as one amount, shipping included."""


async def match_chunk(work: Work, statement: Statement) -> bool:
    """Match the next orders of a statement, then its conflicts; answers False when nothing is left."""
    if statement.groups_done < statement.groups:
        await _match_groups(work, statement)
        return True
    conflicts = await statements.conflicts(work.connection, statement, settings().chunk_orders)
    if conflicts:
        await _tell_conflicts(work, statement, conflicts)
    return bool(conflicts)


async def _match_groups(work: Work, statement: Statement) -> None:
    first = statement.groups_done
    last = min(first + settings().chunk_orders, statement.groups)
    groups = await statements.groups(work.connection, statement.statement_no, first, last)
    known = await orders.load(work.connection, {group.order_id for group in groups if group.order_id is not None})
    books = Books(work, await terms.terms(work.connection), known)
    cause = cause_of(statement, f"orders {first}")
    for group in groups:
        order = known.get(group.order_id) if group.order_id is not None else None
        if order is not None and order.name is not None and order.name.currency == statement.currency:
            _receive(books, statement, order, group, cause)
        else:
            _receive_orphan(books, statement, group, order, cause)
    await books.save(whole=False)
    lines = sum(lines for group in groups for _, lines in group.sums.values())
    await statements.advance(
        work.connection,
        statement.statement_no,
        groups_done=last,
        conflicts_done=statement.conflicts_done,
        lines=lines,
        cleared=books.cleared_lines,
    )


def _receive(books: Books, statement: Statement, order: Order, group: Group, meta: EventMeta) -> None:
    """Money of a known order: into the wallet, off what waits for it."""
    cause = Cause(meta, group.settled_at)
    postings: Postings = {}
    sums = group.sums
    if statement.format in _UNDIVIDED:
        sums = reconciliation.divided(group.sums, order.standing("shipping"))
        # Goods take what the rest leaves: where they are cleared, all of the payment is.
        books.parts |= {(order.order_id, component) for component in sums.keys() - group.sums.keys()}
    for component, (amount, lines) in sums.items():
        after = reconciliation.settle(order.standing(component), amount, lines, statement.statement_no)
        books.change(order, component, after, cause)
        _move(postings, chart.control_of(component), component, amount)
    _post(books, statement, str(order.order_id), postings, cause, order_id=str(order.order_id))


def _receive_orphan(books: Books, statement: Statement, group: Group, order: Order | None, meta: EventMeta) -> None:
    """Money of no order that we know: booked by what it is, or into suspense with a reason."""
    assert statement.currency is not None
    cause = Cause(meta, group.settled_at)
    postings: Postings = {}
    for component, (amount, lines) in group.sums.items():
        finding, value = _finding(component, group, order), abs(amount)
        if finding is None:
            against, cleared = chart.BOOKED[component], lines
            books.cleared_lines += lines
        else:
            against, cleared = chart.suspense_of(amount), 0
            books.attribute(_orphan(statement, group, order, component, finding), cause)
        added = Sums(0, amount, 0, 0, lines, cleared, value, value if cleared else 0)
        books.totals.add(statement.account, statement.currency, component, added)
        _move(postings, against, component, amount)
    _post(books, statement, group.order_no, postings, cause)


def _move(postings: Postings, against: str, component: str, amount: int) -> None:
    if amount:
        for where, part in (((chart.WALLET, component), amount), ((against, component), -amount)):
            postings[where] = postings.get(where, 0) + part


def _post(
    books: Books, statement: Statement, whose: str, postings: Postings, cause: Cause, *, order_id: str | None = None
) -> None:
    """What one order's lines move, as one entry of the statement's account: an order and its money share a currency."""
    if not postings:
        return
    assert statement.currency is not None
    statement_id = str(statement.statement_id)
    posted = entry(
        statement.account,
        statement.currency,
        derived_text("settled", statement_id, whose, at=cause.at),
        "settled",
        booked_at=cause.at,
        postings=postings,
        order_id=order_id,
        statement_id=statement_id,
    )
    books.ledger.post(posted, cause.meta)


def _finding(component: str, group: Group, order: Order | None) -> Finding | None:
    if order is not None and order.name is not None:
        return Finding(Reason.FX_SETTLEMENT, f"the order is in {order.name.currency}")
    return reconciliation.judge_orphan(component, group.order_no, chart.BOOKED)


def _orphan(statement: Statement, group: Group, order: Order | None, component: str, finding: Finding) -> Difference:
    amount, lines = group.sums[component]
    assert statement.currency is not None
    return Difference(
        difference_id(str(statement.statement_id), group.order_no, component),
        statement.account,
        statement.channel,
        statement.shop,
        order.order_id if order is not None else None,
        group.order_no,
        statement.statement_id,
        statement.currency,
        component,
        str(finding.reason),
        0,
        amount,
        lines,
        finding.detail,
        "open",
        group.settled_at,
    )


async def _tell_conflicts(work: Work, statement: Statement, conflicts: list[Conflict]) -> None:
    """Lines that another file told otherwise: neither counts again until a person has decided."""
    books = Books(work, await terms.terms(work.connection), {})
    cause = cause_of(statement, f"conflicts {statement.conflicts_done}")
    for conflict in conflicts:
        books.attribute(_conflict(statement, conflict), Cause(cause, conflict.posted_at))
    await books.save(whole=False)
    await statements.advance(
        work.connection,
        statement.statement_no,
        groups_done=statement.groups_done,
        conflicts_done=conflicts[-1].line_no,
        lines=len(conflicts),
        cleared=0,
    )


def _conflict(statement: Statement, conflict: Conflict) -> Difference:
    assert statement.currency is not None
    assert statement.period_from is not None
    assert statement.period_to is not None
    covers = statement.period_from <= conflict.earlier_from and statement.period_to >= conflict.earlier_to
    reason, detail = (
        (Reason.RESTATED, f"the platform says otherwise than before of {conflict.native_id}")
        if covers
        else (Reason.CONFLICT, f"two statements tell {conflict.native_id} differently")
    )
    return Difference(
        difference_id(str(statement.statement_id), "line", str(conflict.line_no)),
        statement.account,
        statement.channel,
        statement.shop,
        None,
        conflict.order_no,
        statement.statement_id,
        statement.currency,
        conflict.component,
        str(reason),
        conflict.earlier_minor,
        conflict.amount_minor,
        0,
        detail,
        "open",
        conflict.posted_at,
    )


def cause_of(statement: Statement, step: str) -> EventMeta:
    """A step of the import as a cause: done again after a crash it gives the same ids."""
    made = origin(SOURCE, "statement", str(statement.statement_id), step, at=statement.uploaded_at)
    told = statement.cause
    return made._replace(correlationid=told.correlationid, causationid=told.id, traceparent=told.traceparent)
