"""Codes that the services speak, in the order in which people read them. Tests hold them to the contracts."""

ORDER_STATES = (
    "awaiting_payment",
    "awaiting_stock",
    "on_hold",
    "released",
    "in_fulfilment",
    "shipped",
    "completed",
    "cancelled",
)
"""In the order of an order's life."""
MOVING = ("released", "in_fulfilment", "shipped")
HOLD_CODES = (
    "LISTING_UNMAPPED",
    "AMOUNT_MISMATCH",
    "BUYER_NOTE",
    "STOCK_SHORT",
    "NO_ROUTE",
    "NO_CARRIER",
    "ORDER_CHANGED",
    "CUSTOM",
)
HOLD_STATES = ("OPEN", "RESOLVED", "REJECTED", "EXPIRED")
BLOCKS = ("place", "reserve", "release", "ship")
"""What a hold can keep from happening."""
DIFFERENCE_STATES = ("open", "written_off", "resolved")
STATEMENT_FORMATS = ("canonical", "amazon_v2", "stripe_balance")
PROFIT_BY = ("shop", "channel", "sku", "category", "day")
PROFIT_VERSIONS = ("estimated", "accrued", "settled")
PROFIT_SORTS = ("best", "worst", "name")
SERVICES = ("catalog", "inventory", "orders", "fulfilment", "logistics", "settlement", "analytics")
"""Those that keep dead letters."""
