"""The catalog's listings as orders need them, and the orders that wait for one."""

from collections.abc import Collection, Iterable, Mapping
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_orders.domain.holds import AuditRule

Shop = tuple[str, str]
Listing = tuple[str, str, str]
"""Channel, shop, and the shop's own name of the item."""

_FIND = text(
    """
    select channel, shop, listing, sku
      from listings join unnest(cast(:channels as text[]), cast(:shops as text[]), cast(:listings as text[]))
        as wanted(channel, shop, listing) using (channel, shop, listing)
     where sku is not null
    """
)
_WANT = text(
    """
    insert into listings (channel, shop, listing)
    select * from unnest(cast(:channels as text[]), cast(:shops as text[]), cast(:listings as text[]))
    on conflict do nothing
    """
)
_FIND_LOCKED = text(
    """
    select channel, shop, listing, sku
      from listings join unnest(cast(:channels as text[]), cast(:shops as text[]), cast(:listings as text[]))
        as wanted(channel, shop, listing) using (channel, shop, listing)
     order by channel collate "C", shop collate "C", listing collate "C" for share of listings
    """
)
_SAVE = text(
    """
    insert into listings (channel, shop, listing, sku)
    select * from unnest(cast(:channels as text[]), cast(:shops as text[]), cast(:listings as text[]),
        cast(:skus as text[]))
    on conflict (channel, shop, listing) do update set sku = excluded.sku
    """
)
_WAITING = text(
    """
    select holds.order_id, orders.channel, orders.shop, holds.detail as listing, listings.sku
      from holds
      join orders on orders.order_id = holds.order_id
      join listings on listings.channel = orders.channel and listings.shop = orders.shop
                   and listings.listing = holds.detail
     where holds.state = 'OPEN' and holds.code = 'LISTING_UNMAPPED' and listings.sku is not null
     limit :page
    """
)
_AUDIT_RULES = text(
    """
    select channel, shop, notes, words from audit_rules
      join unnest(cast(:channels as text[]), cast(:shops as text[])) as wanted(channel, shop) using (channel, shop)
    """
)
_SAVE_AUDIT_RULE = text(
    """
    insert into audit_rules (channel, shop, notes, words) values (:channel, :shop, :notes, cast(:words as text[]))
    on conflict (channel, shop) do update set notes = excluded.notes, words = excluded.words
    """
)


async def find(connection: AsyncConnection, wanted: Collection[Listing]) -> dict[Shop, dict[str, str]]:
    """The SKU of each mapped listing, by shop.

    A listing without a SKU is remembered and looked at again under lock. A mapping that is being written right now
    is then either seen here, or sees the hold that follows from not seeing it: no order waits for ever.
    """
    found = dict(_by_listing(await connection.execute(_FIND, _columns(sorted(wanted)))))
    if missing := sorted(wanted - found.keys()):
        await connection.execute(_WANT, _columns(missing))
        found.update(_by_listing(await connection.execute(_FIND_LOCKED, _columns(missing))))
    skus: dict[Shop, dict[str, str]] = {}
    for (channel, shop, listing), sku in found.items():
        skus.setdefault((channel, shop), {})[listing] = sku
    return skus


async def save(connection: AsyncConnection, skus: Mapping[Listing, str | None]) -> None:
    """Write what listings stand for now."""
    ordered = sorted(skus)
    await connection.execute(_SAVE, {**_columns(ordered), "skus": [skus[listing] for listing in ordered]})


async def waiting(connection: AsyncConnection, *, page: int) -> dict[UUID, dict[str, str]]:
    """Orders held for listings that have a SKU now, with those listings and their SKUs."""
    found: dict[UUID, dict[str, str]] = {}
    for row in await connection.execute(_WAITING, {"page": page}):
        found.setdefault(row.order_id, {})[row.listing] = row.sku
    return found


async def audit_rules(connection: AsyncConnection, shops: Collection[Shop]) -> dict[Shop, AuditRule]:
    """The audit rules of those shops that have one of their own."""
    if not shops:
        return {}
    parameters = {"channels": [channel for channel, _ in shops], "shops": [shop for _, shop in shops]}
    rows = await connection.execute(_AUDIT_RULES, parameters)
    return {(row.channel, row.shop): AuditRule(row.notes, tuple(row.words)) for row in rows}


async def save_audit_rule(connection: AsyncConnection, shop: Shop, rule: AuditRule) -> None:
    """Give a shop its own audit rule."""
    parameters = {"channel": shop[0], "shop": shop[1], "notes": rule.notes, "words": list(rule.words)}
    await connection.execute(_SAVE_AUDIT_RULE, parameters)


def _columns(listings: Iterable[Listing]) -> dict[str, list[str]]:
    rows = list(listings)
    return {
        "channels": [channel for channel, _, _ in rows],
        "shops": [shop for _, shop, _ in rows],
        "listings": [listing for _, _, listing in rows],
    }


def _by_listing(rows: Iterable[tuple[str, str, str, str | None]]) -> Iterable[tuple[Listing, str]]:
    return (((channel, shop, listing), sku) for channel, shop, listing, sku in rows if sku is not None)
