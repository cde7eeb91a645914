"""What operators ask for."""

from oms_events.envelope import origin
from oms_events.runtime.work import Work
from oms_inventory.adapters import publishing, reports, rules, shelf
from oms_inventory.app import waiting
from oms_inventory.domain.channel import ChannelRule, Shop
from oms_inventory.domain.stock import Cause


class ReferenceTaken(Exception):
    """The reference already stands for another adjustment."""


async def adjust_stock(work: Work, *, reference: str, node: str, sku: str, quantity: int, reason: str) -> int:
    """Change on hand by a signed quantity; answers what it is then. The same reference again changes nothing.

    Raises ReferenceTaken when the reference was used for something else.
    """
    stock = await shelf.load(work.connection, [sku], cells=[(sku, node)], create=True)
    earlier = await reports.adjust(
        work.connection, reference=reference, node=node, sku=sku, quantity=quantity, reason=reason
    )
    if earlier is not None:
        if earlier != (node, sku, quantity, reason):
            raise ReferenceTaken(reference)
        return stock.cell(sku, node).on_hand
    event_id = origin("/oms/inventory", "adjustment", reference, at=work.now).id
    stock.post(Cause("adjustment", event_id, work.now, document=reference), sku, node=node, on_hand=quantity)
    await shelf.save(work.connection, stock)
    await waiting.serve(work, stock.grown())
    return stock.cell(sku, node).on_hand


async def set_safety_stock(work: Work, *, node: str, sku: str, quantity: int) -> None:
    """Keep so many of a node's pieces out of the pool."""
    stock = await shelf.load(work.connection, [sku], cells=[(sku, node)], create=True)
    stock.protect(sku, node, quantity)
    await shelf.save(work.connection, stock)
    await waiting.serve(work, stock.grown())


async def set_channel_rule(work: Work, shop: Shop, sku: str, rule: ChannelRule) -> None:
    """Give a shop a share of the pool: of every SKU, or of one."""
    await rules.save(work.connection, shop, sku, rule)
    await publishing.compare_shop_again(work.connection, shop)
