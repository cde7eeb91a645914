"""Each invariant sees what it is there to see: a sound case passes, and every planted harm is named."""

import ast
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from . import auditor, invariants
from .auditor import Books, Evidence, Published
from .invariants import judge

ORDER = "o-1"
LINE = {"line_id": "1", "sku": "A", "quantity": 2}


def published(name: str, offset: int, **changed: Any) -> Published:
    base = Published(
        topic=invariants.ORDER_TOPIC,
        partition=0,
        offset=offset,
        id=f"id-{name}",
        type=name,
        key=ORDER,
        sequence=offset,
        time=f"2026-01-01T00:00:0{offset}",
        content=f"content-{name}",
        data={},
    )
    return replace(base, **changed)


def shipping(name: str, offset: int, again: str = "", **data: Any) -> Published:
    data = {"shipment_id": "s-1", **data}
    return published(name, offset, topic="oms.fulfilment.shipment.v1", id=f"id-{name}{again}", data=data)


def sound() -> Evidence:
    """One order's whole life."""
    told = [
        published("ChannelOrderReceived", 0, topic="oms.intake.channel-order.v1"),
        published("ChannelPaymentReceived", 1, topic="oms.intake.channel-order.v1"),
        published("OrderPlaced", 0),
        published("OrderPaid", 1),
        published("OrderReleased", 2),
        published("OrderCompleted", 3),
        shipping("ShipmentRequested", 0),
        shipping("ShipmentDispatched", 1, lines=[LINE]),
        shipping("WaybillAssigned", 2, waybill_no="w-1"),
    ]
    books = Books(
        inbox={"orders": frozenset({"id-ChannelOrderReceived", "id-ChannelPaymentReceived"})},
        dead_letters=[],
        outbox={"orders": 0},
        overdue={"orders": 0},
        orders=[{"order_id": ORDER, "channel": "c", "shop": "s", "channel_order_no": "1", "state": "completed"}],
        order_lines=[
            {"order_id": ORDER, "line_id": "1", "quantity": 2, "cancelled": 0, "shipped": 2, "delivered": 2},
        ],
        stock=[{"sku": "A", "node": "N", "on_hand": 3, "allocated": 1}],
        pools=[{"sku": "A", "base": 2, "reserved": 2}],
        movements=[move(on_hand=5, reason="opening"), move(on_hand=-2, allocated=1, reserved=2, reason="dispatched")],
        reserved_by_lines={"A": 2},
        allocated_by_lines={("A", "N"): 1},
        shipments=[{"shipment_id": "s-1", "order_id": ORDER, "node": "N", "state": "dispatched"}],
        parcels=[{"shipment_id": "s-1", "order_id": ORDER, "waybill_no": "w-1", "state": "delivered"}],
    )
    promised = {"orders": {"oms.intake.channel-order.v1": frozenset({"ChannelOrderReceived"})}}
    return Evidence({ORDER: {"1": 2}}, promised, told, books)


def move(**changed: Any) -> dict[str, Any]:
    row = dict.fromkeys(("order_id", "line_id", "shipment_id", "document"), None)
    return {"sku": "A", "node": "N", "on_hand": 0, "allocated": 0, "reserved": 0, "event_id": "e", **row, **changed}


Plant = Callable[[Evidence], Evidence]


def told(*more: Published, without: Sequence[str] = ()) -> Plant:
    def plant(evidence: Evidence) -> Evidence:
        kept = [record for record in evidence.published if record.type not in without]
        return replace(evidence, published=[*kept, *more])

    return plant


def books(**changed: Any) -> Plant:
    return lambda evidence: replace(evidence, books=replace(evidence.books, **changed))


def changed_order(**changed: Any) -> Plant:
    return lambda evidence: books(orders=[{**evidence.books.orders[0], **changed}])(evidence)


def changed_line(**changed: Any) -> Plant:
    return lambda evidence: books(order_lines=[{**evidence.books.order_lines[0], **changed}])(evidence)


HARMS: dict[str, tuple[str, Plant]] = {
    "accepted order unknown": ("lost", books(orders=[])),
    "order twice": ("doubled", lambda e: books(orders=[*e.books.orders, *e.books.orders])(e)),
    "order from nowhere": ("unsound", told(without=["ChannelOrderReceived"])),
    "one id, two contents": ("unsound", told(published("OrderPlaced", 9, content="other"))),
    "event not applied": ("lost", books(inbox={"orders": frozenset()})),
    "event from nowhere applied": ("unsound", books(inbox={"orders": frozenset({"id-ChannelOrderReceived", "x"})})),
    "dead letter": ("stuck", books(dead_letters=["orders: X"])),
    "released before placed": ("unsound", told(published("OrderPlaced", 7), without=["OrderPlaced"])),
    "released, never placed": ("unsound", told(without=["OrderPlaced"])),
    "placed twice": ("unsound", told(published("OrderPlaced", 4, id="again"))),
    "released after the end": ("unsound", told(published("OrderReleased", 8), without=["OrderReleased"])),
    "version falls": ("unsound", told(published("HoldOpened", 5, sequence=1))),
    "stock below zero": ("oversold", books(stock=[{"sku": "A", "node": "N", "on_hand": -1, "allocated": 0}])),
    "more allocated than there": ("oversold", books(stock=[{"sku": "A", "node": "N", "on_hand": 1, "allocated": 2}])),
    "more promised than there": ("oversold", books(pools=[{"sku": "A", "base": 2, "reserved": 9}])),
    "reserved below zero": ("oversold", books(pools=[{"sku": "A", "base": 2, "reserved": -1}])),
    "balance without movement": ("unsound", books(movements=[move(on_hand=5, reason="opening")])),
    "reserved by nobody": ("unsound", books(reserved_by_lines={})),
    "allocated by nobody": ("unsound", books(allocated_by_lines={})),
    "movement twice": ("doubled", lambda e: books(movements=[*e.books.movements, e.books.movements[1]])(e)),
    "more dispatched than ordered": ("doubled", told(shipping("ShipmentDispatched", 5, "b", lines=[LINE]))),
    "dispatched, not shipped": ("doubled", changed_line(shipped=0)),
    "shipment requested twice": ("doubled", told(shipping("ShipmentRequested", 6, "b"))),
    "second waybill": ("doubled", told(shipping("WaybillAssigned", 6, "b", waybill_no="w-2"))),
    "waybill of two": ("doubled", told(shipping("WaybillAssigned", 6, "b", shipment_id="s-2", waybill_no="w-1"))),
    "parcel of nobody": ("lost", books(shipments=[])),
    "left without parcel": ("lost", books(parcels=[])),
    "order on its way": ("stuck", changed_order(state="released")),
    "paid and waiting for money": ("stuck", changed_order(state="awaiting_payment")),
    "outbox not empty": ("stuck", books(outbox={"orders": 3})),
    "deadline overdue": ("stuck", books(overdue={"orders": 1})),
    "completed, not delivered": ("lost", changed_line(delivered=1)),
}


def test_a_sound_case_has_no_violation() -> None:
    assert judge(sound()) == []


@pytest.mark.parametrize("name", HARMS)
def test_a_planted_harm_is_named(name: str) -> None:
    harm, plant = HARMS[name]
    assert harm in {violation.harm for violation in judge(plant(sound()))}


def test_every_invariant_breaks_in_some_case() -> None:
    broken = {violation.invariant for _, plant in HARMS.values() for violation in judge(plant(sound()))}
    assert len(broken) == len(invariants.CHECKS)


def test_the_same_event_sent_again_after_a_crash_is_no_harm() -> None:
    again = published("OrderPlaced", 4)
    assert judge(told(again)(sound())) == []


def test_after_partitions_were_added_the_version_tells_the_sequence() -> None:
    moved = published("OrderCompleted", 0, partition=7, sequence=3)
    assert judge(told(moved, without=["OrderCompleted"])(sound())) == []


@pytest.mark.parametrize("module", [auditor, invariants])
def test_the_auditor_shares_no_code_with_those_it_audits(module: Any) -> None:
    tree = ast.parse(Path(module.__file__).read_text("utf-8"))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}
    assert not [name for name in imported if name.startswith("oms_")]
    within = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level}
    assert within <= {"auditor"}
