"""What other services know that routing needs: stock at the nodes, facts of SKUs."""

from oms_events.contracts.catalog import SkuDefined
from oms_events.contracts.inventory import NodeStockChanged
from oms_events.envelope import Batch
from oms_events.runtime.work import Work
from oms_fulfilment.adapters import demands
from oms_fulfilment.adapters import sourcing as store
from oms_fulfilment.app.sourcing import REROUTE
from oms_fulfilment.domain.network import GUARDED_FLAGS


async def on_node_stock_changed(changed: Batch[NodeStockChanged], work: Work) -> None:
    """Take over the newest numbers, and try orders again that wait for them."""
    newest: dict[str, NodeStockChanged] = {}
    for item in changed:
        known = newest.get(item.event.sku)
        if known is None or known.change_no < item.event.change_no:
            newest[item.event.sku] = item.event
    available = {(sku, at.node): at.available for sku, news in newest.items() for at in news.nodes}
    await store.set_stock(work.connection, {sku: news.change_no for sku, news in newest.items()}, available)
    arrived = {sku for (sku, _), quantity in available.items() if quantity > 0}
    for order_id in await demands.waiting_for(work.connection, arrived):
        work.schedule(REROUTE, str(order_id), work.now)


async def on_sku_defined(defined: Batch[SkuDefined], work: Work) -> None:
    """Remember weights and what not every node may ship."""
    newest = {item.event.sku: item.event for item in defined}
    await store.set_facts(
        work.connection,
        {sku: (fact.weight_g, sorted(GUARDED_FLAGS.intersection(fact.flags))) for sku, fact in newest.items()},
    )
