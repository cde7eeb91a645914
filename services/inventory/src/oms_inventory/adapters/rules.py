"""Channel rules as written by operators."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_inventory.domain.channel import ChannelRule, Shop

# Batches that reserve hold a lock on the rules from their first reading to their commit. This one waits for them
# and keeps new ones out, so that the counts below miss nobody.
_ALONE = text("lock table channel_rules in access exclusive mode")
_SAVE = text(
    """
    insert into channel_rules (channel, shop, sku, percent, plus, minimum, maximum)
    values (:channel, :shop, :sku, :percent, :plus, :minimum, :maximum)
    on conflict (channel, shop, sku) do update set
        percent = excluded.percent, plus = excluded.plus, minimum = excluded.minimum, maximum = excluded.maximum,
        updated_at = now()
    """
)
_COUNT = text(
    """
    insert into shop_reserved (channel, shop, sku, reserved)
    select :channel, :shop, line.sku, sum(line.reserved)
      from reservation_lines line join reservations on reservations.order_id = line.order_id
     where line.reserved > 0 and line.ordered > line.cancelled + line.consumed
       and channel = :channel and shop = :shop and (:sku = '' or line.sku = :sku)
     group by line.sku
    on conflict (channel, shop, sku) do update set reserved = excluded.reserved
    """
)


async def save(connection: AsyncConnection, shop: Shop, sku: str, rule: ChannelRule) -> None:
    """Write the rule of a shop (empty SKU) or of one SKU, and count what the shop has reserved under it."""
    key = {"channel": shop.channel, "shop": shop.shop, "sku": sku}
    await connection.execute(_ALONE)
    await connection.execute(_SAVE, key | rule._asdict())
    await connection.execute(_COUNT, key)
