"""What others are told of stock."""

from datetime import timedelta

from sqlalchemy import text

from oms_events.contracts.catalog import ListingUnmapped
from oms_events.contracts.inventory import ChannelStockChanged, NodeStockChanged
from oms_events.testing.scenario import START, Scenario, only

from .stories import counted, listed, placed

AT_START = int(START.timestamp() * 1000)
"""The number of a first change, when nothing was told before."""


async def test_tells_shops_and_fulfilment_when_first_known(scenario: Scenario) -> None:
    await scenario.given(listed("A"), listed("A", shop="S2"), listed("A", listing="again"))
    await scenario.given(counted("A", 10), counted("A", 5, node="N2"))
    published = await scenario.run_jobs()
    assert [(e.shop, e.sellable, e.change_no) for e in only(published, ChannelStockChanged)] == [
        ("S1", 15, AT_START),
        ("S2", 15, AT_START),
    ]
    (nodes,) = only(published, NodeStockChanged)
    assert [(n.node, n.available) for n in nodes.nodes] == [("N1", 10), ("N2", 5)]
    assert await scenario.run_jobs() == []


async def test_numbers_go_on_where_the_database_has_forgotten_them(scenario: Scenario) -> None:
    """As after a restore from a backup that was made before the SKU was told of."""
    await scenario.given(listed("A"), counted("A", 100))
    before = await scenario.run_jobs()
    async with scenario.transaction() as work:
        for forget in ("delete from node_stock", "delete from channel_stock", "update pools set dirty = true"):
            await work.connection.execute(text(forget))
    await scenario.advance(timedelta(seconds=1))
    after = await scenario.run_jobs()
    for told in (ChannelStockChanged, NodeStockChanged):
        assert only(after, told)[0].change_no > only(before, told)[0].change_no


async def test_a_listing_of_nothing_is_told_zero(scenario: Scenario) -> None:
    await scenario.given(listed("A"))
    assert [(e.sku, e.sellable) for e in only(await scenario.run_jobs(), ChannelStockChanged)] == [("A", 0)]


async def test_small_changes_are_not_told_until_they_matter(scenario: Scenario) -> None:
    await scenario.given(listed("A"), counted("A", 100))
    await scenario.run_jobs()
    await scenario.given(placed(("A", 9)))
    assert await scenario.run_jobs() == []
    await scenario.given(placed(("A", 1)))
    assert [(e.sellable, e.change_no) for e in only(await scenario.run_jobs(), ChannelStockChanged)] == [
        (90, AT_START + 1)
    ]
    await scenario.given(placed(("A", 90)))
    assert [e.sellable for e in only(await scenario.run_jobs(), ChannelStockChanged)] == [0]
    await scenario.given(counted("A", 1, at=START, movement=True))
    assert [e.sellable for e in only(await scenario.run_jobs(), ChannelStockChanged)] == [1]


async def test_a_shop_is_told_its_share_and_of_a_new_one(scenario: Scenario) -> None:
    await scenario.given(listed("A"), counted("A", 100))
    await scenario.run_jobs()
    await scenario.client.put("/v1/channel-rules/web/S1", json={"percent": 30})
    assert [e.sellable for e in only(await scenario.run_jobs(), ChannelStockChanged)] == [30]
    await scenario.client.put("/v1/channel-rules/web/S1", params={"sku": "A"}, json={"percent": 10, "plus": 2})
    assert [e.sellable for e in only(await scenario.run_jobs(), ChannelStockChanged)] == [12]


async def test_an_unmapped_listing_is_told_nothing(scenario: Scenario) -> None:
    listing = listed("A")
    await scenario.given(listing, counted("A", 100))
    await scenario.run_jobs()
    gone = ListingUnmapped(
        listing_key=listing.listing_key, channel=listing.channel, shop=listing.shop, listing=listing.listing
    )
    await scenario.given(gone, placed(("A", 100)))
    assert only(await scenario.run_jobs(), ChannelStockChanged) == []
