"""The same order book through a broker that repeats, delays, fails and rebalances: the same end whatever it does."""

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from oms_events.contracts.orders import OrderPlaced
from oms_events.testing.memory_broker import MemoryBroker

from .conftest import OutsideOf
from .players import (
    LEEDS,
    LONDON,
    PRICE_MINOR,
    Outside,
    Shipment,
    cancellation,
    counted,
    delivered_to,
    ident,
    layers,
    order,
    payment,
    report,
    scans,
)

pytestmark = pytest.mark.integration

PLAIN = {f"plain-{n}": {"a": 1 + n % 3} for n in range(14)}
SPLIT = {f"split-{n}": {"b": 1, "c": 2} for n in range(4)}
"""B lies in London only, C in Leeds only."""
REJECTED = {f"rejected-{n}": {"a": 2} for n in range(2)}
SHORT = {f"short-{n}": {"a": 4} for n in range(2)}
"""The first warehouse finds one of the four."""
PART_CANCELLED = {f"part-cancelled-{n}": {"a": 2, "b": 1} for n in range(2)}
CANCELLED = {f"cancelled-{n}": {"a": 2, "b": 1} for n in range(2)}
UNPAID = {f"unpaid-{n}": {"a": 1} for n in range(2)}
LATE_STOCK = {"late-stock": {"d": 6}}
LATE_LISTING = {"late-listing": {"a": 1, "e": 1}}
BOOK = PLAIN | SPLIT | REJECTED | SHORT | PART_CANCELLED | CANCELLED | UNPAID | LATE_STOCK | LATE_LISTING

EXPECTED = (
    dict.fromkeys(BOOK, "completed") | dict.fromkeys(CANCELLED, "cancelled") | dict.fromkeys(UNPAID, "awaiting_payment")
)


def delivered_units(no: str, listing: str) -> int:
    """What the buyer gets of a line in the end."""
    if EXPECTED[no] != "completed":
        return 0
    return BOOK[no][listing] - (1 if no in PART_CANCELLED and listing == "a" else 0)


@dataclass
class Warehouses:
    """Both warehouses and the carriers: take what is released, report it twice and in any order."""

    outside: Outside
    dice: random.Random
    taken: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    left: list[Shipment] = field(default_factory=list)

    async def work(self) -> bool:
        """One round; answers whether there was anything to do."""
        self.left = []
        reports = [report for shipment in await self._releases() for report in self._handle(shipment)]
        repeated = [
            report.model_copy(update={"occurred_at": report.occurred_at + timedelta(seconds=1)})
            for report in self.dice.sample(reports, len(reports) // 3)
        ]
        await self.outside.say(*reports, *repeated)
        ways = [scan for shipment in self.left for scan in scans(shipment)]
        ways += self.dice.sample(ways, len(ways) // 4)
        self.dice.shuffle(ways)
        if ways:
            await self.outside.say(*ways)
        return bool(reports)

    async def _releases(self) -> list[Shipment]:
        found = []
        for node in (LONDON, LEEDS):
            page = await self.outside.system.ask("fulfilment", f"/v1/nodes/{node}/releases", limit=500)
            found += [shipment for shipment in page["items"] if shipment["shipment_id"] not in self.taken]
        self.taken.update(shipment["shipment_id"] for shipment in found)
        return found

    def _handle(self, shipment: Shipment) -> list[Any]:
        first = shipment["order_id"] not in self.refused
        if first and shipment["order_id"] in _ids(REJECTED):
            self.refused.add(shipment["order_id"])
            return [report(shipment, "rejected")]
        self.left.append(shipment)
        if first and shipment["order_id"] in _ids(SHORT):
            self.refused.add(shipment["order_id"])
            (line,) = shipment["lines"]
            return [
                report(shipment, "accepted"),
                report(shipment, "short", **{line["line_id"]: 1}),
                report(shipment, "shipped"),
            ]
        words = [report(shipment, "accepted"), report(shipment, "shipped")]
        self.dice.shuffle(words)
        return words


def _ids(book: dict[str, dict[str, int]]) -> set[str]:
    return {str(ident(no)) for no in book}


def break_things(broker: MemoryBroker) -> None:
    """Some calls to come fail."""
    broker.fail("fetch", times=3)
    broker.fail("commit", times=3)
    broker.fail("send", times=3)
    broker.fail("ack", times=3)


async def tell_book(outside: Outside, dice: random.Random) -> None:
    """Orders, payments and cancellations, in any order: money and second thoughts may come before the order."""
    words: list[Any] = [order(no, **lines) for no, lines in BOOK.items()]
    words += [payment(order(no, **lines)) for no, lines in BOOK.items() if no not in CANCELLED | UNPAID]
    words += [cancellation(no) for no in CANCELLED]
    dice.shuffle(words)
    # A part of an order that is released already can no longer be had back for sure: so first things first.
    await outside.system.tell(*(cancellation(no, a=1) for no in PART_CANCELLED), *words, *dice.sample(words, 8))


async def play(outside: Outside, dice: random.Random) -> None:
    """The whole book, until nobody has anything left to do for a while."""
    await outside.open_shop("A", "B", "C", "D", "E", unmapped=["E"])
    await outside.say(*counted(LONDON, A=60, B=20, D=5, E=5), *counted(LEEDS, A=60, C=20))
    break_things(outside.system.broker)
    await tell_book(outside, dice)
    await outside.system.calm()
    await outside.list_items("E")
    await outside.say(*delivered_to(LEEDS, D=6))
    warehouses = Warehouses(outside, dice)
    for _ in range(3):
        break_things(outside.system.broker)
        while await warehouses.work():
            pass
        await outside.system.pass_time(timedelta(seconds=20))


@pytest.mark.parametrize("seed", range(1, 6))
async def test_every_order_ends_as_it_should(outside_of: OutsideOf, seed: int) -> None:
    outside = await outside_of(seed=seed)
    await play(outside, random.Random(seed))

    for no, lines in BOOK.items():
        shown = await outside.order(no)
        assert shown["state"] == EXPECTED[no], (no, shown)
        arrived = {line["line_id"]: line["delivered"] for line in shown["lines"]}
        assert arrived == {listing: delivered_units(no, listing) for listing in lines}, (no, shown)
    told = Counter(type(received.event).__name__ for received in outside.system.events())
    assert told["OrderReleased"] == told["OrderCompleted"] == list(EXPECTED.values()).count("completed")
    assert told["OrderCancelled"] == len(CANCELLED)
    await check_stock(outside, {"A": 120, "B": 20, "C": 20, "D": 11, "E": 5})
    await check_profit(outside)
    await check_money(outside)
    await outside.system.check_books()


async def check_profit(outside: Outside) -> None:
    """Analytics counts what happened, however often and in whatever order it heard of it. An order that was cancelled
    before it came is none."""
    happened = [received.event for received in outside.system.events()]
    placed = {str(event.order_id): event for event in happened if isinstance(event, OrderPlaced)}
    cancelled = [no for no in CANCELLED if str(ident(no)) in placed]
    overview = await outside.system.ask("analytics", "/v1/overview")
    [counted_] = overview["currencies"]
    assert not overview["waiting"]
    assert (counted_["orders"], counted_["cancelled_orders"]) == (len(placed), len(cancelled))
    kept = sum(sum(lines.values()) for no, lines in BOOK.items() if no not in CANCELLED)
    assert counted_["units"] == kept - sum(sum(BOOK[no].values()) for no in PART_CANCELLED) + sum(
        delivered_units(no, listing) for no in PART_CANCELLED for listing in BOOK[no]
    )
    assert counted_["shipments"] == counted_["delivered"]
    arrived = sum(delivered_units(no, listing) for no, lines in BOOK.items() for listing in lines)
    [accrued] = (await outside.system.ask("analytics", "/v1/profit", by="channel", version="accrued"))["sums"]
    assert accrued["units"] == arrived
    assert overview["holds"]["open"] == 0


async def check_money(outside: Outside) -> None:
    """Revenue is what arrived, nothing waits as an advance, and the journal holds."""
    verified = await outside.system.ask("settlement", "/v1/ledger/verification")
    assert verified["sound"], verified["faults"]
    balance = await outside.system.ask("settlement", "/v1/trial-balance")
    standing = {row["ledger_account"]: row["balance_minor"] for row in balance["rows"] if row["balance_minor"]}
    arrived = sum(delivered_units(no, listing) for no, lines in BOOK.items() for listing in lines)
    assert standing["6001.1"] == -arrived * PRICE_MINOR
    assert standing["1122"] + standing.get("2241.3", 0) == arrived * PRICE_MINOR
    assert "2203" not in standing


async def check_stock(outside: Outside, brought: dict[str, int]) -> None:
    """What is on the shelves is what was brought less what arrived; only unpaid orders hold any of it."""
    for sku, units in brought.items():
        sold = sum(delivered_units(no, sku.lower()) for no, lines in BOOK.items() if sku.lower() in lines)
        waiting = sum(lines.get(sku.lower(), 0) for lines in UNPAID.values())
        assert await outside.stock(sku) == layers(units - sold, reserved=waiting), sku
