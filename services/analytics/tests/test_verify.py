"""The books are looked over: right ones are found right, and any number that is changed is found."""

import argparse
import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from oms_analytics.app import verification, working_out
from oms_analytics.entrypoints import commands
from oms_events.testing.scenario import Scenario

from .stories import Story, catalog, cost, rate

NONE = argparse.Namespace()


async def found(scenario: Scenario) -> list[str]:
    async with scenario.runtime.connection() as connection:
        return [difference async for difference in verification.differences(connection)]


async def exported(scenario: Scenario, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert await commands.export(scenario.runtime, NONE) == 0
    return capsys.readouterr().out


@pytest.fixture
async def books(scenario: Scenario) -> Scenario:
    stories = [Story(shop=shop) for shop in ("uk", "de", "uk")]
    events: list[Any] = [*catalog(), cost("MUG", 400), rate("commission", 150_000)]
    for story in stories:
        events += [story.placed(), story.waybill(), story.dispatched(), story.accrued(goods=story.goods, other=-3)]
    await scenario.given(*events, stories[0].matched(goods=stories[0].goods), stories[1].cancelled(1, 1))
    await scenario.run_jobs()
    return scenario


async def test_books_that_were_kept_are_right(books: Scenario, capsys: pytest.CaptureFixture[str]) -> None:
    assert await found(books) == []
    assert await commands.verify(books.runtime, NONE) == 0


GHOST = """
    insert into shop_days
    select 'accrued', day - 1, currency, channel, 'ghost', orders, units, units_without_cost, goods_minor,
           0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 from shop_days where version = 'estimated' and shop = 'de'
    """
OTHER_FACT = """
    update facts set document = cast(replace(cast(document as text), '"other",-3', '"other",-4') as json)
     where event_id = (select cast(min(cast(event_id as text)) as uuid) from facts where kind = 'AccrualPosted')
    """


@pytest.mark.parametrize(
    "tampered",
    [
        "update shop_days set goods_minor = goods_minor + 1 where version = 'settled' and shop = 'de'",
        "update sku_days set units = units - 1 where version = 'estimated' and sku = 'TEA' and shop = 'de'",
        "delete from shop_hours where shop = 'uk'",
        GHOST,
        "update order_profits set accrued_minor = 0 where shop = 'de'",
        OTHER_FACT,
    ],
)
async def test_a_changed_number_is_found(books: Scenario, tampered: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with books.transaction() as work:
        assert (await work.connection.execute(text(tampered))).rowcount > 0
    assert len(await found(books)) == 1
    assert await commands.verify(books.runtime, NONE) == 1


async def test_a_lost_order_is_found(books: Scenario) -> None:
    async with books.transaction() as work:
        await work.connection.execute(text("delete from order_profits where shop = 'de'"))
    differences = await found(books)
    assert sum("never worked out" in line for line in differences) == 1
    assert sum(line.startswith(("shop_days", "sku_days", "shop_hours")) for line in differences) > 1


async def test_what_waits_to_be_worked_out_is_no_difference(books: Scenario) -> None:
    story = Story()
    await books.given(story.placed(), cost("MUG", 1))
    assert await found(books) == []
    await books.run_jobs()
    assert await found(books) == []


async def test_told_in_another_order_and_more_often_the_export_is_the_same_to_the_byte(
    books: Scenario, capsys: pytest.CaptureFixture[str]
) -> None:
    story = Story()
    told = [
        story.placed(),
        story.accrued(goods=story.goods),
        story.dispatched(),
        story.cancelled(2, 1),
        cost("TEA", 90),
    ]
    records = [books.record(event) for event in told]
    for record in records:
        await books.deliver(record)
        await books.run_jobs()
    before = await exported(books, capsys)
    async with books.transaction() as work:
        await work.connection.execute(text("truncate inbox"))
        await work.connection.execute(
            text("delete from facts where order_id = :order_id"), {"order_id": story.order_id}
        )
        await work.connection.execute(text("delete from costs where sku = 'TEA'"))
        await work.connection.execute(
            text("insert into changed_orders (order_ids) values (array[cast(:order_id as uuid)])"),
            {"order_id": story.order_id},
        )
    await books.deliver(*reversed(records), *records[:2])
    await books.run_jobs()
    assert await exported(books, capsys) == before
    assert await found(books) == []


async def test_two_who_work_out_the_same_orders_add_each_once(books: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working_out, "_PAGE", 1)
    stories = [Story() for _ in range(6)]
    await books.given(*(story.placed() for story in stories))
    await books.given(*(story.dispatched() for story in stories))

    async def one_worker() -> int:
        async with books.transaction() as work:
            return (await working_out.work_out_changed(work)).orders

    assert sorted(await asyncio.gather(one_worker(), one_worker())) == [0, 6]
    assert await found(books) == []


async def test_what_there_is_no_time_for_is_left_for_the_next_time(
    books: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working_out, "_PAGE", 2)
    monkeypatch.setattr(working_out, "_LONGEST_S", 0.0)
    await books.given(*(Story().placed() for _ in range(5)))
    done: list[working_out.Run] = []
    while not done or done[-1].more:
        async with books.transaction() as work:
            done.append(await working_out.work_out_changed(work))
        assert await found(books) == []
    assert done == [(2, True), (2, True), (1, False)]
