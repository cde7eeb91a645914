"""What the API shows."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel

from oms_settlement.adapters.documents import ProfileDocument, RateCardDocument

StatementState = Literal["received", "parsing", "matching", "posted", "refused"]
DifferenceState = Literal["open", "written_off", "resolved"]
ExpectationState = Literal["open", "overdue", "matched", "different", "written_off", "resolved"]
LineState = Literal[
    "read", "waiting", "matched", "different", "written_off", "resolved", "booked", "repeated", "conflict"
]


class StatementView(BaseModel):
    """A statement and how far it is: `lines_done` of `lines` are matched or have a difference.

    `lines` grows while the file is read. A refused one names the rule in `code` and the row of the file.
    """

    statement_id: UUID
    account: str
    channel: str
    shop: str
    format: str
    file_sha256: str
    size_bytes: int
    file_name: str
    uploaded_at: datetime
    uploaded_by: str
    state: StatementState
    currency: str | None
    platform_no: str | None
    period_from: datetime | None
    period_to: datetime | None
    lines: int
    total_minor: int
    lines_repeated: int
    lines_in_conflict: int
    lines_done: int
    lines_cleared: int
    code: str | None
    row: int | None
    detail: str | None
    received_at: datetime
    finished_at: datetime | None


class StatementLineView(BaseModel):
    """A line of a statement and what became of it. `booked` lines are about no order: payouts, subscriptions."""

    line_no: int
    file_row: int
    native_id: str
    order_no: str
    order_id: UUID | None
    component: str
    amount_minor: int
    posted_at: datetime
    label: str
    state: LineState
    difference_id: UUID | None
    reason: str | None


class WriteOffView(BaseModel):
    """A write-off, or with `reverses` the undoing of one."""

    write_off_id: UUID
    amount_minor: int
    rule: str
    by: str
    note: str
    posted_at: datetime
    reverses: UUID | None


class DifferenceView(BaseModel):
    """One component of one order (or of none) for which statement and expectation disagree.

    `difference_minor` is settled less expected: below zero, the wallet got less than it should have.
    """

    difference_id: UUID
    account: str
    channel: str
    shop: str
    order_id: UUID | None
    order_no: str
    statement_id: UUID | None
    currency: str
    component: str
    reason: str
    expected_minor: int
    settled_minor: int
    difference_minor: int
    detail: str
    state: DifferenceState
    opened_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    note: str | None
    rule: str | None


class DifferenceDetail(DifferenceView):
    """A difference with its write-offs."""

    write_offs: list[WriteOffView]


class ExpectationView(BaseModel):
    """One component of an order: expected, settled, the part of settled less expected that was written off, and what
    is still open.

    `open`: nothing came yet. `overdue`: nothing came in time. `matched`: to the cent. `different`: something else came.
    """

    component: str
    expected_minor: int
    settled_minor: int
    written_off_minor: int
    open_minor: int
    state: ExpectationState
    difference_id: UUID | None
    reason: str | None


class OrderExpectations(BaseModel):
    """What is expected of an order."""

    order_id: UUID
    channel: str
    shop: str
    order_no: str
    currency: str
    due_at: datetime | None
    components: list[ExpectationView]


class ComponentTotal(BaseModel):
    """Sums over the orders of an account for one component. `not_due_minor` is expected and not yet due."""

    component: str
    expected_minor: int
    settled_minor: int
    matched_minor: int
    written_off_minor: int
    not_due_minor: int


class ReasonTotal(BaseModel):
    """Open differences of one reason."""

    reason: str
    differences: int
    expected_minor: int
    settled_minor: int
    difference_minor: int


class AccountOverview(BaseModel):
    """One wallet: what is expected is matched (or cleared by a write-off), or in a difference, or not due.

    Clear rates are shares of the statements' lines, and of their absolute value, that are explained: matched,
    written off as rounding, or booked; null before the first statement.
    """

    account: str
    channel: str
    shop: str
    currency: str
    expected_minor: int
    settled_minor: int
    matched_minor: int
    written_off_minor: int
    not_due_minor: int
    lines: int
    lines_cleared: int
    clear_rate_lines: float | None
    clear_rate_value: float | None
    components: list[ComponentTotal]
    differences: list[ReasonTotal]
    statements: dict[StatementState, int]


class Overview(BaseModel):
    """Every wallet."""

    accounts: list[AccountOverview]


class PostingView(BaseModel):
    """One side of an entry."""

    ledger_account: str
    name: str
    component: str
    debit_minor: int
    credit_minor: int


class JournalEntryView(BaseModel):
    """A balanced entry. `hash` covers it and every entry of its account and currency before it."""

    account: str
    currency: str
    entry_no: int
    entry_id: UUID
    purpose: str
    order_id: UUID | None
    statement_id: UUID | None
    reverses: UUID | None
    booked_at: datetime
    postings: list[PostingView]
    hash: str


class TrialBalanceRow(BaseModel):
    """A ledger account's turnover and balance (debit less credit)."""

    account: str
    currency: str
    ledger_account: str
    name: str
    debit_minor: int
    credit_minor: int
    balance_minor: int


class CurrencyTotal(BaseModel):
    """Turnover over all ledger accounts of a currency: both sides are equal."""

    currency: str
    debit_minor: int
    credit_minor: int


class TrialBalance(BaseModel):
    """Every ledger account of every wallet."""

    balanced: bool
    totals: list[CurrencyTotal]
    rows: list[TrialBalanceRow]


class FaultView(BaseModel):
    """What is wrong in the books. Entry 0 is about a whole chain."""

    account: str
    currency: str
    entry_no: int
    what: str


class VerificationView(BaseModel):
    """The books computed anew: hashes, numbers, balance of every entry, kept balances."""

    sound: bool
    chains: int
    entries: int
    faults: list[FaultView]


class RateCardView(RateCardDocument):
    """A version of a rate card."""

    set_at: datetime


class AccountView(BaseModel):
    """A shop's wallet. Without a profile the defaults hold; the currency is then that of the first order."""

    account: str
    channel: str
    shop: str
    currency: str | None
    profile: ProfileDocument | None
    updated_at: datetime


class StateCount(BaseModel):
    """Statements of one state."""

    state: StatementState
    statements: int


class ReasonCount(BaseModel):
    """Open differences of one reason."""

    reason: str
    differences: int


class Summary(BaseModel):
    """The service in numbers."""

    statements: list[StateCount]
    differences: list[ReasonCount]
