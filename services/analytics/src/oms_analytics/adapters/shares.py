"""An order's shares as a document. Channel, shop and time are the order's own and stand beside it."""

from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json

from oms_analytics.domain.shares import Shares, ShopDay, ShopHour, SkuDay
from oms_events.runtime import documents


def to_document(shares: Shares) -> str:
    """The document, the same for the same shares."""
    skus: dict[str, Any] = {}
    for sku_key, numbers in sorted(shares.sku_days.items()):
        skus.setdefault(sku_key.version, {}).setdefault(sku_key.currency, {})[sku_key.sku] = numbers
    shops: dict[str, Any] = {}
    for shop_key, numbers in sorted(shares.shop_days.items()):
        shops.setdefault(shop_key.version, {})[shop_key.currency] = numbers
    hours = {hour_key.currency: numbers for hour_key, numbers in sorted(shares.shop_hours.items())}
    return documents.to_document({"skus": skus, "shops": shops, "hours": hours})


def from_document(document: str, channel: str, shop: str, placed_at: datetime) -> Shares:
    """The shares of an order of this shop and time."""
    placed_at = placed_at.astimezone(UTC)
    day, hour = placed_at.date(), placed_at.replace(minute=0, second=0, microsecond=0)
    shares, said = Shares.none(), from_json(document)
    for version, currencies in said["skus"].items():
        for currency, skus in currencies.items():
            for sku, numbers in skus.items():
                shares.sku_days[SkuDay(version, day, currency, channel, shop, sku)] = tuple(numbers)
    for version, currencies in said["shops"].items():
        for currency, numbers in currencies.items():
            shares.shop_days[ShopDay(version, day, currency, channel, shop)] = tuple(numbers)
    for currency, numbers in said["hours"].items():
        shares.shop_hours[ShopHour(hour, currency, channel, shop)] = tuple(numbers)
    return shares
