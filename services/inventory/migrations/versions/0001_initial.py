"""Stock in four layers, reservations, allocations and the ledger of movements."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from oms_events.runtime.tables import create_messaging_v1

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_messaging_v1(op)
    _create_stock()
    _create_pools()
    _create_channels()
    _create_orders()
    _create_movements()


def _quantity(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0"))


def _now(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())


def _create_stock() -> None:
    op.create_table(
        "stock",
        sa.Column("sku", sa.Text, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        _quantity("on_hand"),
        _quantity("allocated"),
        _quantity("safety_stock"),
        sa.Column("wms_reported", sa.BigInteger),
        sa.Column("wms_reported_at", sa.DateTime(timezone=True)),
        _quantity("wms_difference"),
        _now("updated_at"),
        sa.PrimaryKeyConstraint("sku", "node"),
    )
    op.create_index("stock_by_node", "stock", ["node", "sku"])
    op.create_table(
        "stock_reports",
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("sku", sa.Text, nullable=False),
        sa.Column("report_no", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        _now("created_at"),
        sa.PrimaryKeyConstraint("node", "sku", "report_no"),
    )
    op.create_table(
        "stock_adjustments",
        sa.Column("reference", sa.Text, primary_key=True),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("sku", sa.Text, nullable=False),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        _now("created_at"),
    )


def _create_pools() -> None:
    op.create_table(
        "pool_nodes",
        sa.Column("pool", sa.Text, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("pool", "node"),
    )
    op.create_table(
        "pools",
        sa.Column("pool", sa.Text, nullable=False),
        sa.Column("sku", sa.Text, nullable=False),
        _quantity("base"),
        _quantity("reserved"),
        sa.Column("dirty", sa.Boolean, nullable=False, server_default=sa.text("true")),
        _now("compared_at"),
        sa.PrimaryKeyConstraint("pool", "sku"),
    )
    op.create_index("pools_dirty", "pools", ["compared_at"], postgresql_where=sa.text("dirty"))


def _create_channels() -> None:
    op.create_table(
        "channel_rules",
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("shop", sa.Text, nullable=False),
        sa.Column("sku", sa.Text, nullable=False, server_default=""),
        sa.Column("percent", sa.Integer, nullable=False),
        sa.Column("plus", sa.BigInteger, nullable=False),
        sa.Column("minimum", sa.BigInteger, nullable=False),
        sa.Column("maximum", sa.BigInteger),
        _now("updated_at"),
        sa.PrimaryKeyConstraint("channel", "shop", "sku"),
    )
    op.create_table(
        "shop_reserved",
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("shop", sa.Text, nullable=False),
        sa.Column("sku", sa.Text, nullable=False),
        _quantity("reserved"),
        sa.PrimaryKeyConstraint("channel", "shop", "sku"),
    )
    op.create_table(
        "shop_listings",
        sa.Column("listing_key", sa.Text, primary_key=True),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("shop", sa.Text, nullable=False),
        sa.Column("sku", sa.Text),
        _quantity("sequence"),
    )
    op.create_index("shop_listings_by_sku", "shop_listings", ["sku"], postgresql_where=sa.text("sku is not null"))
    op.create_table(
        "channel_stock",
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("shop", sa.Text, nullable=False),
        sa.Column("sku", sa.Text, nullable=False),
        sa.Column("sellable", sa.BigInteger, nullable=False),
        sa.Column("change_no", sa.BigInteger, nullable=False),
        _now("updated_at"),
        sa.PrimaryKeyConstraint("sku", "channel", "shop"),
    )
    op.create_table(
        "node_stock",
        sa.Column("sku", sa.Text, primary_key=True),
        sa.Column("available", JSONB, nullable=False),
        sa.Column("change_no", sa.BigInteger, nullable=False),
        _now("updated_at"),
    )


def _create_orders() -> None:
    op.create_table(
        "reservations",
        sa.Column("order_id", sa.Uuid, primary_key=True),
        sa.Column("channel", sa.Text),
        sa.Column("shop", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False, server_default=sa.text("1")),
        _now("created_at"),
    )
    op.create_table(
        "reservation_lines",
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("line_id", sa.Text, nullable=False),
        sa.Column("sku", sa.Text, nullable=False),
        _quantity("ordered"),
        _quantity("cancelled"),
        _quantity("allocated"),
        _quantity("consumed"),
        _quantity("reserved"),
        sa.PrimaryKeyConstraint("order_id", "line_id"),
    )
    # By what is still to leave, not by what is reserved: allocating a line then touches no index.
    op.create_index(
        "reservation_lines_open",
        "reservation_lines",
        ["sku"],
        postgresql_where=sa.text("ordered > cancelled + consumed"),
    )
    op.create_table(
        "waiting_orders",
        sa.Column("order_id", sa.Uuid, primary_key=True),
        sa.Column("skus", ARRAY(sa.Text), nullable=False),
        sa.Column("cause_id", sa.Uuid, nullable=False),
        sa.Column("correlation_id", sa.Text, nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "allocations",
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("shipment_id", sa.Uuid, nullable=False),
        sa.Column("line_id", sa.Text, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("sku", sa.Text, nullable=False),
        _quantity("planned"),
        _quantity("cancelled"),
        _quantity("rejected"),
        _quantity("consumed"),
        sa.Column("answer", sa.Text),
        sa.PrimaryKeyConstraint("order_id", "shipment_id", "line_id"),
    )
    op.create_table(
        "cancellations",
        sa.Column("subject_id", sa.Uuid, nullable=False),
        sa.Column("cancellation_id", sa.Uuid, nullable=False),
        sa.PrimaryKeyConstraint("subject_id", "cancellation_id"),
    )
    # Rows are changed a few times within minutes of their birth: room in the page keeps the new version beside the
    # old one, without touching the primary key's index.
    for table in ("reservations", "allocations", "pools", "stock", "channel_stock", "node_stock"):
        op.execute(f"alter table {table} set (fillfactor = 70)")
    # All lines of an order change at once when it is allocated: every row of a page needs a place for its new version.
    op.execute("alter table reservation_lines set (fillfactor = 50)")


def _create_movements() -> None:
    op.create_table(
        "movements",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("sku", sa.Text, nullable=False),
        sa.Column("node", sa.Text),
        sa.Column("on_hand", sa.BigInteger, nullable=False),
        sa.Column("allocated", sa.BigInteger, nullable=False),
        sa.Column("reserved", sa.BigInteger, nullable=False),
        sa.Column("on_hand_after", sa.BigInteger),
        sa.Column("allocated_after", sa.BigInteger),
        sa.Column("reserved_after", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("order_id", sa.Uuid),
        sa.Column("line_id", sa.Text),
        sa.Column("shipment_id", sa.Uuid),
        sa.Column("document", sa.Text),
        _now("created_at"),
        sa.PrimaryKeyConstraint("sku", "id"),
    )
    op.create_index(
        "movements_physical", "movements", ["sku", "node", "occurred_at"], postgresql_where=sa.text("on_hand <> 0")
    )
