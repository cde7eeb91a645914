"""The chart of accounts, and which of them a component of an order moves."""

from collections.abc import Mapping

WALLET = "1012"
IN_TRANSIT = "1015"
RECEIVABLE = "1122"
SUSPENSE_PAID = "1901"
ADVANCES = "2203"
SUSPENSE_RECEIVED = "2241.1"
ACCRUED_FEES = "2241.2"
REFUNDS_OWED = "2241.3"
SALES = "6001.1"
FREIGHT_INCOME = "6001.2"
RETURNS = "6001.9"
COMMISSION = "6601.01"
PAYMENT_FEE = "6601.02"
OTHER_COST = "6601.13"
ROUNDING = "6711"

NAMES: Mapping[str, str] = {
    WALLET: "Platform wallet",
    IN_TRANSIT: "Cash in transit",
    RECEIVABLE: "Platform receivable",
    SUSPENSE_PAID: "Suspense, paid",
    ADVANCES: "Advance receipts",
    SUSPENSE_RECEIVED: "Suspense, received",
    ACCRUED_FEES: "Accrued fees",
    REFUNDS_OWED: "Refund liability",
    SALES: "Sales",
    FREIGHT_INCOME: "Freight income",
    RETURNS: "Returns",
    COMMISSION: "Commission",
    PAYMENT_FEE: "Payment fee",
    OTHER_COST: "Storage, subscription and other",
    ROUNDING: "Rounding and small differences",
}

FEES = frozenset({"commission", "payment_fee", "commission_refund", "payment_fee_refund"})
"""Components whose amounts are computed by a rate card."""
CONTROLS: Mapping[str, str] = {
    "refund": REFUNDS_OWED,
    "commission": ACCRUED_FEES,
    "payment_fee": ACCRUED_FEES,
    "commission_refund": ACCRUED_FEES,
    "payment_fee_refund": ACCRUED_FEES,
}
"""Where what is expected waits for the statement; every other component waits as a receivable."""
BOOKED: Mapping[str, str] = {"payout": IN_TRANSIT, "subscription": OTHER_COST}
"""Components about no order that are booked by what they are: nothing is expected, nothing is missing."""


def control_of(component: str) -> str:
    """The ledger account on which a component waits to be settled."""
    return CONTROLS.get(component, RECEIVABLE)


def suspense_of(amount_minor: int) -> str:
    """Where money waits of which nobody knows whose it is."""
    return SUSPENSE_RECEIVED if amount_minor > 0 else SUSPENSE_PAID
