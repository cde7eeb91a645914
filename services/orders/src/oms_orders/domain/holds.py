"""What can stop an order, what each hold blocks, and who ends it."""

from collections.abc import Mapping
from dataclasses import dataclass

from oms_events.values import derived_id
from oms_orders.domain.order import Block, Cause, Hold, HoldClosed, HoldOpened, HoldState, Order


@dataclass(frozen=True, slots=True)
class HoldKind:
    """`auto`: an event ends it. A person can then only reject it, which cancels the order."""

    blocks: tuple[Block, ...]
    auto: bool


HOLD_KINDS: Mapping[str, HoldKind] = {
    "LISTING_UNMAPPED": HoldKind(("place",), auto=True),
    "AMOUNT_MISMATCH": HoldKind(("release",), auto=False),
    "BUYER_NOTE": HoldKind(("release",), auto=False),
    "STOCK_SHORT": HoldKind(("release",), auto=True),
    "NO_ROUTE": HoldKind(("ship",), auto=True),
    "NO_CARRIER": HoldKind(("ship",), auto=True),
    "ORDER_CHANGED": HoldKind(("release", "ship"), auto=False),
    "CUSTOM": HoldKind(("release",), auto=False),
}
"""Every hold code. An operator's own hold (CUSTOM) names what it blocks itself."""

_DETAIL_LENGTH = 500


@dataclass(frozen=True, slots=True)
class AuditRule:
    """When a buyer's note stops an order of a shop: always, never, or when it holds one of these words."""

    notes: str = "any"
    words: tuple[str, ...] = ()

    def stops(self, note: str) -> bool:
        """Whether a person must read this note before the order goes on."""
        if self.notes == "never" or not note.strip():
            return False
        if self.notes == "any":
            return True
        folded = note.casefold()
        return any(word.casefold() in folded for word in self.words)


DEFAULT_AUDIT = AuditRule()


def open_hold(order: Order, code: str, detail: str, cause: Cause, *, line_id: str | None = None) -> None:
    """Stop the order, unless the same thing stops it already."""
    if any(hold.state == "OPEN" and hold.code == code and hold.line_id == line_id for hold in order.holds):
        return
    kind = HOLD_KINDS[code]
    hold_id = derived_id("hold", str(order.order_id), code, line_id or "", cause.id, at=cause.at)
    add_hold(order, Hold(hold_id, line_id, code, detail[:_DETAIL_LENGTH], kind.blocks, kind.auto, cause.now))


def add_hold(order: Order, hold: Hold) -> None:
    """Stop the order with a hold that is made already."""
    hold.changed = True
    order.holds.append(hold)
    order.decided.append(HoldOpened(hold))


def close_hold(order: Order, hold: Hold, outcome: HoldState, by: str, cause: Cause, *, note: str | None = None) -> None:
    """End a hold."""
    hold.state, hold.closed_at, hold.closed_by, hold.note, hold.changed = outcome, cause.now, by, note, True
    order.decided.append(HoldClosed(hold))


def close_holds(
    order: Order, outcome: HoldState, by: str, cause: Cause, *, codes: frozenset[str] | None = None
) -> None:
    """End all open holds, or those of some codes."""
    for hold in order.holds:
        if hold.state == "OPEN" and (codes is None or hold.code in codes):
            close_hold(order, hold, outcome, by, cause)
