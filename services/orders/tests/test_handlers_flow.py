"""The way of an order from the channel to its receiver, in time, twice, late and in any order."""

import json
import random
from datetime import timedelta

import pytest

from oms_events.contracts import intake
from oms_events.contracts.orders import (
    CancellationRequested,
    HoldOpened,
    HoldResolved,
    OrderCancelled,
    OrderCompleted,
    OrderLinesCancelled,
    OrderPaid,
    OrderPlaced,
    OrderReleased,
)
from oms_events.contracts.shared import Destination
from oms_events.testing.scenario import Scenario, only

from .examples import (
    ALL,
    LISTINGS,
    SECOND,
    SHOP,
    accepted,
    answered,
    cancelled,
    delivered,
    dispatched,
    ident,
    lines,
    mapped,
    no_waybill,
    paid,
    released,
    requested,
    reserved,
    routed,
    short,
    told,
    unmapped,
    unroutable,
    waybill,
)


def names(events) -> list[str]:
    return [type(event).__name__ for event in events]


async def order_of(scenario: Scenario, no: str = "A-1") -> dict:
    answer = await scenario.client.get(f"/v1/orders/{ident(no)}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def state_of(scenario: Scenario, no: str = "A-1") -> tuple[str, str, str, str]:
    order = await order_of(scenario, no)
    return order["state"], order["payment_state"], order["fulfilment_state"], order["after_sales_state"]


@pytest.fixture
async def listed(scenario: Scenario) -> Scenario:
    await scenario.given(mapped("1"), mapped("2"))
    return scenario


async def test_placing_shares_the_discount_to_the_cent(listed: Scenario) -> None:
    [placed] = await listed.when(told())
    assert isinstance(placed, OrderPlaced)
    assert [(line.sku, line.discount_minor, line.amount_minor) for line in placed.lines] == [
        ("TEA-100", 80, 1920),
        ("CUP-1", 20, 480),
    ]
    assert sum(line.amount_minor for line in placed.lines) + placed.shipping_minor == placed.total_minor == 2600
    assert await state_of(listed) == ("awaiting_payment", "unpaid", "open", "none")


async def test_release_needs_money_and_stock_whichever_comes_last(listed: Scenario) -> None:
    await listed.given(told("A-1"), told("A-2"))
    assert names(await listed.when(paid(no="A-1"))) == ["OrderPaid"]
    assert await state_of(listed, "A-1") == ("awaiting_stock", "paid", "open", "none")
    assert names(await listed.when(reserved("A-2"))) == []
    [one] = await listed.when(reserved("A-1"))
    assert isinstance(one, OrderReleased)
    assert one.lines == ALL
    assert one.ship_to == Destination(country="DE", postcode="10115", receiver_token="tok")
    assert names(await listed.when(paid(no="A-2"))) == ["OrderPaid", "OrderReleased"]


async def test_two_events_of_one_order_in_one_batch_see_each_other(listed: Scenario) -> None:
    published = await listed.when(told(), paid(1000, "P-1"), paid(1600, "P-2"), reserved())
    assert names(published) == ["OrderPlaced", "OrderPaid", "OrderReleased"]


async def test_the_whole_way(listed: Scenario) -> None:
    await listed.given(told(), paid(), reserved(), routed(), requested(), waybill(), released(), accepted())
    assert await state_of(listed) == ("released", "paid", "released", "none")
    assert await listed.when(dispatched()) == []
    assert await state_of(listed) == ("shipped", "paid", "shipped", "none")
    assert names(await listed.when(delivered())) == ["OrderCompleted"]
    order = await order_of(listed)
    assert order["state"] == "completed"
    assert [(line["shipped"], line["delivered"]) for line in order["lines"]] == [(2, 2), (1, 1)]
    [shipment] = order["shipments"]
    assert (shipment["stage"], shipment["node"], shipment["waybill_no"]) == ("delivered", "BER", "W-1")


async def test_two_shipments_complete_with_the_last(listed: Scenario) -> None:
    await listed.given(told(), paid(), reserved(), dispatched(_1=2), dispatched(SECOND, _2=1), delivered(SECOND))
    assert (await state_of(listed))[2] == "part_delivered"
    assert names(await listed.when(delivered())) == ["OrderCompleted"]


async def test_a_partly_shipped_order_is_in_fulfilment(listed: Scenario) -> None:
    await listed.given(told(), paid(), reserved(), dispatched(_1=1))
    assert await state_of(listed) == ("in_fulfilment", "paid", "part_shipped", "none")


@pytest.mark.parametrize("seed", range(8))
async def test_any_order_and_repetition_ends_the_same(scenario: Scenario, seed: int) -> None:
    """Each fact may come before what it depends on, and more than once under other event ids."""
    events = [
        mapped("1"),
        mapped("2"),
        told(),
        paid(1000, "P-1"),
        paid(1600, "P-2"),
        short(),
        reserved(),
        unroutable(),
        no_waybill(),
        dispatched(_1=2),
        dispatched(SECOND, _2=1),
        delivered(),
        delivered(SECOND),
    ]
    shuffled = events + random.Random(seed).choices(events, k=6)
    random.Random(seed).shuffle(shuffled)
    published = []
    for start in range(0, len(shuffled), 4):
        published += await scenario.when(*shuffled[start : start + 4])
    assert await state_of(scenario) == ("completed", "paid", "delivered", "none")
    for kind in (OrderPlaced, OrderPaid, OrderReleased, OrderCompleted):
        assert len(only(published, kind)) == 1
    order = await order_of(scenario)
    assert order["paid_minor"] == 2600
    assert {hold["state"] for hold in order["holds"]} <= {"RESOLVED", "EXPIRED"}
    opened = {event.hold_id for event in only(published, HoldOpened)}
    assert opened == {event.hold_id for event in only(published, HoldResolved)}


async def test_events_of_one_order_are_numbered_without_a_gap(listed: Scenario) -> None:
    await listed.when(told(), paid(), reserved(), dispatched(), delivered())
    order = await order_of(listed)
    assert order["version"] == 4


async def test_an_unmapped_listing_holds_the_order_until_it_is_mapped(scenario: Scenario) -> None:
    await scenario.given(mapped("1"))
    [hold] = await scenario.when(told())
    assert isinstance(hold, HoldOpened)
    assert (hold.code, hold.line_id, hold.blocks) == ("LISTING_UNMAPPED", "2", ("place",))
    assert names(await scenario.when(paid())) == []
    assert names(await scenario.when(mapped("2"))) == ["HoldResolved", "OrderPlaced", "OrderPaid"]
    assert (await order_of(scenario))["holds"][0]["closed_by"] == "catalog"


async def test_a_listing_unmapped_again_holds_only_orders_to_come(listed: Scenario) -> None:
    await listed.given(told("A-1"), unmapped("1"))
    assert names(await listed.when(told("A-2"))) == ["HoldOpened"]
    assert (await state_of(listed, "A-1"))[0] == "awaiting_payment"


async def test_more_orders_than_a_page_are_placed_by_the_job(scenario: Scenario, monkeypatch) -> None:
    monkeypatch.setattr("oms_orders.app.handlers._MAPPED_PAGE", 2)
    await scenario.given(mapped("2"), *(told(f"A-{n}") for n in range(5)))
    placed = only(await scenario.when(mapped("1")), OrderPlaced)
    assert len(placed) == 2
    placed += only(await scenario.run_jobs(), OrderPlaced) + only(await scenario.run_jobs(), OrderPlaced)
    assert {event.channel_order_no for event in placed} == {f"A-{n}" for n in range(5)}


async def test_a_wrong_sum_waits_for_a_person(listed: Scenario) -> None:
    published = await listed.when(told(total_minor=2500), paid(2500), reserved())
    assert names(published) == ["HoldOpened", "OrderPlaced", "OrderPaid"]
    assert published[0].code == "AMOUNT_MISMATCH"
    answer = await listed.client.post(
        f"/v1/holds/{published[0].hold_id}:resolve", json={"outcome": "resolved", "by": "ann"}
    )
    assert answer.json()["state"] == "RESOLVED"
    assert names(await listed.published()) == ["HoldResolved", "OrderReleased"]


async def test_a_note_is_read_where_the_shop_wants_it(listed: Scenario) -> None:
    assert "HoldOpened" in names(await listed.when(told("A-1", buyer_note="leave at the door")))
    rule = {"notes": "words", "words": ["urgent"]}
    path = f"/v1/audit-rules/{SHOP['channel']}/{SHOP['shop']}"
    assert (await listed.client.put(path, json=rule)).json() == rule
    assert names(await listed.when(told("A-2", buyer_note="leave at the door"))) == ["OrderPlaced"]
    assert "HoldOpened" in names(await listed.when(told("A-3", buyer_note="URGENT please")))


async def test_short_stock_is_a_hold_that_stock_ends(listed: Scenario) -> None:
    await listed.given(told(), paid())
    [opened] = await listed.when(short())
    assert (opened.code, (await state_of(listed))[0]) == ("STOCK_SHORT", "awaiting_stock")
    assert names(await listed.when(reserved())) == ["HoldResolved", "OrderReleased"]
    assert await listed.when(short()) == []


@pytest.mark.parametrize(
    ("obstacle", "end", "code"), [(unroutable, routed, "NO_ROUTE"), (no_waybill, waybill, "NO_CARRIER")]
)
async def test_an_obstacle_on_the_way_ends_by_itself(listed: Scenario, obstacle, end, code) -> None:
    await listed.given(told(), paid(), reserved())
    [opened] = await listed.when(obstacle())
    assert opened.code == code
    assert (await state_of(listed))[0] == "on_hold"
    [closed] = await listed.when(end())
    assert (closed.hold_id, closed.outcome) == (opened.hold_id, "resolved")
    assert (await state_of(listed))[0] == "released"


async def test_part_payments_add_up_once_each(listed: Scenario) -> None:
    await listed.given(told())
    assert await listed.when(paid(1000, "P-1"), paid(1000, "P-1")) == []
    assert (await state_of(listed))[:2] == ("awaiting_payment", "part_paid")
    assert names(await listed.when(paid(1700, "P-2"))) == ["OrderPaid"]
    assert (await state_of(listed))[1] == "overpaid"


async def test_money_in_another_currency_is_kept_and_not_counted(listed: Scenario) -> None:
    await listed.given(told())
    [hold] = await listed.when(paid(2600, currency="USD"))
    assert hold.code == "AMOUNT_MISMATCH"
    order = await order_of(listed)
    assert (order["paid_minor"], order["payments"][0]["currency"]) == (0, "USD")


async def test_an_unpaid_order_is_cancelled_in_time(listed: Scenario) -> None:
    await listed.given(told("A-1"), told("A-2"), paid(no="A-2"))
    assert await listed.advance(timedelta(seconds=1799)) == []
    published = await listed.advance(timedelta(seconds=2))
    assert names(published) == ["OrderLinesCancelled", "OrderCancelled"]
    assert published[1].order_id == ident("A-1")
    assert await state_of(listed, "A-1") == ("cancelled", "unpaid", "cancelled", "cancelled")
    assert await listed.when(paid(2000, no="A-1")) == []
    late = await listed.when(paid(600, "P-2", no="A-1"))
    assert (names(late), late[0].paid_minor) == (["OrderPaid"], 2600)
    assert (await state_of(listed, "A-1"))[1] == "refund_due"
    assert await listed.when(paid(100, "P-3", no="A-1")) == []


async def test_an_order_for_nothing_needs_no_payment(listed: Scenario) -> None:
    free = intake.ChannelOrderLine(line_no="1", listing="tea", quantity=1, unit_price_minor=0)
    published = await listed.when(told(lines=(free,), discount_minor=0, shipping_minor=0, total_minor=0))
    assert names(published) == ["OrderPlaced", "OrderPaid"]
    assert await listed.advance(timedelta(days=1)) == []


async def test_cancelling_before_the_release_is_done_at_once(listed: Scenario) -> None:
    await listed.given(told(), paid())
    published = await listed.when(cancelled(_1=1))
    assert names(published) == ["OrderLinesCancelled"]
    assert published[0].lines == lines(_1=1)
    assert (await state_of(listed))[1:] == ("refund_due", "open", "part_cancelled")
    [released_] = await listed.when(reserved())
    assert released_.lines == lines(_1=1, _2=1)


async def test_cancelling_all_ends_the_order_and_its_holds(listed: Scenario) -> None:
    await listed.given(told(buyer_note="hello"))
    published = await listed.when(cancelled())
    assert names(published) == ["OrderLinesCancelled", "HoldResolved", "OrderCancelled"]
    assert published[1].outcome == "expired"
    assert await listed.when(cancelled(), cancelled("C-2"), reserved()) == []
    assert (await state_of(listed))[0] == "cancelled"


async def test_more_than_is_left_is_refused(listed: Scenario) -> None:
    await listed.given(told())
    [event] = await listed.when(cancelled(_1=5, _9=1))
    assert event.lines == lines(_1=2)
    [cancellation] = (await order_of(listed))["cancellations"]
    assert [(line["line_id"], line["stopped"], line["refused"]) for line in cancellation["lines"]] == [
        ("1", 2, 3),
        ("9", 0, 1),
    ]


async def test_after_the_release_fulfilment_is_asked(listed: Scenario) -> None:
    await listed.given(told(), paid(), reserved())
    [asked] = await listed.when(cancelled(_1=2))
    assert isinstance(asked, CancellationRequested)
    assert (await state_of(listed))[3] == "cancel_requested"
    [again] = await listed.when(cancelled("C-2"))
    assert again.lines == lines(_2=1), "what is being asked already is not asked twice"
    answer = answered(asked.cancellation_id, {"_1": 1}, {"_1": 1})
    [gone] = await listed.when(answer, answer)
    assert isinstance(gone, OrderLinesCancelled)
    assert gone.lines == lines(_1=1)
    published = await listed.when(answered(again.cancellation_id, {"_2": 1}, {}))
    assert names(published) == ["OrderLinesCancelled"]
    await listed.given(dispatched(_1=1))
    assert names(await listed.when(delivered())) == ["OrderCompleted"]


async def test_stopping_everything_after_the_release_cancels(listed: Scenario) -> None:
    await listed.given(told(), paid(), reserved())
    [asked] = await listed.when(cancelled())
    published = await listed.when(answered(asked.cancellation_id, {"_1": 2, "_2": 1}, {}))
    assert names(published) == ["OrderLinesCancelled", "OrderCancelled"]
    assert await state_of(listed) == ("cancelled", "refund_due", "cancelled", "cancelled")


async def test_what_has_shipped_cannot_be_cancelled(listed: Scenario) -> None:
    await listed.given(told(), paid(), reserved(), dispatched())
    assert await listed.when(cancelled()) == []
    assert (await state_of(listed))[3] == "none"


async def test_a_cancellation_before_its_order_is_never_placed(listed: Scenario) -> None:
    assert await listed.when(cancelled(), paid()) == []
    [ended, of_money] = await listed.when(told())
    assert isinstance(ended, OrderCancelled)
    assert ended.unplaced is not None
    unplaced = ended.unplaced
    assert (unplaced.channel_order_no, unplaced.cancelled_minor, unplaced.shipping_minor) == ("A-1", 2400, 200)
    assert isinstance(of_money, OrderPaid)
    assert await state_of(listed) == ("cancelled", "refund_due", "cancelled", "cancelled")


async def test_a_part_cancelled_before_its_order_is_left_out(listed: Scenario) -> None:
    await listed.given(cancelled("C-1", _1=1), cancelled("C-2", _2=1))
    [placed] = await listed.when(told())
    [line] = placed.lines
    assert (line.line_id, line.quantity, line.discount_minor, line.amount_minor) == ("1", 1, 40, 960)
    assert line.amount_minor + placed.cancelled_minor + placed.shipping_minor == placed.total_minor


async def test_the_same_telling_again_is_nothing(listed: Scenario) -> None:
    await listed.given(told())
    before = (await listed.client.get(f"/v1/orders/{ident()}/timeline")).json()
    assert await listed.when(told(), told()) == []
    assert (await listed.client.get(f"/v1/orders/{ident()}/timeline")).json() == before


async def test_an_older_version_is_only_kept(listed: Scenario) -> None:
    await listed.given(told(version=3))
    assert await listed.when(told(version=2, total_minor=1)) == []
    tellings = (await listed.client.get(f"/v1/orders/{ident()}/channel-order")).json()["tellings"]
    assert [telling["version"] for telling in tellings] == [3, 2]
    assert (await order_of(listed))["total_minor"] == 2600


async def test_a_newer_version_before_placing_replaces(scenario: Scenario) -> None:
    await scenario.given(mapped("1"), told())
    only_tea = intake.ChannelOrderLine(line_no="1", listing=LISTINGS["1"], quantity=3, unit_price_minor=1000)
    newer = told(version=2, lines=(only_tea,), discount_minor=0, total_minor=3200)
    published = await scenario.when(newer)
    assert names(published) == ["HoldResolved", "OrderPlaced"]
    assert [line.quantity for line in published[1].lines] == [3]
    assert [line["line_id"] for line in (await order_of(scenario))["lines"]] == ["1"]


async def test_a_newer_version_after_placing_amends_what_is_harmless(listed: Scenario) -> None:
    await listed.given(told())
    later = listed.now + timedelta(days=2)
    assert await listed.when(told(version=2, ship_by=later)) == []
    await listed.given(paid())
    [released_] = await listed.when(reserved())
    assert released_.ship_by == later


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2, "ship_to": Destination(country="FR")},
        {"version": 2, "total_minor": 2601},
        {"version": 2, "discount_minor": 99},
        {"version": 1, "delivery_tier": "express"},
    ],
)
async def test_a_telling_that_differs_after_placing_is_a_question(listed: Scenario, change: dict) -> None:
    await listed.given(told())
    [hold] = await listed.when(told(**change))
    assert (hold.code, hold.blocks) == ("ORDER_CHANGED", ("release", "ship"))
    assert f"version {change['version']}" in hold.detail
    assert names(await listed.when(paid(), reserved())) == ["OrderPaid"]


async def test_a_line_number_told_twice_becomes_a_dead_letter(listed: Scenario) -> None:
    record = listed.record(told())
    document = json.loads(record.value or b"")
    document["order"]["lines"] = [document["order"]["lines"][0]] * 2
    broken = record._replace(value=json.dumps(document).encode())
    with pytest.raises(AssertionError, match=r"order\.lines: value_error"):
        await listed.deliver(broken, listed.record(told("A-2")))
    assert (await state_of(listed, "A-2"))[0] == "awaiting_payment"


async def test_the_timeline_shows_what_led_to_what(listed: Scenario) -> None:
    await listed.given(paid(), told(), reserved(), routed(), accepted())
    entries = (await listed.client.get(f"/v1/orders/{ident()}/timeline")).json()["items"]
    assert [(entry["kind"], entry["led_to"]) for entry in entries] == [
        ("ChannelOrderReceived", ["OrderPlaced", "OrderPaid"]),
        ("ChannelPaymentReceived", []),
        ("StockReserved", ["OrderReleased"]),
        ("OrderRouted", []),
        ("ShipmentAccepted", []),
    ]
    assert entries[1]["detail"]["early"] is True
