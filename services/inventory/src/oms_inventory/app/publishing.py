"""Telling shops and fulfilment what there is: on meaningful change, whatever the rate of orders."""

from oms_events.contracts.catalog import ListingMapped, ListingUnmapped
from oms_events.contracts.inventory import ChannelStockChanged, NodeAvailability, NodeStockChanged
from oms_events.envelope import Batch, origin
from oms_events.runtime.work import Work
from oms_inventory.adapters import publishing, shelf
from oms_inventory.adapters.publishing import Listing, Nodes, ToldShop
from oms_inventory.domain.channel import Shop
from oms_inventory.domain.publishing import next_change_no, worth_telling
from oms_inventory.domain.stock import Pool

_PAGE = 500


async def on_listing_mapped(mapped: Batch[ListingMapped], work: Work) -> None:
    """A shop sells the SKU: tell it how many."""
    listings = [
        Listing(
            item.event.listing_key,
            Shop(item.event.channel, item.event.shop),
            item.event.sku,
            _sequence(item.meta.sequence),
        )
        for item in mapped
    ]
    await publishing.save_listings(work.connection, listings)
    await publishing.compare_again(work.connection, [item.event.sku for item in mapped])


async def on_listing_unmapped(unmapped: Batch[ListingUnmapped], work: Work) -> None:
    """A shop's item sells nothing known: nobody has to be told."""
    listings = [
        Listing(item.event.listing_key, Shop(item.event.channel, item.event.shop), None, _sequence(item.meta.sequence))
        for item in unmapped
    ]
    await publishing.save_listings(work.connection, listings)


def _sequence(sequence: int | None) -> int:
    return sequence or 0


async def tell_changed_stock(work: Work) -> None:
    """Job: compare what others were told with what is true, for SKUs that moved since, and tell what matters."""
    # Before any pool is locked: see `load_shares`.
    await shelf.load_shares(work.connection, (), ())
    pools = await publishing.take_dirty(work.connection, now=work.now, page=_PAGE)
    if pools:
        await _tell_shops(work, pools)
        await _tell_nodes(work, pools)


async def _tell_shops(work: Work, pools: dict[str, Pool]) -> None:
    listed = await publishing.told_shops(work.connection, pools)
    shares = await shelf.load_shares(work.connection, pools, {told.shop for told in listed})
    news = []
    for told in listed:
        now = shares.sellable(told.shop, told.sku, pools[told.sku])
        if worth_telling(told.sellable, now):
            news.append(ToldShop(told.sku, told.shop, now, next_change_no(told.change_no, work.now)))
    await publishing.tell_shops(work.connection, news)
    for sku, (channel, shop), sellable, change_no in news:
        assert sellable is not None
        key = f"{channel}/{shop}/{sku}"
        event = ChannelStockChanged(
            channel_stock_key=key, channel=channel, shop=shop, sku=sku, sellable=sellable, change_no=change_no
        )
        work.emit(
            event, cause=origin("/oms/inventory", "channel-stock", key, str(change_no), at=work.now), sequence=change_no
        )


async def _tell_nodes(work: Work, pools: dict[str, Pool]) -> None:
    known = await publishing.told_nodes(work.connection, pools)
    news: dict[str, Nodes] = {}
    for sku, available in (await publishing.nodes(work.connection, pools)).items():
        told = known.get(sku, Nodes({}, 0))
        if any(worth_telling(told.available.get(node), now) for node, now in available.items()):
            news[sku] = Nodes(available, next_change_no(told.change_no, work.now))
    await publishing.tell_nodes(work.connection, news)
    for sku, (available, change_no) in news.items():
        nodes = tuple(NodeAvailability(node=node, available=now) for node, now in available.items())
        event = NodeStockChanged(sku=sku, nodes=nodes, change_no=change_no)
        work.emit(
            event, cause=origin("/oms/inventory", "node-stock", sku, str(change_no), at=work.now), sequence=change_no
        )
