"""Where an order stands with its platform: a pure function of all that was heard of it.

Facts are sets: heard twice they are the same facts, and in whatever order they come, the position at the end is the
same. What an event changes is the position after it less the position before it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, TypeVar

from oms_settlement.domain import chart
from oms_settlement.domain.rates import RateCard

K = TypeVar("K")
Basis = Literal["paid", "cancelled", "dispatched"]
Quantities = Mapping[str, int]
Card = Callable[[str, datetime], RateCard | None]
"""The card in force for a component at a time."""
Postings = dict[tuple[str, str], int]
"""Debits above zero and credits below it, by ledger account and component. They add up to nothing."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a line earned, net of its discount, and of how many pieces."""

    amount_minor: int
    quantity: int

    def share(self, quantity: int) -> int:
        """The part of so many pieces, in whole units: parts of a line always add up to it."""
        return self.amount_minor * min(max(quantity, 0), self.quantity) // self.quantity


@dataclass(frozen=True, slots=True)
class Dated:
    """Quantities by line, and when."""

    at: datetime
    lines: Quantities


@dataclass(frozen=True, slots=True)
class Facts:
    """All that was heard of an order that matters to its money."""

    lines: Mapping[str, Line] | None = None
    """None until the order itself was heard of."""
    shipping_minor: int = 0
    unplaced_minor: int = 0
    """What was asked for pieces that were cancelled before the order was placed: they are in no line."""
    paid_at: datetime | None = None
    paid_minor: int = 0
    cancelled: Mapping[str, Dated] = field(default_factory=dict)
    """By cancellation."""
    gone_at: datetime | None = None
    """When nothing was left to ship."""
    dispatched: Mapping[str, Dated] = field(default_factory=dict)
    """By shipment."""

    @property
    def moving(self) -> bool:
        """That something happened that money follows from, known order or not."""
        return bool(self.paid_at or self.cancelled or self.gone_at or self.dispatched)

    @property
    def first_dispatch(self) -> datetime | None:
        return min((one.at for one in self.dispatched.values()), default=None)

    def due_at(self, days: int) -> datetime | None:
        """When money should have come: counted from the last dispatch, else from when nothing was left to send."""
        moments = [one.at for one in self.dispatched.values()]
        if not moments and self.gone_at is not None:
            moments = [self.gone_at]
        return max(moments) + timedelta(days=days) if moments else None


@dataclass(frozen=True, slots=True)
class Position:
    """Signed as the wallet sees it: what is expected by component, and what stands in the books for it."""

    expected: Mapping[str, int] = field(default_factory=dict)
    postings: Mapping[tuple[str, str], int] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    """By which rate card a component was computed."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one kind of fact changed."""

    basis: Basis
    expected: Mapping[str, int]
    postings: Postings
    versions: Mapping[str, str]


NOWHERE = Position()
_COSTS: Mapping[str, str] = {
    "commission": chart.COMMISSION,
    "commission_refund": chart.COMMISSION,
    "payment_fee": chart.PAYMENT_FEE,
    "payment_fee_refund": chart.PAYMENT_FEE,
}


def position(facts: Facts, card: Card) -> Position:
    """Where an order stands."""
    if facts.lines is None:
        return NOWHERE
    sums = _sums(facts, facts.lines)
    expected: dict[str, int] = {}
    postings: Postings = {}
    versions: dict[str, str] = {}
    _receivables(facts, sums, expected, postings)
    _revenue(facts, sums, postings)
    for name, amount, version in _fees(facts, sums, card):
        expected[name], versions[name] = amount, version
        _post(postings, _COSTS[name], chart.ACCRUED_FEES, name, -amount)
    return Position(expected, {where: amount for where, amount in postings.items() if amount}, versions)


def steps(before: Facts, after: Facts, basis: Basis, card: Card) -> Iterator[Step]:
    """What changed, one step per kind of fact. An order heard of late makes up for what was heard before it."""
    last = position(before, card)
    for name, facts in _stages(before, after, basis):
        now = position(facts, card)
        step = _difference(name, last, now)
        if step.postings or step.expected:
            yield step
        last = now


@dataclass(frozen=True, slots=True)
class _Sums:
    """Values of an order's lines and of what was cancelled before it was placed."""

    goods: int
    unpaid: int
    """Cancelled before the buyer paid for it."""
    dispatched: int
    kept: int
    """Of the dispatched, what was not cancelled later."""
    refunded: int
    all_cancelled: bool


def _sums(facts: Facts, lines: Mapping[str, Line]) -> _Sums:
    goods = dispatched = kept = cancelled = left = 0
    sent, gone = _added(facts.dispatched), _added(facts.cancelled)
    for line_id, line in lines.items():
        out, off = min(sent.get(line_id, 0), line.quantity), min(gone.get(line_id, 0), line.quantity)
        if facts.gone_at is not None:
            off = max(off, line.quantity - out)
        goods += line.amount_minor
        dispatched += line.share(out)
        kept += line.share(min(out, line.quantity - off))
        cancelled += line.amount_minor - line.share(line.quantity - off)
        left += line.quantity - off
    goods, cancelled = goods + facts.unplaced_minor, cancelled + facts.unplaced_minor
    owed = goods + facts.shipping_minor
    unpaid = min(max(owed - facts.paid_minor, 0), cancelled) if facts.paid_at is not None else 0
    return _Sums(goods, unpaid, dispatched, kept, cancelled - unpaid, left == 0)


def _added(parts: Mapping[str, Dated]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts.values():
        for line_id, quantity in part.lines.items():
            total[line_id] = total.get(line_id, 0) + quantity
    return total


def _receivables(facts: Facts, sums: _Sums, expected: dict[str, int], postings: Postings) -> None:
    if facts.paid_at is None:
        return
    for component, amount in (("goods", sums.goods - sums.unpaid), ("shipping", facts.shipping_minor)):
        if amount:
            expected[component] = amount
            _post(postings, chart.RECEIVABLE, chart.ADVANCES, component, amount)
    returned = min(sums.dispatched - sums.kept, sums.refunded)
    shipping = facts.shipping_minor if sums.all_cancelled else 0
    if refund := sums.refunded + shipping:
        expected["refund"] = -refund
        _move(postings, (chart.RETURNS, "refund"), (chart.REFUNDS_OWED, "refund"), returned)
        _move(postings, (chart.ADVANCES, "goods"), (chart.REFUNDS_OWED, "refund"), sums.refunded - returned)
        recognised = chart.RETURNS if facts.dispatched else chart.ADVANCES
        source = "refund" if facts.dispatched else "shipping"
        _move(postings, (recognised, source), (chart.REFUNDS_OWED, "refund"), shipping)


def _revenue(facts: Facts, sums: _Sums, postings: Postings) -> None:
    if facts.dispatched:
        _post(postings, chart.ADVANCES, chart.SALES, "goods", sums.dispatched)
        _post(postings, chart.ADVANCES, chart.FREIGHT_INCOME, "shipping", facts.shipping_minor)


def _fees(facts: Facts, sums: _Sums, card: Card) -> Iterator[tuple[str, int, str]]:
    """Fees of what was dispatched, and what is given back of them for what was cancelled after it had been: component,
    amount, version of the card."""
    moment = facts.first_dispatch
    if moment is None:
        return
    shipping, kept_shipping = facts.shipping_minor, 0 if sums.all_cancelled else facts.shipping_minor
    for component, base, kept in (
        ("commission", sums.dispatched, sums.kept),
        ("payment_fee", sums.dispatched + shipping, sums.kept + kept_shipping),
    ):
        rate = card(component, moment)
        if rate is None:
            continue
        fee = rate.fee(base)
        given_back = fee - rate.fee(kept)
        if fee:
            yield component, -fee, rate.version
        if given_back:
            yield f"{component}_refund", given_back, rate.version


def _post(postings: Postings, debit: str, credit: str, component: str, amount: int) -> None:
    _move(postings, (debit, component), (credit, component), amount)


def _move(postings: Postings, debit: tuple[str, str], credit: tuple[str, str], amount: int) -> None:
    if amount:
        postings[debit] = postings.get(debit, 0) + amount
        postings[credit] = postings.get(credit, 0) - amount


def _stages(before: Facts, after: Facts, basis: Basis) -> Iterator[tuple[Basis, Facts]]:
    if before.lines is None and after.lines is not None:
        placed = Facts(after.lines, after.shipping_minor, after.unplaced_minor)
        paid = replace(placed, paid_at=after.paid_at, paid_minor=after.paid_minor)
        yield "paid", paid
        yield "cancelled", replace(paid, cancelled=after.cancelled, gone_at=after.gone_at)
        yield "dispatched", after
    else:
        yield basis, after


def _difference(basis: Basis, last: Position, now: Position) -> Step:
    return Step(basis, _less(now.expected, last.expected), _less(now.postings, last.postings), now.versions)


def _less(after: Mapping[K, int], before: Mapping[K, int]) -> dict[K, int]:
    """Entries of one table less those of another; what is nothing is left out."""
    changed = {key: amount - before.get(key, 0) for key, amount in after.items()}
    changed |= {key: -amount for key, amount in before.items() if key not in after}
    return {key: amount for key, amount in changed.items() if amount}
