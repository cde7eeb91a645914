"""What people decide about differences: write off within their limit, undo that, or resolve with a note."""

from uuid import UUID

from oms_events.envelope import origin
from oms_events.runtime.problems import FieldError, Problem, not_found
from oms_events.runtime.work import Work
from oms_settlement.adapters import differences, orders, terms
from oms_settlement.adapters.differences import Difference, Spender
from oms_settlement.adapters.documents import Limit
from oms_settlement.adapters.terms import Policy
from oms_settlement.app.books import Books, Cause, Decision, named
from oms_settlement.app.source import SOURCE
from oms_settlement.domain.reconciliation import Reason, Sums

_NO_MONEY = frozenset({Reason.RESTATED, Reason.CONFLICT})
"""Differences between two files: no entry was posted for them that could be written off."""


async def write_off(work: Work, difference_id: UUID, *, role: str, by: str, note: str) -> None:
    """Accept a difference as it is. Raises Problem: 403 beyond a limit, which it names, 404, 409."""
    found, books = await _open(work, difference_id)
    if found.reason in _NO_MONEY:
        raise Problem(409, f"reason: {found.reason} holds no money; resolve it")
    policy = await terms.policy(work.connection)
    spender = Spender(found.account, found.currency, role, work.now.date())
    rule = await _allowed(work, found, policy, spender)
    cause = _cause(work, found, "write-off")
    books.write_off(found, Decision(by, rule, note), spender, cause)
    _accept(books, found, found.gap_minor)
    await books.save(whole=False)


async def undo_write_off(work: Work, difference_id: UUID, *, by: str, note: str) -> None:
    """Open a written-off difference again. Raises Problem 404 and 409."""
    found, books = await _load(work, difference_id)
    written_off = await differences.last_write_off(work.connection, difference_id)
    if found.state != "written_off" or written_off is None:
        raise Problem(409, f"state: the difference is {found.state}, not written_off")
    books.undo_write_off(found, written_off, Decision(by, written_off.rule, note), _cause(work, found, "undo"))
    _accept(books, found, -written_off.amount_minor)
    await books.save(whole=False)


async def resolve(work: Work, difference_id: UUID, *, by: str, note: str) -> None:
    """Close a difference that was settled elsewhere; the books stay as they are. Raises Problem 404 and 409."""
    found, books = await _open(work, difference_id)
    books.resolve(found, by, note, _cause(work, found, "resolve"))
    await books.save(whole=False)


async def _open(work: Work, difference_id: UUID) -> tuple[Difference, Books]:
    found, books = await _load(work, difference_id)
    if found.state != "open":
        raise Problem(409, f"state: the difference is {found.state}, not open")
    return found, books


async def _load(work: Work, difference_id: UUID) -> tuple[Difference, Books]:
    """The difference and its order. The order is locked first, as everybody does."""
    order_id = await differences.order_of(work.connection, difference_id)
    known = await orders.load(work.connection, [order_id] if order_id else [])
    found = await differences.lock(work.connection, difference_id)
    if found is None:
        raise not_found(f"difference {difference_id}")
    return found, Books(work, await terms.terms(work.connection), known)


async def _allowed(work: Work, found: Difference, policy: Policy, spender: Spender) -> str:
    """The rule that allows it. Raises Problem 403 that names the limit."""
    limits: dict[str, Limit] = {"operator": policy.document.operator, "finance": policy.document.finance}
    if spender.spender not in limits:
        raise Problem(403, f"role: {spender.spender} may not write off")
    limit, amount = limits[spender.spender], abs(found.gap_minor)
    spent = (await differences.spent(work.connection, [spender])).get(spender, 0)
    for name, most, wanted in (
        ("per_difference_minor", limit.per_difference_minor, amount),
        ("per_day_minor", limit.per_day_minor, spent + amount),
    ):
        if wanted > most:
            rule = f"{spender.spender}.{name}@{policy.version}"
            detail = f"{wanted} is above {most}"
            raise Problem(403, f"limit {rule}: {detail}", errors=[FieldError(field="limit", rule=rule, detail=detail)])
    return f"{spender.spender}@{policy.version}"


def _accept(books: Books, found: Difference, amount: int) -> None:
    """Let the order, or the totals where there is none, know of it."""
    order = books.orders.get(found.order_id) if found.order_id else None
    if order is None or found.reason == Reason.FX_SETTLEMENT:
        sign = 1 if amount == found.gap_minor else -1
        value = abs(found.settled_minor)
        more = Sums(0, 0, 0, amount, 0, sign * found.lines, 0, sign * value)
        books.totals.add(found.account, found.currency, found.component, more)
        return
    before = order.standing(found.component)
    after = before._replace(written_off_minor=before.written_off_minor + amount)
    name = named(order)
    books.totals.change(name.account, name.currency, found.component, before, after)
    order.components[found.component] = after
    books.changed[order.order_id] = order
    if not order.open:
        order.due_at = None


def _cause(work: Work, found: Difference, what: str) -> Cause:
    meta = origin(SOURCE, "difference", str(found.difference_id), what, str(found.version), at=work.now)
    return Cause(meta, work.now)
