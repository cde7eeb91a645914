"""Matching some orders of a statement: one transaction, with all that follows from it."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from oms_events.envelope import EventMeta, origin
from oms_events.runtime.work import Work
from oms_events.values import derived_id, derived_text
from oms_settlement.adapters import orders, statements, terms
from oms_settlement.adapters.differences import Difference
from oms_settlement.adapters.orders import Order
from oms_settlement.adapters.statements import Conflict, Group, Statement
from oms_settlement.app.books import Books, Cause, named
from oms_settlement.app.source import SOURCE
from oms_settlement.domain import chart, reconciliation
from oms_settlement.domain.journal import entry
from oms_settlement.domain.position import Postings
from oms_settlement.domain.reconciliation import Finding, Reason, Sums
from oms_settlement.settings import settings


class StatementRef(NamedTuple):
    """Names a statement here and for others. `undivided`: what a buyer paid comes as one amount, shipping included."""

    statement_no: int
    statement_id: UUID
    undivided: bool = False


_UNDIVIDED = frozenset({"stripe_balance"})
"""Formats of payment providers, who know payments and no shipping."""


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


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
    told_by = StatementRef(statement.statement_no, statement.statement_id, statement.format in _UNDIVIDED)
    for group in groups:
        order = known.get(group.order_id) if group.order_id is not None else None
        if order is not None and order.name is not None and order.name.currency == statement.currency:
            receive(books, order, told_by, group, cause)
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
        cleared=min(books.cleared_lines, lines),  # one that was divided counts for two
    )


def receive(books: Books, order: Order, statement: StatementRef, group: Group, meta: EventMeta) -> None:
    """Money of a known order: into the wallet, off what waits for it."""
    name, cause = named(order), Cause(meta, group.settled_at)
    postings: Postings = {}
    sums = reconciliation.divided(group.sums, order.standing("shipping")) if statement.undivided else group.sums
    for component, (amount, lines) in sums.items():
        after = reconciliation.settle(order.standing(component), amount, lines, statement.statement_no)
        books.change(order, component, after, cause)
        _receive(postings, chart.control_of(component), component, amount)
    if postings:
        entry_id = derived_text("settled", str(statement.statement_id), str(order.order_id), at=group.settled_at)
        posted = entry(
            name.account,
            name.currency,
            entry_id,
            "settled",
            booked_at=group.settled_at,
            postings=postings,
            order_id=str(order.order_id),
            statement_id=str(statement.statement_id),
        )
        books.ledger.post(posted, meta)


def _receive(postings: Postings, against: str, component: str, amount: int) -> None:
    if amount:
        for where, part in (((chart.WALLET, component), amount), ((against, component), -amount)):
            postings[where] = postings.get(where, 0) + part


def _receive_orphan(books: Books, statement: Statement, group: Group, order: Order | None, meta: EventMeta) -> None:
    """Money of no order that we know: booked by what it is, or into suspense with a reason."""
    assert statement.currency is not None
    postings: Postings = {}
    for component, (amount, lines) in group.sums.items():
        finding = _finding(component, group, order)
        value = abs(amount)
        if finding is None:
            against = chart.BOOKED[component]
            books.totals.add(
                statement.account, statement.currency, component, Sums(0, amount, 0, 0, lines, lines, value, value)
            )
            books.cleared_lines += lines
        else:
            against = chart.suspense_of(amount)
            books.totals.add(
                statement.account, statement.currency, component, Sums(0, amount, 0, 0, lines, 0, value, 0)
            )
            books.attribute(_orphan(statement, group, order, component, finding), Cause(meta, group.settled_at))
        _receive(postings, against, component, amount)
    if postings:
        entry_id = derived_text("settled", str(statement.statement_id), group.order_no, at=group.settled_at)
        posted = entry(
            statement.account,
            statement.currency,
            entry_id,
            "settled",
            booked_at=group.settled_at,
            postings=postings,
            statement_id=str(statement.statement_id),
        )
        books.ledger.post(posted, meta)


def _finding(component: str, group: Group, order: Order | None) -> Finding | None:
    if order is not None and order.name is not None:
        return Finding(Reason.FX_SETTLEMENT, f"the order is in {order.name.currency}")
    return reconciliation.judge_orphan(component, group.order_no, chart.BOOKED)


def _orphan(statement: Statement, group: Group, order: Order | None, component: str, finding: Finding) -> Difference:
    amount, lines = group.sums[component]
    assert statement.currency is not None
    return Difference(
        derived_id("difference", str(statement.statement_id), group.order_no, component, at=_EPOCH),
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
        derived_id("difference", str(statement.statement_id), "line", str(conflict.line_no), at=_EPOCH),
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
