"""Facts, what they come to, and roll-ups of that."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSON

from oms_events.runtime.tables import create_messaging_v1

revision = "0001"
down_revision = None

_COMPONENTS = (
    *("goods", "shipping", "merchant_discount", "platform_subsidy", "commission", "payment_fee", "freight"),
    *("cost_of_goods", "returns", "adjustments", "write_offs"),
)


def _code(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _uuid(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Uuid, nullable=False)


def _at(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _integer(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False)


def _big(*names: str, nullable: bool = False) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=nullable) for name in names]


def _queue_id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True)


def _components() -> list[sa.Column[int]]:
    return _big(*(f"{component}_minor" for component in _COMPONENTS))


def upgrade() -> None:
    create_messaging_v1(op)
    _facts()
    _profits()
    _roll_ups()
    _reference()


def _facts() -> None:
    op.create_table(
        "facts",
        _uuid("order_id"),
        _uuid("event_id"),
        _code("kind"),
        _at("occurred_at"),
        sa.Column("document", JSON, nullable=False),
        sa.PrimaryKeyConstraint("order_id", "event_id"),
    )
    op.create_table("changed_orders", _queue_id(), sa.Column("order_ids", ARRAY(sa.Uuid), nullable=False))
    op.create_table(
        "changed_prices",
        _queue_id(),
        *(_code(name, nullable=True) for name in ("sku", "channel", "shop")),
        _at("valid_from"),
    )
    # Rows live for seconds: vacuum must not wait for a share of a table that was once big.
    for table in ("changed_orders", "changed_prices"):
        op.execute(
            f"alter table {table} set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,"
            " autovacuum_vacuum_cost_delay = 0)"
        )
    op.create_table(
        "holds",
        sa.Column("hold_id", sa.Uuid, primary_key=True),
        _uuid("order_id"),
        _code("code"),
        _at("opened_at", nullable=True),
        _at("resolved_at", nullable=True),
        _text("outcome", nullable=True),
    )
    op.create_index("holds_opened", "holds", ["opened_at"], postgresql_where=sa.text("opened_at is not null"))
    op.create_index("holds_resolved", "holds", ["resolved_at"], postgresql_where=sa.text("resolved_at is not null"))
    op.create_index(
        "holds_open",
        "holds",
        ["hold_id"],
        postgresql_where=sa.text("resolved_at is null and opened_at is not null"),
    )


def _profits() -> None:
    op.create_table(
        "order_profits",
        sa.Column("order_id", sa.Uuid, primary_key=True),
        *(_code(name) for name in ("channel", "shop", "currency")),
        _at("placed_at"),
        sa.Column("skus", ARRAY(sa.Text), nullable=False),
        *_big("estimated_minor", "accrued_minor", "settled_minor", "expected_sum_minor", "answered_sum_minor"),
        sa.Column("shares", JSON, nullable=False),
    )
    for version in ("estimated", "accrued", "settled"):
        op.create_index(f"order_profits_{version}", "order_profits", ["currency", f"{version}_minor", "order_id"])
    op.create_index("order_profits_placed", "order_profits", ["placed_at"])


def _roll_ups() -> None:
    op.create_table(
        "shop_days",
        _code("version"),
        sa.Column("day", sa.Date, nullable=False),
        *(_code(name) for name in ("currency", "channel", "shop")),
        *_big("orders", "units", "units_without_cost"),
        *_components(),
        *_big("expected_sum_minor", "answered_sum_minor"),
        sa.PrimaryKeyConstraint("version", "day", "currency", "channel", "shop"),
    )
    op.create_table(
        "sku_days",
        _code("version"),
        sa.Column("day", sa.Date, nullable=False),
        *(_code(name) for name in ("currency", "channel", "shop", "sku")),
        *_big("orders", "units", "units_without_cost"),
        *_components(),
        sa.PrimaryKeyConstraint("version", "day", "currency", "channel", "shop", "sku"),
    )
    op.create_table(
        "shop_hours",
        _at("hour"),
        *(_code(name) for name in ("currency", "channel", "shop")),
        *_big("orders", "cancelled_orders", "units", "sales_minor", "shipments", "delivered", "late", "rejections"),
        sa.PrimaryKeyConstraint("hour", "currency", "channel", "shop"),
    )


def _reference() -> None:
    op.create_table(
        "products",
        sa.Column("product_code", sa.Text(collation="C"), primary_key=True),
        _code("category"),
        _integer("version"),
    )
    op.create_table(
        "skus",
        sa.Column("sku", sa.Text(collation="C"), primary_key=True),
        _code("product_code"),
        _text("title"),
        _integer("version"),
    )
    op.create_table(
        "costs",
        *(_code(name) for name in ("sku", "currency")),
        _at("valid_from"),
        *_big("amount_minor"),
        _integer("version"),
        sa.PrimaryKeyConstraint("sku", "currency", "valid_from"),
    )
    op.create_table(
        "rate_cards",
        *(_code(name) for name in ("channel", "shop", "component", "currency", "version")),
        _at("valid_from"),
        _integer("rate_ppm"),
        *_big("fixed_minor"),
        *_big("min_minor", "max_minor", nullable=True),
        sa.PrimaryKeyConstraint("channel", "shop", "component", "currency", "version"),
    )
