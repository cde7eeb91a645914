"""Events of settlement: the money that is expected, what statements say of it, and what became of each difference.

Amounts are signed as the shop's wallet sees them: what comes in is positive, fees and refunds are negative.
"""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from oms_events.contracts.shared import Code, Currency, Instant, Minor, Part, Text, Words
from oms_events.registry import Event, Topic, event

RATE_CARD = Topic("oms.settlement.rate-card.v1", key="rate_key", cleanup="compact")
ACCRUAL = Topic("oms.settlement.accrual.v1", key="order_id")
STATEMENT = Topic("oms.settlement.statement.v1", key="account")
RECONCILIATION = Topic("oms.settlement.reconciliation.v1", key="match_key")
JOURNAL = Topic("oms.settlement.journal.v1", key="account")

Account = Annotated[str, Field(min_length=3, max_length=129, pattern=r"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$")]
"""A shop's wallet at its platform: `channel/shop`."""
Component = Annotated[Code, Field(max_length=32)]
"""What a sum is for: `goods`, `shipping`, `refund`, `commission`, `payment_fee`, `commission_refund`,
`payment_fee_refund`, `subsidy`, `adjustment`, `subscription`, `payout`, `other`."""
Ppm = Annotated[int, Field(ge=-1_000_000, le=1_000_000)]
"""A rate in millionths: 150,000 is 15 %."""


Turnover = Annotated[int, Field(ge=0, le=10**18)]
"""A sum over many entries, in minor units."""


class ComponentAmount(Part):
    """So much for one component, and by which version of the rate card if it was computed."""

    component: Component
    amount_minor: Minor
    rate_version: Words = ""


class SettledComponent(Part):
    """What was expected for a component and what the statement paid."""

    component: Component
    expected_minor: Minor
    settled_minor: Minor


class AccountTotal(Part):
    """Turnover of one ledger account."""

    ledger_account: Code
    debit_minor: Turnover
    credit_minor: Turnover


@event(RATE_CARD)
class RateCardSet(Event):
    """What a platform charges for a component from a time on; the newest one in force counts. A shop of `*` is every
    shop. The version is part of the key and never changes: compaction keeps every rate that ever counted."""

    rate_key: str
    channel: Code
    shop: Annotated[str, Field(min_length=1, max_length=64)]
    component: Component
    currency: Currency
    rate_ppm: Ppm
    fixed_minor: Minor = 0
    min_minor: Minor | None = None
    max_minor: Minor | None = None
    version: Text
    valid_from: Instant


@event(ACCRUAL)
class AccrualPosted(Event):
    """Money is now expected for an order, component by component. `basis` is `paid`, `dispatched` or `cancelled`."""

    order_id: UUID
    accrual_id: UUID
    channel: Code
    shop: Code
    currency: Currency
    basis: str
    components: Annotated[tuple[ComponentAmount, ...], Field(max_length=50)]
    accrued_at: Instant


@event(STATEMENT)
class StatementImported(Event):
    """A statement footed and every line of it is posted."""

    account: Account
    statement_id: UUID
    channel: Code
    shop: Code
    format: Code
    file_sha256: str
    currency: Currency
    period_from: Instant
    period_to: Instant
    lines: int
    total_minor: Minor


@event(STATEMENT)
class StatementRefused(Event):
    """A statement was refused as a whole: `code` names the rule, `row` the first row that breaks it, counted from 1."""

    account: Account
    statement_id: UUID
    channel: Code
    shop: Code
    format: Code
    file_sha256: str
    code: Code
    row: int | None = None
    detail: str = ""


@event(RECONCILIATION)
class StatementLineMatched(Event):
    """Lines of a statement paid, to the cent, what was expected of an order for these components."""

    match_key: str
    order_id: UUID
    account: Account
    channel: Code
    shop: Code
    statement_id: UUID
    currency: Currency
    components: Annotated[tuple[SettledComponent, ...], Field(max_length=50)]
    settled_at: Instant


@event(RECONCILIATION)
class DifferenceAttributed(Event):
    """A statement and what was expected disagree for one component; `reason` says why. Nothing is cleared by it.

    Said again with the same `difference_id` when amounts or reason change: the newest one counts.
    """

    match_key: str
    """The order's id, or the difference's where no order is known."""
    difference_id: UUID
    order_id: UUID | None
    order_no: Annotated[Words, Field(max_length=64)] = ""
    account: Account
    channel: Code
    shop: Code
    statement_id: UUID | None
    currency: Currency
    component: Component
    reason: Code
    expected_minor: Minor
    settled_minor: Minor
    detail: str = ""
    attributed_at: Instant


@event(RECONCILIATION)
class DifferenceResolved(Event):
    """A difference is open no more and no money was given up: later facts made it vanish, or a person settled it
    elsewhere. `by` is `system` or who decided."""

    match_key: str
    difference_id: UUID
    order_id: UUID | None
    account: Account
    channel: Code
    shop: Code
    currency: Currency
    component: Component
    reason: Code
    by: Words
    note: Annotated[Words, Field(max_length=1000)] = ""
    resolved_at: Instant


@event(RECONCILIATION)
class WriteOffPosted(Event):
    """A difference was written off. `rule` names the limit that allowed it and its version, `by` who decided.

    `amount_minor` is what is settled above (or, negative, below) what was expected and is accepted as it is. Undoing
    a write-off is another one of the opposite amount that names it in `reverses`; the difference is then open again.
    """

    match_key: str
    write_off_id: UUID
    difference_id: UUID
    order_id: UUID | None
    account: Account
    channel: Code
    shop: Code
    currency: Currency
    component: Component
    amount_minor: Minor
    reason: Code
    rule: Text
    by: Words
    reverses: UUID | None = None
    posted_at: Instant


@event(JOURNAL)
class JournalPosted(Event):
    """Entries `first_no` to `last_no` were added to an account's journal in one currency. `head_hash` is the hash of
    the last one and covers every entry before it: who keeps it can tell later whether the journal was rewritten."""

    account: Account
    first_no: int
    last_no: int
    head_hash: str
    currency: Currency
    totals: Annotated[tuple[AccountTotal, ...], Field(max_length=100)]
    posted_at: Instant


def account_of(channel: str, shop: str) -> str:
    """Key of a shop's wallet."""
    return f"{channel}/{shop}"


def rate_key(channel: str, shop: str, component: str, currency: str, version: str) -> str:
    """Key of a version of a rate in the rate card topic."""
    return f"{channel}/{shop}/{component}/{currency}/{version}"
