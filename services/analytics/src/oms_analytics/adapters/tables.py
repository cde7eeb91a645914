"""The tables of analytics: facts as they were said, what they come to, and roll-ups of that."""

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON

from oms_analytics.domain.amounts import COMPONENTS

metadata = MetaData()


def _code(name: str) -> Column[str]:
    return Column(name, Text(collation="C"), nullable=False)


def _at(name: str, *, required: bool = True) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=not required)


def _minor(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _components() -> list[Column[int]]:
    return [_minor(f"{component}_minor") for component in COMPONENTS]


facts = Table(
    "facts",
    metadata,
    # What was said of an order, once each, whoever said it and in whatever order. Everything else here follows from it.
    Column("order_id", Uuid, nullable=False),
    Column("event_id", Uuid, nullable=False),
    _code("kind"),
    _at("occurred_at"),
    Column("document", JSON, nullable=False),
    PrimaryKeyConstraint("order_id", "event_id"),
)

changed_orders = Table(
    "changed_orders",
    metadata,
    # A queue: orders of which something new is known. One row carries a batch's orders.
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("order_ids", ARRAY(Uuid), nullable=False),
)

changed_prices = Table(
    "changed_prices",
    metadata,
    # A queue: costs and rates that are other than they were, and from when on. Orders they touch are looked up later.
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("sku", Text(collation="C")),
    Column("channel", Text(collation="C")),
    Column("shop", Text(collation="C")),
    _at("valid_from"),
)

order_profits = Table(
    "order_profits",
    metadata,
    Column("order_id", Uuid, primary_key=True),
    _code("channel"),
    _code("shop"),
    _code("currency"),
    _at("placed_at"),
    Column("skus", ARRAY(Text), nullable=False),
    _minor("estimated_minor"),
    _minor("accrued_minor"),
    _minor("settled_minor"),
    # How much money was expected and how much of that statements have answered, without signs.
    _minor("expected_sum_minor"),
    _minor("answered_sum_minor"),
    # What the order has added to the roll-ups; a change adds the difference.
    Column("shares", JSON, nullable=False),
    Index("order_profits_estimated", "currency", "estimated_minor", "order_id"),
    Index("order_profits_accrued", "currency", "accrued_minor", "order_id"),
    Index("order_profits_settled", "currency", "settled_minor", "order_id"),
    Index("order_profits_placed", "placed_at"),
)

shop_days = Table(
    "shop_days",
    metadata,
    _code("version"),
    Column("day", Date, nullable=False),
    _code("currency"),
    _code("channel"),
    _code("shop"),
    _count("orders"),
    _count("units"),
    _count("units_without_cost"),
    *_components(),
    _minor("expected_sum_minor"),
    _minor("answered_sum_minor"),
    PrimaryKeyConstraint("version", "day", "currency", "channel", "shop"),
)

sku_days = Table(
    "sku_days",
    metadata,
    _code("version"),
    Column("day", Date, nullable=False),
    _code("currency"),
    _code("channel"),
    _code("shop"),
    _code("sku"),
    _count("orders"),
    _count("units"),
    _count("units_without_cost"),
    *_components(),
    PrimaryKeyConstraint("version", "day", "currency", "channel", "shop", "sku"),
)

shop_hours = Table(
    "shop_hours",
    metadata,
    # Counts by the hour in which orders were placed, whatever the version.
    _at("hour"),
    _code("currency"),
    _code("channel"),
    _code("shop"),
    _count("orders"),
    _count("cancelled_orders"),
    _count("units"),
    _minor("sales_minor"),
    _count("shipments"),
    _count("delivered"),
    _count("late"),
    _count("rejections"),
    PrimaryKeyConstraint("hour", "currency", "channel", "shop"),
)

holds = Table(
    "holds",
    metadata,
    Column("hold_id", Uuid, primary_key=True),
    Column("order_id", Uuid, nullable=False),
    _code("code"),
    _at("opened_at", required=False),
    _at("resolved_at", required=False),
    Column("outcome", Text),
    Index("holds_opened", "opened_at", postgresql_where=text("opened_at is not null")),
    Index("holds_resolved", "resolved_at", postgresql_where=text("resolved_at is not null")),
    Index("holds_open", "hold_id", postgresql_where=text("resolved_at is null and opened_at is not null")),
)

products = Table(
    "products",
    metadata,
    Column("product_code", Text(collation="C"), primary_key=True),
    _code("category"),
    Column("version", Integer, nullable=False),
)

skus = Table(
    "skus",
    metadata,
    Column("sku", Text(collation="C"), primary_key=True),
    _code("product_code"),
    Column("title", Text, nullable=False),
    Column("version", Integer, nullable=False),
)

costs = Table(
    "costs",
    metadata,
    _code("sku"),
    _code("currency"),
    _at("valid_from"),
    _minor("amount_minor"),
    Column("version", Integer, nullable=False),
    PrimaryKeyConstraint("sku", "currency", "valid_from"),
)

rate_cards = Table(
    "rate_cards",
    metadata,
    # Never updated: a version never changes. A shop of `*` is every shop.
    _code("channel"),
    _code("shop"),
    _code("component"),
    _code("currency"),
    _code("version"),
    _at("valid_from"),
    Column("rate_ppm", Integer, nullable=False),
    _minor("fixed_minor"),
    Column("min_minor", BigInteger),
    Column("max_minor", BigInteger),
    PrimaryKeyConstraint("channel", "shop", "component", "currency", "version"),
)
