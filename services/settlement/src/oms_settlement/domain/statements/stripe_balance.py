"""Stripe's itemised balance report: the columns that were asked for, one balance transaction a row.

A charge is one amount for all that the buyer paid, so goods and shipping come as `goods`. The fee of a row is a line
of its own. The report has no total: it foots row by row, and one that was cut between two rows cannot be told from
a shorter one.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from oms_events.values import CURRENCIES
from oms_settlement.domain.statements import cells
from oms_settlement.domain.statements.cells import shown
from oms_settlement.domain.statements.rows import Block, Dialect
from oms_settlement.domain.statements.statement import ExpectedAccount, Refused, Rule, StatementLine, Totals

NEEDED = (
    "balance_transaction_id",
    "created_utc",
    "currency",
    "gross",
    "fee",
    "net",
    "reporting_category",
)
_LIKE = "2026-03-01 09:00:00"
_COMPONENTS = {
    "charge": "goods",
    "charge_failure": "goods",
    "partial_capture_reversal": "goods",
    "refund": "refund",
    "refund_failure": "refund",
    "dispute": "adjustment",
    "dispute_reversal": "adjustment",
    "other_adjustment": "adjustment",
    "payout": "payout",
    "payout_reversal": "payout",
    "topup": "payout",
    "topup_reversal": "payout",
    "transfer": "payout",
    "transfer_reversal": "payout",
    "risk_reserved_funds": "payout",
}
"""By reporting category; Stripe adds categories now and then, and one that is not known is kept as `other`."""

_Read = tuple[int, str, str, str, int, int, datetime, str]
"""Of a row: its number, id, order, category, gross, fee, time and label."""


class StripeBalance:
    """One report, as its rows come in."""

    dialect = Dialect(",", quoted=True)

    def __init__(self, account: ExpectedAccount) -> None:
        self._account = account
        self._amounts = cells.Decimals(CURRENCIES[account.currency])
        self._ids = cells.Ids("balance_transaction_id", unique=True)
        self._orders = cells.Ids("the order's number", unique=False, most=cells.MAX_ORDER_NO)
        self._columns: dict[str, int] | None = None
        self._width = 0
        self._first: datetime | None = None
        self._last: datetime | None = None
        self._lines = 0
        self._total = 0

    def take(self, block: Block) -> list[StatementLine]:
        """The lines of some rows. Raises Refused."""
        rows, numbers = block
        if self._columns is None:
            self._columns = _read_header(rows[0], numbers[0])
            self._width = len(rows[0])
            rows, numbers = rows[1:], numbers[1:]
        return self._read_lines(rows, numbers, self._columns) if rows else []

    def end(self, *, ended: bool) -> Totals:
        """What the report says of itself. Raises Refused."""
        if not ended:
            raise Refused(Rule.TRUNCATED, None, "the last row does not end with a line break")
        if self._first is None or self._last is None:
            raise Refused(Rule.EMPTY, None, "the report has no rows")
        self._ids.end()
        self._orders.end()
        return Totals(self._account.currency, self._first, self._last, self._lines, self._total)

    def _read_lines(
        self, rows: Sequence[list[str]], numbers: Sequence[int], columns: dict[str, int]
    ) -> list[StatementLine]:
        if set(map(len, rows)) != {self._width}:
            at = next(place for place, row in enumerate(rows) if len(row) != self._width)
            raise Refused(Rule.ROW_MALFORMED, numbers[at], f"a row has {self._width} cells, this one {len(rows[at])}")
        cell = list(zip(*rows, strict=True))
        ids, created, currencies, gross_text, fee_text, net_text, categories = (cell[columns[name]] for name in NEEDED)
        self._require_currency(currencies, numbers)
        if not all(ids):
            raise Refused(Rule.ID_MISSING, numbers[ids.index("")], "balance_transaction_id is empty")
        self._ids.take(ids, numbers)
        moments = cells.times(created, numbers, "created_utc", _LIKE)
        gross = self._amounts.minor(gross_text, numbers, "gross")
        fees = self._amounts.minor(fee_text, numbers, "fee")
        net = self._amounts.minor(net_text, numbers, "net")
        _require_footed(gross, fees, net, numbers)
        order_nos = self._order_numbers(cell, columns, numbers)
        labels = self._labels(cell, columns, categories)
        opens, closes = min(moments), max(moments)
        self._first = min(self._first or opens, opens)
        self._last = max(self._last or closes, closes)
        read = zip(numbers, ids, order_nos, categories, gross, fees, moments, labels, strict=True)
        lines = list(_lines(read))
        self._lines += len(lines)
        self._total += sum(net)
        return lines

    def _require_currency(self, currencies: Sequence[str], numbers: Sequence[int]) -> None:
        ours = self._account.currency.lower()
        if set(currencies) != {ours}:
            at = cells.first(currencies, lambda cell: cell != ours)
            raise Refused(Rule.OTHER_CURRENCY, numbers[at], f"currency is {shown(currencies[at])}, not {ours}")

    def _order_numbers(
        self, cell: Sequence[Sequence[str]], columns: dict[str, int], numbers: Sequence[int]
    ) -> Sequence[str]:
        place = columns.get(f"payment_metadata[{self._account.order_key}]")
        if place is None:
            return [""] * len(numbers)
        self._orders.take(cell[place], numbers)
        return cell[place]

    def _labels(
        self, cell: Sequence[Sequence[str]], columns: dict[str, int], categories: Sequence[str]
    ) -> Sequence[str]:
        place = columns.get("description")
        if place is None:
            return categories
        return [
            " ".join(f"{category}: {text}".split())[: cells.MAX_LABEL] if text else category
            for category, text in zip(categories, cell[place], strict=True)
        ]


def _read_header(row: list[str], number: int) -> dict[str, int]:
    if missing := [name for name in NEEDED if name not in row]:
        raise Refused(
            Rule.HEADER_CHANGED,
            number,
            f"the itemised balance report has the column {missing[0]}; an export of the dashboard is another thing",
        )
    if len(set(row)) != len(row):
        raise Refused(Rule.HEADER_CHANGED, number, "two columns have one name")
    return {name: place for place, name in enumerate(row)}


def _require_footed(gross: Sequence[int], fees: Sequence[int], net: Sequence[int], numbers: Sequence[int]) -> None:
    for place, (of_gross, of_fee, of_net) in enumerate(zip(gross, fees, net, strict=True)):
        if of_gross - of_fee != of_net:
            raise Refused(
                Rule.NOT_FOOTED,
                numbers[place],
                f"gross less fee is {of_gross - of_fee} minor units, net is {of_net}",
            )


def _component(category: str, order_no: str) -> str:
    """What the gross amount of a row is for: a fee is for the order that it names, or for the service as such."""
    if category == "fee":
        return "payment_fee" if order_no else "subscription"
    return _COMPONENTS.get(category, "other")


def _lines(rows: Iterable[_Read]) -> Iterator[StatementLine]:
    for number, native_id, order_no, category, gross, fee, at, label in rows:
        if gross or not fee:
            component = _component(category, order_no)
            yield StatementLine(number, native_id, order_no, component, gross, at, label)
        if fee:
            component = "payment_fee" if fee > 0 else "payment_fee_refund"
            yield StatementLine(number, native_id, order_no, component, -fee, at, label)
