"""What is read of a statement, whatever its format."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

COMPONENTS = frozenset(
    {
        "goods",
        "shipping",
        "refund",
        "commission",
        "commission_refund",
        "payment_fee",
        "payment_fee_refund",
        "subsidy",
        "adjustment",
        "subscription",
        "payout",
        "other",
    }
)
"""What an amount can be for. `payout` is money moved between the shop's own accounts: never revenue, never a cost."""


class StatementLine(NamedTuple):
    """One amount. A row of the file may give several of them: a payment and the fee for it.

    `row` is the line of the file on which the row begins, counted from 1. `native_id` is the platform's id of the
    row, so that (native_id, component) names a line; it is empty where the format has no ids. `order_no` is empty
    where the line is about no order. The amount is signed as the shop's wallet sees it. `label` is what the
    platform calls it, in its own words.
    """

    row: int
    native_id: str
    order_no: str
    component: str
    amount_minor: int
    posted_at: datetime
    label: str


@dataclass(frozen=True, slots=True)
class Totals:
    """What a statement says of itself, checked against its lines.

    `statement_no` is the platform's own number of the statement, empty where the format has none: two files of one
    number are two copies of one statement.
    """

    currency: str
    period_from: datetime
    period_to: datetime
    lines: int
    total_minor: int
    statement_no: str = ""


@dataclass(frozen=True, slots=True)
class ExpectedAccount:
    """Whose statement it has to be.

    `marketplace` is how the platform names the place where the shop sells, where a format tells it (Amazon's
    `marketplace-name`); empty, it is not compared. `order_key` names the metadata under which the shop's checkout
    keeps the order number at a payment provider.
    """

    channel: str
    shop: str
    currency: str
    marketplace: str = ""
    order_key: str = "order_no"


class Rule(StrEnum):
    """Why a statement is refused."""

    EMPTY = "empty"
    COMPRESSED = "compressed"
    UNDECODABLE = "undecodable"
    CONTROL_CHARACTER = "control_character"
    ROW_TOO_LONG = "row_too_long"
    ROW_MALFORMED = "row_malformed"
    HEADER_CHANGED = "header_changed"
    TRUNCATED = "truncated"
    NOT_FOOTED = "not_footed"
    OTHER_ACCOUNT = "other_account"
    OTHER_CURRENCY = "other_currency"
    OTHER_STATEMENT = "other_statement"
    OUTSIDE_PERIOD = "outside_period"
    ID_MISSING = "id_missing"
    ID_RUINED = "id_ruined"
    ID_REPEATED = "id_repeated"
    AMOUNT_UNREADABLE = "amount_unreadable"
    AMOUNT_TOO_PRECISE = "amount_too_precise"
    AMOUNT_OVERFLOW = "amount_overflow"
    TIME_UNREADABLE = "time_unreadable"
    COMPONENT_UNKNOWN = "component_unknown"
    TEXT_UNSAFE = "text_unsafe"
    TEXT_TOO_LONG = "text_too_long"


class Refused(Exception):
    """The statement is refused as a whole. `row` is the first line of the file that breaks the rule, if one does."""

    def __init__(self, rule: Rule, row: int | None, detail: str) -> None:
        super().__init__(f"{rule}{f' in row {row}' if row else ''}: {detail}")
        self.code = str(rule)
        self.row = row
        self.detail = detail
