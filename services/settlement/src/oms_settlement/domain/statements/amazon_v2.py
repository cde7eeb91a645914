"""Amazon's settlement report, flat file V2: tab-separated, one component a row, the totals in a first row of their own.

Amazon publishes no list of what `amount-type` and `amount-description` may say, and one description stands under
several types, so the pair decides; what is not known is kept as `other`, never dropped. A tax that the marketplace
withholds goes back to what it was charged with, so that both together are nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from oms_events.values import CURRENCIES
from oms_settlement.domain.statements import cells
from oms_settlement.domain.statements.cells import shown
from oms_settlement.domain.statements.rows import Block, Dialect
from oms_settlement.domain.statements.statement import ExpectedAccount, Refused, Rule, StatementLine, Totals

COLUMNS = (
    "settlement-id",
    "settlement-start-date",
    "settlement-end-date",
    "deposit-date",
    "total-amount",
    "currency",
    "transaction-type",
    "order-id",
    "merchant-order-id",
    "adjustment-id",
    "shipment-id",
    "marketplace-name",
    "amount-type",
    "amount-description",
    "amount",
    "fulfillment-id",
    "posted-date",
    "posted-date-time",
    "order-item-code",
    "merchant-order-item-id",
    "merchant-adjustment-item-id",
    "sku",
    "quantity-purchased",
    "promotion-id",
)
_LIKE = "2026-03-01 09:00:00 UTC"
_MAX_KIND = 80
"""Three of them and two slashes are a label."""
_OTHER_CHANNELS = "non-amazon"
"""The marketplace of orders from elsewhere that Amazon ships."""
_SHIPMENT = "FBA"
"""How the number of a shipment to Amazon's warehouse begins; it stands in the order's column on fee rows."""

_ITEM = {
    ("ItemPrice", "Principal"): "goods",
    ("ItemPrice", "Tax"): "goods",
    ("ItemPrice", "GiftWrap"): "goods",
    ("ItemPrice", "GiftWrapTax"): "goods",
    ("ItemPrice", "Goodwill"): "goods",
    ("ItemPrice", "Shipping"): "shipping",
    ("ItemPrice", "ShippingTax"): "shipping",
    ("Promotion", "Principal"): "goods",
    ("Promotion", "Shipping"): "shipping",
    ("ItemFees", "Commission"): "commission",
    ("ItemFees", "GiftwrapCommission"): "commission",
    ("ItemFees", "GiftwrapChargeback"): "goods",
    ("ItemFees", "ShippingChargeback"): "shipping",
    ("ItemFees", "ShippingHB"): "commission",
    ("ItemFees", "VariableClosingFee"): "commission",
    ("ItemFees", "FixedClosingFee"): "commission",
    ("ItemFees", "RefundCommission"): "commission",
}
_WITHHELD = "MarketplaceFacilitator"
_OF_A_REFUND = {"goods": "refund", "shipping": "refund", "commission": "commission_refund"}
_OTHER: Mapping[str, str] = {
    "Subscription Fee": "subscription",
    "Current Reserve Amount": "payout",
    "Previous Reserve Amount Balance": "payout",
    "Failed Disbursement": "payout",
} | dict.fromkeys(
    (
        "Adjustment",
        "Balance Adjustment",
        "BalanceAdjustment",
        "CS_ERROR_ITEMS",
        "FBA Inventory Reimbursement - Customer Return",
        "INCORRECT_FEES_ITEMS",
        "INCORRECT_FEES_NON_ITEMIZED",
        "Manual Processing Fee Reimbursement",
        "MISSING_FROM_INBOUND",
        "MULTICHANNEL_ORDER_DAMAGED",
        "MULTICHANNEL_ORDER_LATE",
        "MULTICHANNEL_ORDER_LOST",
        "NonSubscriptionFeeAdj",
        "Refund Reimbursal",
        "REMOVAL_ORDER_DAMAGED",
        "REVERSAL_REIMBURSEMENT",
        "WAREHOUSE_DAMAGE",
        "WAREHOUSE_DAMAGE_EXCEPTION",
        "WAREHOUSE_LOST",
    ),
    "adjustment",
)


class _Summary(NamedTuple):
    """The first row: what the settlement is, and what its lines add up to."""

    row: int
    settlement_id: str
    period_from: datetime
    period_to: datetime
    total_minor: int


class AmazonV2:
    """One settlement, as its rows come in."""

    dialect = Dialect("\t", quoted=False, encodings=("utf-8", "cp1252"))

    def __init__(self, account: ExpectedAccount) -> None:
        self._account = account
        self._amounts = cells.Decimals(CURRENCIES[account.currency], ".,")
        self._orders = cells.Ids("order-id", unique=False, most=cells.MAX_ORDER_NO)
        self._header_seen = False
        self._summary: _Summary | None = None
        self._over = False
        self._lines = 0
        self._total = 0

    def take(self, block: Block) -> list[StatementLine]:
        """The lines of some rows. Raises Refused."""
        rows, numbers = block
        begin = 0
        if not self._header_seen:
            if tuple(rows[0]) != COLUMNS:
                raise Refused(Rule.HEADER_CHANGED, numbers[0], f"the first row has the columns {', '.join(COLUMNS)}")
            self._header_seen, begin = True, 1
        if self._summary is None and begin < len(rows):
            self._summary = self._read_summary(rows[begin], numbers[begin])
            begin += 1
        end = self._end_of_lines(rows, numbers, begin)
        return self._read_lines(rows[begin:end], numbers[begin:end]) if begin < end else []

    def end(self, *, ended: bool) -> Totals:  # noqa: ARG002 - the summary is how this format tells that it is whole
        """What the settlement says of itself. Raises Refused where its lines say otherwise."""
        if self._summary is None:
            raise Refused(Rule.TRUNCATED, None, "the row with the total is missing")
        row, settlement_id, period_from, period_to, total = self._summary
        if total != self._total:
            raise Refused(
                Rule.NOT_FOOTED, row, f"total-amount is {total} minor units, the lines add up to {self._total}"
            )
        self._orders.end()
        return Totals(self._account.currency, period_from, period_to, self._lines, total, settlement_id)

    def _end_of_lines(self, rows: Sequence[list[str]], numbers: Sequence[int], begin: int) -> int:
        """Reports may end with blank lines, which end them."""
        blank = next((place for place in range(begin, len(rows)) if rows[place] == [""]), None)
        if self._over and begin < len(rows):
            blank = begin
        if blank is None:
            return len(rows)
        self._over = True
        after = next((place for place in range(blank, len(rows)) if rows[place] != [""]), None)
        if after is not None:
            raise Refused(Rule.ROW_MALFORMED, numbers[after], "a row after a blank line")
        return blank

    def _read_summary(self, row: list[str], number: int) -> _Summary:
        if len(row) != len(COLUMNS) or any(row[6:]) or not row[4]:
            raise Refused(
                Rule.ROW_MALFORMED, number, "the second row has the settlement's dates and total, and no more"
            )
        settlement_id, opens, closes, _, total, currency = row[:6]
        if currency != self._account.currency:
            raise Refused(Rule.OTHER_CURRENCY, number, f"currency is {shown(currency)}, not {self._account.currency}")
        if not settlement_id:
            raise Refused(Rule.ID_MISSING, number, "settlement-id is empty")
        cells.Ids("settlement-id", unique=False).take([settlement_id], [number])
        (total_minor,) = self._amounts.minor([total], [number], "total-amount")
        (period_from,) = _moments([opens], [number], "settlement-start-date")
        (period_to,) = _moments([closes], [number], "settlement-end-date")
        return _Summary(number, settlement_id, period_from, period_to, total_minor)

    def _read_lines(self, rows: Sequence[list[str]], numbers: Sequence[int]) -> list[StatementLine]:
        if set(map(len, rows)) != {len(COLUMNS)}:
            at = next(place for place, row in enumerate(rows) if len(row) != len(COLUMNS))
            raise Refused(Rule.ROW_MALFORMED, numbers[at], f"a row has {len(COLUMNS)} cells, this one {len(rows[at])}")
        columns = list(zip(*rows, strict=True))
        self._require_ours(columns, numbers)
        order_nos = _order_numbers(columns[7])
        self._orders.take(order_nos, numbers)
        minor = self._amounts.minor(columns[14], numbers, "amount")
        moments = _moments(columns[17], numbers, "posted-date-time")
        for place in (6, 12, 13):
            cells.require_length(columns[place], numbers, COLUMNS[place], _MAX_KIND)
        kinds = list(map(_kind, columns[6], columns[12], columns[13]))
        self._lines += len(minor)
        self._total += sum(minor)
        return [
            StatementLine(number, "", order_no, component, amount, at, label)
            for number, order_no, (component, label), amount, at in zip(
                numbers, order_nos, kinds, minor, moments, strict=True
            )
        ]

    def _require_ours(self, columns: Sequence[Sequence[str]], numbers: Sequence[int]) -> None:
        assert self._summary is not None
        ours = self._summary.settlement_id
        if set(columns[0]) != {ours}:
            at = cells.first(columns[0], lambda cell: cell != ours)
            raise Refused(Rule.OTHER_STATEMENT, numbers[at], f"the row is of settlement {shown(columns[0][at])}")
        if any(columns[4]):
            at = cells.first(columns[4], bool)
            raise Refused(Rule.OTHER_STATEMENT, numbers[at], "a second row with a total")
        currency = self._account.currency
        if not {currency, ""}.issuperset(columns[5]):
            at = cells.first(columns[5], lambda cell: cell not in (currency, ""))
            raise Refused(Rule.OTHER_CURRENCY, numbers[at], f"currency is {shown(columns[5][at])}, not {currency}")
        if self._account.marketplace:
            self._require_marketplace(columns[11], numbers)

    def _require_marketplace(self, column: Sequence[str], numbers: Sequence[int]) -> None:
        known = {self._account.marketplace.casefold(), _OTHER_CHANNELS, ""}
        if strange := {cell for cell in set(column) if cell.casefold() not in known}:
            at = cells.first(column, strange.__contains__)
            raise Refused(
                Rule.OTHER_ACCOUNT,
                numbers[at],
                f"marketplace-name is {shown(column[at])}, not {self._account.marketplace}",
            )


def _order_numbers(column: Sequence[str]) -> Sequence[str]:
    return ["" if cell.startswith(_SHIPMENT) else cell for cell in column]


@lru_cache(4096)
def _kind(transaction: str, amount_type: str, description: str) -> tuple[str, str]:
    """What an amount is for, and what Amazon calls it."""
    component = _component(amount_type, description)
    if "refund" in transaction.casefold() or "chargeback" in transaction.casefold():
        component = _OF_A_REFUND.get(component, component)
    if transaction == "Transfer" and component == "other":
        component = "payout"
    return component, "/".join(filter(None, (transaction, amount_type, description)))


def _component(amount_type: str, description: str) -> str:
    if description.startswith(_WITHHELD):
        return "shipping" if description.endswith("-Shipping") else "goods"
    if amount_type == "other-transaction":
        return _OTHER.get(description, "other")
    return _ITEM.get((amount_type, description), "other")


def _moments(column: Sequence[str], numbers: Sequence[int], name: str) -> list[datetime]:
    if any(len(cell) != len(_LIKE) or not cell.endswith(" UTC") for cell in column):
        at = cells.first(column, lambda cell: len(cell) != len(_LIKE) or not cell.endswith(" UTC"))
        raise cells.no_time(column[at], numbers[at], name, _LIKE)
    return cells.times([_day_last(cell) for cell in column], numbers, name, _LIKE.removesuffix(" UTC"))


def _day_last(cell: str) -> str:
    """The time in ISO's order: European reports write the day first."""
    if cell[2] == cell[5] == ".":
        return f"{cell[6:10]}-{cell[3:5]}-{cell[:2]}{cell[10:19]}"
    return cell[:19]
