"""Counting: what a warehouse says it holds.

On hand is the newest snapshot plus everything that moved after it was taken; by the time things happened, not by
the time we heard of them. So late, repeated and crossing reports end at the same number.
"""

from oms_inventory.domain.stock import Cause, Stock


def count_snapshot(stock: Stock, sku: str, node: str, quantity: int, cause: Cause, *, moved_since: int) -> bool:
    """Set on hand to a snapshot plus what moved since it was taken. False for one older than the newest applied."""
    cell = stock.cell(sku, node)
    first = cell.wms_reported_at is None
    if cell.wms_reported_at is not None and cause.occurred_at < cell.wms_reported_at:
        return False
    difference = quantity + moved_since - cell.on_hand
    cell.wms_reported, cell.wms_reported_at = quantity, cause.occurred_at
    cell.wms_difference = 0 if first else difference
    stock.recounted.add((sku, node))
    stock.post(cause, sku, node=node, on_hand=difference)
    return True


def count_movement(stock: Stock, sku: str, node: str, quantity: int, cause: Cause) -> bool:
    """Add a signed change. False for one that the newest snapshot already contains."""
    cell = stock.cell(sku, node)
    if cell.wms_reported_at is not None and cause.occurred_at <= cell.wms_reported_at:
        return False
    stock.post(cause, sku, node=node, on_hand=quantity)
    return True
