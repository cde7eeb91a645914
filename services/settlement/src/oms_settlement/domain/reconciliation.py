"""What was expected against what a statement says, component by component. Components are never netted.

A component is cleared only when what was settled is, to the unit, what was expected, or when the difference was
written off. Everything else gets a reason.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from oms_settlement.domain.chart import FEES


class Reason(StrEnum):
    """Why a statement and an expectation disagree."""

    ROUNDING = "ROUNDING"
    RATE_DEVIATION = "RATE_DEVIATION"
    SHORT_PAID = "SHORT_PAID"
    OVER_PAID = "OVER_PAID"
    DUPLICATE_CHARGE = "DUPLICATE_CHARGE"
    DUPLICATE_PAYMENT = "DUPLICATE_PAYMENT"
    MISSING_RECEIPT = "MISSING_RECEIPT"
    MISSING_ORDER = "MISSING_ORDER"
    NO_KEY = "NO_KEY"
    TIMING_IN_TRANSIT = "TIMING_IN_TRANSIT"
    FX_SETTLEMENT = "FX_SETTLEMENT"
    RESTATED = "RESTATED"
    CONFLICT = "CONFLICT"
    UNEXPLAINED = "UNEXPLAINED"


class Standing(NamedTuple):
    """One component of an order. `written_off_minor` is the part of settled less expected that was accepted;
    `statement_no` the last statement that had a line of it, `disputed` tells that a difference was made of it."""

    expected_minor: int = 0
    settled_minor: int = 0
    written_off_minor: int = 0
    lines: int = 0
    statement_no: int = 0
    disputed: int = 0

    @property
    def gap_minor(self) -> int:
        """Settled less expected, less what was accepted of it."""
        expected, settled, written_off, _, _, _ = self
        return settled - expected - written_off

    @property
    def touched(self) -> bool:
        """That money came, or that somebody decided about it."""
        return bool(self.lines or self.written_off_minor)

    @property
    def cleared(self) -> bool:
        """That nothing is open and something happened."""
        expected, settled, written_off, lines, _, _ = self  # it is asked of every component of every order
        return bool(lines or written_off) and settled - expected == written_off


class Stage(NamedTuple):
    """How far an order is, and what counts as rounding of its fees."""

    paid: bool
    dispatched: bool
    per_line_minor: int
    per_order_minor: int


class Finding(NamedTuple):
    """Why a component is different."""

    reason: Reason
    detail: str


class Sums(NamedTuple):
    """What a component adds to the totals of its account."""

    expected_minor: int
    settled_minor: int
    matched_minor: int
    written_off_minor: int
    lines: int
    lines_cleared: int
    value_minor: int
    value_cleared_minor: int


NOTHING = Standing()
_CHARGES = FEES | {"refund"}


def sums(standing: Standing) -> Sums:
    """The contribution of a component."""
    expected, settled, written_off, lines, _, _ = standing
    value = abs(settled) if lines else 0
    if standing.cleared:
        return Sums(expected, settled, expected, written_off, lines, lines, value, value)
    return Sums(expected, settled, 0, written_off, lines, 0, value, 0)


def settle(standing: Standing, amount_minor: int, lines: int, statement_no: int) -> Standing:
    """A component after lines of a statement."""
    expected, settled, written_off, before, last, disputed = standing
    return Standing(expected, settled + amount_minor, written_off, before + lines, max(statement_no, last), disputed)


def divided(sums: Mapping[str, tuple[int, int]], shipping: Standing) -> dict[str, tuple[int, int]]:
    """What a payment provider tells as one payment, as the order knows it: of what came as goods, as much is for the
    shipping as is still expected of it, the rest for goods. Amount and number of lines by component.

    What is short or over then shows in goods; together both parts are what came.
    """
    paid, lines = sums.get("goods", (0, 0))
    part = min(max(-shipping.gap_minor, 0), max(paid, 0))
    if not part or "shipping" in sums:
        return dict(sums)
    return {**sums, "goods": (paid - part, lines), "shipping": (part, 1)}


def judge(component: str, standing: Standing, stage: Stage, *, overdue: bool = False) -> Finding | None:
    """Why a component is different; None when it is not, or when nothing came yet and nothing is overdue."""
    if standing.gap_minor == 0:
        return None
    if not standing.touched:
        return Finding(Reason.MISSING_RECEIPT, "nothing came until it was due") if overdue else None
    expected, settled = standing.expected_minor, standing.settled_minor
    if expected == 0:
        return _unexpected(component, stage)
    if standing.lines > 1 and settled % expected == 0 and settled // expected > 1:
        return _repeated(component, settled // expected)
    if component in FEES:
        return _deviating(standing, stage)
    reason = Reason.SHORT_PAID if settled < expected else Reason.OVER_PAID
    return Finding(reason, "the wallet got less than expected" if settled < expected else "the wallet got more")


def tolerated(standing: Standing, stage: Stage) -> bool:
    """That a fee's difference is so small that only rounding can have made it."""
    allowed = min(standing.lines * stage.per_line_minor, stage.per_order_minor)
    return standing.lines > 0 and standing.written_off_minor == 0 and abs(standing.gap_minor) <= allowed


def _unexpected(component: str, stage: Stage) -> Finding:
    if component in {"goods", "shipping"} and not stage.paid:
        return Finding(Reason.TIMING_IN_TRANSIT, "the payment was not heard of yet")
    if component in {"commission", "payment_fee"} and not stage.dispatched:
        return Finding(Reason.TIMING_IN_TRANSIT, "the dispatch was not heard of yet")
    return Finding(Reason.UNEXPLAINED, "nothing of the kind is expected of this order")


def _repeated(component: str, times: int) -> Finding:
    reason = Reason.DUPLICATE_CHARGE if component in _CHARGES else Reason.DUPLICATE_PAYMENT
    return Finding(reason, f"{times} times what is expected")


def _deviating(standing: Standing, stage: Stage) -> Finding:
    if tolerated(standing, stage):
        return Finding(Reason.ROUNDING, "within what rounding makes")
    return Finding(Reason.RATE_DEVIATION, "not what the rate card says")


def judge_orphan(component: str, order_no: str, booked: Mapping[str, str]) -> Finding | None:
    """Why lines of no known order are different; None for those that are booked by what they are."""
    if order_no:
        return Finding(Reason.MISSING_ORDER, "no order of this number is known")
    if component in booked:
        return None
    if component in {"adjustment", "other", "subsidy"}:
        return Finding(Reason.UNEXPLAINED, "about no order, and of no kind that is booked by itself")
    return Finding(Reason.NO_KEY, "a line of this kind should name its order")
