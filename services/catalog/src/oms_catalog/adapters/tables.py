"""The catalog's tables. Codes collate by byte, so that a key's index also serves prefix search and paging."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY

metadata = MetaData()


def _code(name: str, *references: ForeignKey, key: bool = False, nullable: bool = False) -> Column[str]:
    return Column(name, Text(collation="C"), *references, primary_key=key, nullable=nullable)


def _at(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False)


def _version() -> Column[int]:
    return Column("version", Integer, nullable=False)


products = Table(
    "products",
    metadata,
    _code("product_code", key=True),
    Column("title", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("brand", Text, nullable=False),
    _version(),
    _at("created_at"),
    _at("updated_at"),
)

skus = Table(
    "skus",
    metadata,
    _code("sku", key=True),
    _code("product_code", ForeignKey("products.product_code")),
    Column("title", Text, nullable=False),
    _code("barcode"),
    Column("unit", Text, nullable=False),
    Column("weight_g", Integer, nullable=False),
    Column("length_mm", Integer, nullable=False),
    Column("width_mm", Integer, nullable=False),
    Column("height_mm", Integer, nullable=False),
    Column("flags", ARRAY(Text), nullable=False),
    Column("active", Boolean, nullable=False),
    _version(),
    _at("created_at"),
    _at("updated_at"),
    Index("skus_by_product", "product_code", "sku"),
    Index("skus_by_barcode", "barcode", "sku"),
)

listings = Table(
    "listings",
    metadata,
    _code("channel", key=True),
    _code("shop", key=True),
    _code("listing", key=True),
    # Null once unmapped: the row stays, so that the listing's versions go on counting.
    _code("sku", ForeignKey("skus.sku"), nullable=True),
    _version(),
    _at("created_at"),
    _at("updated_at"),
    Index("listings_by_sku", "sku"),
)

base_prices = Table(
    "base_prices",
    metadata,
    _code("sku", ForeignKey("skus.sku"), key=True),
    _code("currency", key=True),
    Column("amount_minor", BigInteger, nullable=False),
    _at("valid_from"),
    _version(),
    _at("created_at"),
    _at("updated_at"),
)

costs = Table(
    "costs",
    metadata,
    # One row for each time from which another cost counts: what was sold before keeps the cost it had.
    _code("sku", ForeignKey("skus.sku"), key=True),
    _code("currency", key=True),
    Column("valid_from", DateTime(timezone=True), primary_key=True),
    Column("amount_minor", BigInteger, nullable=False),
    _version(),
    _at("created_at"),
    _at("updated_at"),
)

price_history = Table(
    "price_history",
    metadata,
    _code("sku", key=True),
    _code("currency", key=True),
    Column("version", Integer, primary_key=True),
    Column("amount_minor", BigInteger, nullable=False),
    _at("valid_from"),
    _at("set_at"),
)
