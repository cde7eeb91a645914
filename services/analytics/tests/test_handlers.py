"""What events of an order come to, through the database."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from oms_analytics.app.working_out import work_out_changed
from oms_events.registry import Event
from oms_events.runtime.work import Work
from oms_events.testing.scenario import Scenario

from .stories import MARCH, Story, catalog, cost, rate

FEES = (rate("commission", 150_000), rate("payment_fee", 29_000, fixed=30))
COSTS = (cost("MUG", 400), cost("TEA", 120))


async def hear(scenario: Scenario, *events: Event) -> None:
    """Let events have happened and be worked out."""
    if events:
        await scenario.given(*events)
    await scenario.run_jobs()


async def times_read(work: Work, table: str) -> int:
    """How often this connection has looked into a table, by index or from end to end."""
    counted = "select seq_scan + coalesce(idx_scan, 0) from pg_stat_xact_user_tables where relname = :table"
    return int((await work.connection.execute(text(counted), {"table": table})).scalar_one())


async def get(scenario: Scenario, path: str, **params: Any) -> Any:
    response = await scenario.client.get(path, params=params)
    assert response.status_code == 200, response.text
    return response.json()


async def versions(scenario: Scenario, story: Story) -> dict[str, dict[str, Any]]:
    order = await get(scenario, f"/v1/profit/orders/{story.order_id}")
    return {view["version"]: view for view in order["versions"] if view["currency"] == story.currency}


def named(view: dict[str, Any]) -> dict[str, int]:
    """Components that are not zero."""
    return {
        name.removesuffix("_minor"): amount
        for name, amount in view.items()
        if name.endswith("_minor") and "_sum_" not in name and amount
    }


async def test_an_estimate_is_made_of_the_order_its_fees_its_freight_and_its_costs(scenario: Scenario) -> None:
    story = Story()
    await hear(scenario, *COSTS, *FEES, story.placed(), story.waybill())
    assert named((await versions(scenario, story))["estimated"]) == {
        "goods": 3500,
        "merchant_discount": -201,
        "shipping": 399,
        "commission": -495,
        "payment_fee": -137,
        "freight": -350,
        "cost_of_goods": -1160,
        "profit": 1556,
    }


async def test_what_is_accrued_is_what_settlement_expects_and_what_left(scenario: Scenario) -> None:
    story = Story()
    await hear(scenario, *COSTS, story.placed(), story.waybill())
    assert named((await versions(scenario, story))["accrued"]) == {}
    await hear(scenario, story.dispatched(), story.accrued(goods=3299, shipping=399, commission=-500, payment_fee=-130))
    assert named((await versions(scenario, story))["accrued"]) == {
        "goods": 3500,
        "merchant_discount": -201,
        "shipping": 399,
        "commission": -500,
        "payment_fee": -130,
        "freight": -350,
        "cost_of_goods": -1160,
        "profit": 1558,
    }


async def test_what_a_statement_paid_takes_the_place_of_what_was_accrued(scenario: Scenario) -> None:
    story = Story()
    await hear(
        scenario,
        *COSTS,
        story.placed(),
        story.dispatched(),
        story.accrued(goods=3299, commission=-500, payment_fee=-130),
        story.matched(goods=3299),
        story.differs("commission", -500, -520),
    )
    settled = (await versions(scenario, story))["settled"]
    assert named(settled) == {
        "goods": 3500,
        "merchant_discount": -201,
        "commission": -520,
        "payment_fee": -130,
        "cost_of_goods": -1160,
        "profit": 1489,
    }
    assert (settled["expected_sum_minor"], settled["answered_sum_minor"]) == (3929, 3799)
    assert settled["settled_share"] == pytest.approx(3799 / 3929, abs=1e-6)


async def test_what_was_paid_for_pieces_that_wait_is_no_income_yet(scenario: Scenario) -> None:
    story = Story()
    await hear(
        scenario,
        *COSTS,
        story.placed(),
        story.paid(),
        story.accrued("paid", goods=3299, shipping=399),
        story.matched(goods=3299, shipping=399),
    )
    for version in ("accrued", "settled"):
        assert named((await versions(scenario, story))[version]) == {}
    settled = (await versions(scenario, story))["settled"]
    assert (settled["expected_sum_minor"], settled["settled_share"]) == (3698, 1.0)
    assert (await get(scenario, "/v1/profit", by="shop", version="accrued"))["sums"][0]["profit_minor"] == 0

    await hear(scenario, story.dispatched({1: 1, 2: 2}))
    part = {"goods": 2000, "merchant_discount": -101, "shipping": 399, "cost_of_goods": -640, "profit": 1658}
    for version in ("accrued", "settled"):
        assert named((await versions(scenario, story))[version]) == part
    lines = (await versions(scenario, story))["settled"]["lines"]
    assert [(line["goods_minor"], line["cost_of_goods_minor"]) for line in lines] == [(1000, -400), (1000, -240)]

    await hear(scenario, replace(story, shipment_id=uuid4()).dispatched({1: 1, 2: 1}))
    whole = {"goods": 3500, "merchant_discount": -201, "shipping": 399, "cost_of_goods": -1160, "profit": 2538}
    for version in ("accrued", "settled"):
        assert named((await versions(scenario, story))[version]) == whole


async def test_a_write_off_shows_the_loss_and_loses_it_once(scenario: Scenario) -> None:
    story = Story()
    short, missing = story.differs("goods", 3299, 3290), story.differs("shipping", 399, 0, on_statement=False)
    accrued = story.accrued(goods=3299, shipping=399)
    await hear(scenario, story.placed(), story.dispatched(), accrued, short, missing)
    assert (await versions(scenario, story))["settled"]["profit_minor"] == 3290 + 399
    await hear(scenario, story.written_off("goods", -9))
    settled = (await versions(scenario, story))["settled"]
    assert (settled["write_offs_minor"], settled["profit_minor"]) == (-9, 3290 + 399)
    await hear(scenario, story.written_off("shipping", -399))
    settled = (await versions(scenario, story))["settled"]
    assert (settled["write_offs_minor"], settled["profit_minor"]) == (-408, 3290)


async def test_what_is_cancelled_is_not_estimated_and_what_is_not_sent_costs_nothing(scenario: Scenario) -> None:
    story = Story()
    await hear(scenario, *COSTS, story.placed(), story.cancelled(1, 1), story.dispatched({1: 1, 2: 2}))
    views = await versions(scenario, story)
    assert named(views["estimated"]) == {
        "goods": 2500,
        "merchant_discount": -100,
        "shipping": 399,
        "cost_of_goods": -760,
        "profit": 2039,
    }
    assert named(views["accrued"]) == {"cost_of_goods": -640, "profit": -640}


async def test_a_cancelled_order_is_worth_nothing_but_counts(scenario: Scenario) -> None:
    story = Story()
    await hear(scenario, *COSTS, *FEES, story.placed(), story.waybill(), story.called_off())
    await hear(scenario, story.cancelled(1, 2), story.cancelled(2, 3))
    assert named((await versions(scenario, story))["estimated"]) == {}
    [currency] = (await get(scenario, "/v1/overview"))["currencies"]
    assert (currency["orders"], currency["cancelled_orders"], currency["sales_minor"]) == (1, 1, 0)


async def test_costs_count_from_their_time_on_and_are_corrected_backwards(scenario: Scenario) -> None:
    story = Story(lines=(("MUG", 1, 1000, 0),))
    earlier = Story(lines=story.lines, at=MARCH - timedelta(days=30))
    await hear(scenario, story.placed(), earlier.placed())
    estimate = (await versions(scenario, story))["estimated"]
    assert (estimate["cost_of_goods_minor"], estimate["lines"][0]["units_without_cost"]) == (0, 1)
    await hear(scenario, cost("MUG", 400), cost("MUG", 450, since=MARCH - timedelta(days=1)))
    assert (await versions(scenario, story))["estimated"]["cost_of_goods_minor"] == -450
    assert (await versions(scenario, earlier))["estimated"]["cost_of_goods_minor"] == -400
    [total] = (await get(scenario, "/v1/profit", by="shop", version="estimated"))["sums"]
    assert (total["cost_of_goods_minor"], total["units_without_cost"]) == (-850, 0)


async def test_a_new_rate_changes_estimates_of_its_channel(scenario: Scenario) -> None:
    story, other = Story(lines=(("MUG", 1, 1000, 0),), shipping=0), Story(channel="olist")
    await hear(scenario, story.placed(), other.placed(), rate("commission", 100_000))
    await hear(scenario, rate("commission", 200_000, shop="uk"))
    await hear(scenario)
    rows = (await get(scenario, "/v1/profit", by="channel", version="estimated", sort="name"))["rows"]
    assert [(row["channel"], row["commission_minor"]) for row in rows] == [("olist", 0), ("uci", -200)]


async def test_stored_orders_are_not_read_where_nothing_is_new(scenario: Scenario) -> None:
    await hear(scenario, *COSTS, Story().placed())
    async with scenario.transaction() as work:
        # As the planner reads a large table where it cannot know that no row will do.
        await work.connection.execute(text("set local enable_indexscan = off"))
        await work.connection.execute(text("set local enable_bitmapscan = off"))
        before = await times_read(work, "order_profits")
        assert await work_out_changed(work) == (0, False)
        assert await times_read(work, "order_profits") == before


async def test_currencies_are_never_mixed(scenario: Scenario) -> None:
    story = Story(currency="EUR")
    await hear(scenario, *COSTS, story.placed(), story.waybill())
    sums = (await get(scenario, "/v1/profit", by="shop", version="estimated"))["sums"]
    assert [(row["currency"], row["orders"], row["profit_minor"]) for row in sums] == [
        ("EUR", 1, 3698),
        ("GBP", 0, -1510),
    ]


async def test_promises_shortages_and_holds_are_counted(scenario: Scenario) -> None:
    story, hold, other = Story(), uuid4(), uuid4()
    # Resolved before it is heard to be opened: topics and batches come in any order.
    await scenario.given(story.hold_resolved(hold))
    await scenario.given(story.hold_opened(hold), story.hold_opened(other, "RISK"))
    await hear(scenario, story.placed(), story.rejected(), story.rejected(), story.dispatched())
    await hear(scenario, story.promise_broken(), story.delivered(late_by_s=60))
    overview = await get(scenario, "/v1/overview")
    [currency] = overview["currencies"]
    counted = {name: currency[name] for name in ("rejections", "shipments", "delivered", "late")}
    assert counted == {"rejections": 2, "shipments": 1, "delivered": 1, "late": 1}
    assert overview["holds"]["by_code"] == [{"code": "RISK", "open": 1}]
    assert overview["holds"]["series"][-1]["open"] == 1
    assert overview["holds"]["series"][-2]["open"] == 0


async def test_views_add_up_to_the_same_whatever_the_axis(scenario: Scenario) -> None:
    stories = [
        Story(shop=shop, at=MARCH + timedelta(days=day), shipping=331 + day) for shop in ("uk", "de") for day in (0, 1)
    ]
    events = [event for story in stories for event in (story.placed(), story.dispatched(), story.waybill(cost=353))]
    await hear(
        scenario, *catalog(), *COSTS, *FEES, *events, *(story.accrued(goods=3299, other=-7) for story in stories)
    )
    for version in ("estimated", "accrued", "settled"):
        found: list[Sequence[dict[str, Any]]] = []
        for by, rows in (("shop", 2), ("channel", 1), ("sku", 2), ("category", 2), ("day", 2)):
            view = await get(scenario, "/v1/profit", by=by, version=version)
            assert len(view["rows"]) == view["rows_found"] == rows
            assert not view["waiting"]
            names = [name for name in view["sums"][0] if name.endswith("_minor") and "_sum_" not in name]
            sums = {name: sum(row[name] for row in view["rows"]) for name in names}
            assert sums == {name: view["sums"][0][name] for name in names}, by
            found.append(view["sums"])
        assert all(sums == found[0] for sums in found)


async def test_a_range_of_days_a_shop_and_a_limit_narrow_the_view(scenario: Scenario) -> None:
    await hear(
        scenario, *(Story(at=MARCH + timedelta(days=day)).placed() for day in range(4)), Story(shop="de").placed()
    )
    params = {"by": "day", "version": "estimated", "from": "2026-03-02", "to": "2026-03-03", "shop": "uk"}
    view = await get(scenario, "/v1/profit", **params, sort="name", limit=1)
    assert [(row["day"], row["orders"]) for row in view["rows"]] == [("2026-03-02", 1)]
    assert (view["rows_found"], view["sums"][0]["orders"]) == (2, 2)


async def test_orders_are_listed_from_the_worst_on_page_by_page(scenario: Scenario) -> None:
    stories = [Story(lines=(("MUG", 1, price, 0),), shipping=0) for price in (500, 100, 300, 100)]
    await hear(scenario, cost("MUG", 200), *(story.placed() for story in stories))
    listed, cursor = [], None
    while cursor is not None or not listed:
        params = {"currency": "GBP", "version": "estimated", "limit": 3} | ({"cursor": cursor} if cursor else {})
        page = await get(scenario, "/v1/profit/orders", **params)
        listed += page["items"]
        cursor = page["next_cursor"]
    assert [order["estimated_minor"] for order in listed] == [-100, -100, 100, 300]
    assert len({order["order_id"] for order in listed}) == 4


async def test_an_order_nobody_placed_yet_is_unknown_until_somebody_does(scenario: Scenario) -> None:
    story = Story()
    await hear(scenario, story.accrued(goods=3299), story.dispatched())
    assert (await scenario.client.get(f"/v1/profit/orders/{story.order_id}")).status_code == 404
    await hear(scenario, story.placed())
    assert (await versions(scenario, story))["accrued"]["goods_minor"] == 3500


async def test_nothing_personal_is_kept(scenario: Scenario) -> None:
    story = Story()
    await hear(scenario, story.placed(), story.waybill(), story.dispatched())
    shown = str(await get(scenario, f"/v1/profit/orders/{story.order_id}"))
    assert "tok-1" not in shown
    assert "LS1" not in shown


async def test_an_older_version_never_replaces_a_newer_one(scenario: Scenario) -> None:
    story = Story(lines=(("MUG", 1, 1000, 0),))
    newer, older = scenario.record(cost("MUG", 300)), scenario.record(cost("MUG", 400))
    numbered = [
        record._replace(headers=(*record.headers, ("ce_sequence", number)))
        for record, number in ((newer, b"2"), (older, b"1"))
    ]
    for record in numbered:
        await scenario.deliver(record)
    await hear(scenario, story.placed())
    assert (await versions(scenario, story))["estimated"]["cost_of_goods_minor"] == -300


async def test_a_payment_in_another_currency_is_no_answer(scenario: Scenario) -> None:
    story = Story()
    paid = story.differs("goods", 0, 3900).model_copy(update={"currency": "EUR", "reason": "FX_SETTLEMENT"})
    await hear(scenario, story.placed(), story.accrued(goods=3299), paid)
    settled = (await versions(scenario, story))["settled"]
    assert (settled["profit_minor"], settled["settled_share"]) == (0, 0.0)
    await hear(scenario, story.dispatched())
    settled = (await versions(scenario, story))["settled"]
    assert (settled["profit_minor"], settled["settled_share"]) == (3299, 0.0)


async def test_the_newest_word_of_statements_on_a_component_counts(scenario: Scenario) -> None:
    story = Story()
    await hear(scenario, story.placed(), story.dispatched(), story.accrued(goods=3299))
    await hear(scenario, story.differs("goods", 3299, 1000))
    assert (await versions(scenario, story))["settled"]["profit_minor"] == 1000
    scenario.now += timedelta(days=1)
    await hear(scenario, story.matched(goods=3299))
    assert (await versions(scenario, story))["settled"]["profit_minor"] == 3299
