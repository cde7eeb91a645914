"""Differences planted in a statement: one of a known kind in an order, so that it can be told which were found.

Which order gets which is a hash of the seed, so it is the same in every run.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, islice

from oms_sample.platforms import Payment, Terms, rated
from oms_sample.synth import Dice

SHARE = 0.004
"""Of all orders, for each kind; one where there are fewer."""
MOST_SHARE = 0.25
"""Of a shop's orders, for all kinds together."""
WRITTEN_OFF = "rounding of one cent"
"""The one kind that is no error: settlement writes it off by rule."""

_WRONG_RATE_PPM = 20_000
_PAIRS_LOOKED_AT = 20_000

Books = dict[str, list[Payment]]
"""What a platform books, by order number."""


@dataclass(frozen=True, slots=True)
class Planted:
    """One difference: its kind, and the components of orders in which it must show."""

    kind: str
    places: tuple[tuple[str, str], ...]
    """Order number and component."""


@dataclass(slots=True)
class _Garden:
    """Where things are planted: the books, the terms, and the orders that nothing was planted in yet."""

    books: Books
    terms: Terms
    dice: Dice
    free: list[str]
    planted: list[Planted] = field(default_factory=list)

    def plant(self, kind: str, order_nos: Iterable[str], *places: tuple[str, str]) -> None:
        for order_no in order_nos:
            if order_no in self.free:
                self.free.remove(order_no)
        self.planted.append(Planted(kind, places))


def plant(books: Mapping[str, Sequence[Payment]], terms: Terms, dice: Dice) -> tuple[Books, list[Planted]]:
    """The books with differences in them, and what they are. The fewer orders, the fewer kinds."""
    free = sorted(books, key=lambda order_no: dice.roll("planted", order_no))
    garden = _Garden({order_no: list(lines) for order_no, lines in books.items()}, terms, dice, free)
    room = int(len(free) * MOST_SHARE)
    each = max(1, round(len(free) * SHARE))
    for kind, sow in KINDS.items():
        for _ in range(each):
            if sum(len(one.places) for one in garden.planted) >= room:
                break
            sow(garden, kind)
    return garden.books, garden.planted


def _orders_with(garden: _Garden, *components: str) -> Iterator[str]:
    """Free orders that have a line for each of these components."""
    for order_no in garden.free:
        booked = {line.component for line in garden.books[order_no]}
        if booked.issuperset(components):
            yield order_no


def _fee_of(garden: _Garden) -> str:
    return garden.terms.fees[0]


def _change(garden: _Garden, order_no: str, component: str, by_minor: int) -> None:
    garden.books[order_no] = [
        line._replace(amount_minor=line.amount_minor + by_minor) if line.component == component else line
        for line in garden.books[order_no]
    ]


def _wrong_rate(garden: _Garden, kind: str) -> None:
    fee = _fee_of(garden)
    for order_no in _orders_with(garden, "goods", fee):
        goods = next(line.amount_minor for line in garden.books[order_no] if line.component == "goods")
        if (more := rated(goods, _WRONG_RATE_PPM)) > 1:
            _change(garden, order_no, fee, -more)
            garden.plant(kind, [order_no], (order_no, fee))
            return


def _short_paid(garden: _Garden, kind: str) -> None:
    for order_no in islice(_orders_with(garden, "goods"), 1):
        goods = next(line.amount_minor for line in garden.books[order_no] if line.component == "goods")
        _change(garden, order_no, "goods", -max(1, goods // 20))
        garden.plant(kind, [order_no], (order_no, "goods"))


def _missing_line(garden: _Garden, kind: str) -> None:
    for order_no in islice(_orders_with(garden, "goods"), 1):
        garden.books[order_no] = [line for line in garden.books[order_no] if line.component != "goods"]
        garden.plant(kind, [order_no], (order_no, "goods"))


def _duplicate_fee(garden: _Garden, kind: str) -> None:
    fee = _fee_of(garden)
    for order_no in islice(_orders_with(garden, fee), 1):
        garden.books[order_no] += [line for line in garden.books[order_no] if line.component == fee]
        garden.plant(kind, [order_no], (order_no, fee))


def _unknown_order(garden: _Garden, kind: str) -> None:
    order_no = f"X{garden.dice.between(100_000, 999_999, kind, str(len(garden.planted)))}"
    if order_no not in garden.books:
        garden.books[order_no] = [Payment(order_no, "goods", garden.dice.between(500, 9_999, kind, order_no))]
        garden.plant(kind, [], (order_no, "goods"))


def _rounding(garden: _Garden, kind: str) -> None:
    fee = _fee_of(garden)
    for order_no in islice(_orders_with(garden, fee), 1):
        _change(garden, order_no, fee, garden.dice.pick((-1, 1), kind, order_no))
        garden.plant(kind, [order_no], (order_no, fee))


def _swapped(garden: _Garden, kind: str) -> None:
    """Two orders of one total, or as near as there are, stand for each other: no sum over orders shows it."""
    orders = list(_orders_with(garden, "goods"))

    def apart(pair: tuple[str, str]) -> int:
        one, other = (sum(line.amount_minor for line in garden.books[no]) for no in pair)
        return abs(one - other)

    def goods(order_no: str) -> int:
        return sum(line.amount_minor for line in garden.books[order_no] if line.component == "goods")

    pairs = (pair for pair in combinations(orders, 2) if goods(pair[0]) != goods(pair[1]))
    nearest = min(islice(pairs, _PAIRS_LOOKED_AT), key=apart, default=None)
    if nearest is None:
        return
    one, other = nearest
    books = garden.books
    books[one], books[other] = (
        [line._replace(order_no=one) for line in books[other]],
        [line._replace(order_no=other) for line in books[one]],
    )
    garden.plant(kind, nearest, (one, "goods"), (other, "goods"))


def _cancelling(garden: _Garden, kind: str) -> None:
    """Two errors that are nothing together: matched per order, nobody would see them."""
    fee = _fee_of(garden)
    for order_no in islice(_orders_with(garden, "goods", fee), 1):
        amount = garden.dice.between(10, 99, kind, order_no)
        _change(garden, order_no, fee, -amount)
        if garden.terms.format == "canonical":
            garden.books[order_no].append(Payment(order_no, "subsidy", amount))
            garden.plant(kind, [order_no], (order_no, "subsidy"), (order_no, fee))
        else:  # a statement of this format knows no subsidies
            _change(garden, order_no, "goods", amount)
            garden.plant(kind, [order_no], (order_no, "goods"), (order_no, fee))


def _refund_missing(garden: _Garden, kind: str) -> None:
    for order_no in islice(_orders_with(garden, "refund"), 1):
        garden.books[order_no] = [line for line in garden.books[order_no] if line.component != "refund"]
        garden.plant(kind, [order_no], (order_no, "refund"))


KINDS: Mapping[str, Callable[[_Garden, str], None]] = {
    "refund missing": _refund_missing,
    "wrong rate of a fee": _wrong_rate,
    "short paid": _short_paid,
    "line missing": _missing_line,
    "fee taken twice": _duplicate_fee,
    "order nobody knows": _unknown_order,
    WRITTEN_OFF: _rounding,
    "two orders swapped": _swapped,
    "two errors that cancel": _cancelling,
}
"""What is planted, the rarest chance first."""
