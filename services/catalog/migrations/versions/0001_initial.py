"""Products, SKUs, listings, base prices and their history."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from oms_events.runtime.tables import create_messaging_v1

revision = "0001"
down_revision = None


def _code(name: str, *references: sa.ForeignKey, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), *references, nullable=nullable)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _integer(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False)


def _at(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def _stored() -> list[sa.Column[object]]:
    return [_integer("version"), _at("created_at"), _at("updated_at")]


def upgrade() -> None:
    create_messaging_v1(op)
    op.create_table(
        "products",
        _code("product_code"),
        _text("title"),
        _text("category"),
        _text("brand"),
        *_stored(),
        sa.PrimaryKeyConstraint("product_code"),
    )
    op.create_table(
        "skus",
        _code("sku"),
        _code("product_code", sa.ForeignKey("products.product_code")),
        _text("title"),
        _code("barcode"),
        _text("unit"),
        _integer("weight_g"),
        _integer("length_mm"),
        _integer("width_mm"),
        _integer("height_mm"),
        sa.Column("flags", ARRAY(sa.Text), nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        *_stored(),
        sa.PrimaryKeyConstraint("sku"),
    )
    op.create_index("skus_by_product", "skus", ["product_code", "sku"])
    op.create_index("skus_by_barcode", "skus", ["barcode", "sku"])
    op.create_table(
        "listings",
        _code("channel"),
        _code("shop"),
        _code("listing"),
        _code("sku", sa.ForeignKey("skus.sku"), nullable=True),
        *_stored(),
        sa.PrimaryKeyConstraint("channel", "shop", "listing"),
    )
    op.create_index("listings_by_sku", "listings", ["sku"])
    op.create_table(
        "base_prices",
        _code("sku", sa.ForeignKey("skus.sku")),
        _code("currency"),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        _at("valid_from"),
        *_stored(),
        sa.PrimaryKeyConstraint("sku", "currency"),
    )
    op.create_table(
        "price_history",
        _code("sku"),
        _code("currency"),
        _integer("version"),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        _at("valid_from"),
        _at("set_at"),
        sa.PrimaryKeyConstraint("sku", "currency", "version"),
    )
