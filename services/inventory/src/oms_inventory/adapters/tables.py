"""The tables of inventory."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData()


def _quantity(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


def _now(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


# --- physical and logical layer ---------------------------------------------------------------------------------

stock = Table(
    "stock",
    metadata,
    Column("sku", Text, nullable=False),
    Column("node", Text, nullable=False),
    _quantity("on_hand"),
    _quantity("allocated"),
    _quantity("safety_stock"),
    Column("wms_reported", BigInteger),
    Column("wms_reported_at", DateTime(timezone=True)),
    _quantity("wms_difference"),
    _now("updated_at"),
    PrimaryKeyConstraint("sku", "node"),
    Index("stock_by_node", "node", "sku"),
)

stock_reports = Table(
    "stock_reports",
    metadata,
    Column("node", Text, nullable=False),
    Column("sku", Text, nullable=False),
    Column("report_no", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    _now("created_at"),
    PrimaryKeyConstraint("node", "sku", "report_no"),
)

stock_adjustments = Table(
    "stock_adjustments",
    metadata,
    Column("reference", Text, primary_key=True),
    Column("node", Text, nullable=False),
    Column("sku", Text, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    _now("created_at"),
)

# --- shared layer -----------------------------------------------------------------------------------------------

pool_nodes = Table(
    "pool_nodes",
    metadata,
    Column("pool", Text, nullable=False),
    Column("node", Text, nullable=False),
    PrimaryKeyConstraint("pool", "node"),
)

pools = Table(
    "pools",
    metadata,
    Column("pool", Text, nullable=False),
    Column("sku", Text, nullable=False),
    _quantity("base"),
    _quantity("reserved"),
    # Set by every change, cleared when what others were told has been compared with what is true.
    Column("dirty", Boolean, nullable=False, server_default=text("true")),
    _now("compared_at"),
    PrimaryKeyConstraint("pool", "sku"),
    Index("pools_dirty", "compared_at", postgresql_where=text("dirty")),
)

# --- channel layer ----------------------------------------------------------------------------------------------

channel_rules = Table(
    "channel_rules",
    metadata,
    Column("channel", Text, nullable=False),
    Column("shop", Text, nullable=False),
    # Empty: the rule of all SKUs of the shop that have none of their own.
    Column("sku", Text, nullable=False, server_default=""),
    Column("percent", Integer, nullable=False),
    Column("plus", BigInteger, nullable=False),
    Column("minimum", BigInteger, nullable=False),
    Column("maximum", BigInteger),
    _now("updated_at"),
    PrimaryKeyConstraint("channel", "shop", "sku"),
)

shop_reserved = Table(
    "shop_reserved",
    metadata,
    Column("channel", Text, nullable=False),
    Column("shop", Text, nullable=False),
    Column("sku", Text, nullable=False),
    _quantity("reserved"),
    PrimaryKeyConstraint("channel", "shop", "sku"),
)

shop_listings = Table(
    "shop_listings",
    metadata,
    Column("listing_key", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("shop", Text, nullable=False),
    Column("sku", Text),
    _quantity("sequence"),
    Index("shop_listings_by_sku", "sku", postgresql_where=text("sku is not null")),
)

channel_stock = Table(
    "channel_stock",
    metadata,
    Column("channel", Text, nullable=False),
    Column("shop", Text, nullable=False),
    Column("sku", Text, nullable=False),
    Column("sellable", BigInteger, nullable=False),
    Column("change_no", BigInteger, nullable=False),
    _now("updated_at"),
    PrimaryKeyConstraint("sku", "channel", "shop"),
)

node_stock = Table(
    "node_stock",
    metadata,
    Column("sku", Text, primary_key=True),
    Column("available", JSONB, nullable=False),
    Column("change_no", BigInteger, nullable=False),
    _now("updated_at"),
)

# --- orders and shipments ---------------------------------------------------------------------------------------

reservations = Table(
    "reservations",
    metadata,
    Column("order_id", Uuid, primary_key=True),
    Column("channel", Text),
    Column("shop", Text),
    Column("state", Text, nullable=False),
    Column("version", BigInteger, nullable=False, server_default=text("1")),
    _now("created_at"),
)

reservation_lines = Table(
    "reservation_lines",
    metadata,
    Column("order_id", Uuid, nullable=False),
    Column("line_id", Text, nullable=False),
    Column("sku", Text, nullable=False),
    _quantity("ordered"),
    _quantity("cancelled"),
    _quantity("allocated"),
    _quantity("consumed"),
    _quantity("reserved"),
    PrimaryKeyConstraint("order_id", "line_id"),
    # By what is still to leave, not by what is reserved: allocating a line then touches no index.
    Index("reservation_lines_open", "sku", postgresql_where=text("ordered > cancelled + consumed")),
)

waiting_orders = Table(
    "waiting_orders",
    metadata,
    Column("order_id", Uuid, primary_key=True),
    Column("skus", ARRAY(Text), nullable=False),
    # The event that placed the order: what is reserved later is still caused by it.
    Column("cause_id", Uuid, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("retry_at", DateTime(timezone=True), nullable=False),
)

allocations = Table(
    "allocations",
    metadata,
    Column("order_id", Uuid, nullable=False),
    Column("shipment_id", Uuid, nullable=False),
    Column("line_id", Text, nullable=False),
    Column("node", Text, nullable=False),
    Column("sku", Text, nullable=False),
    _quantity("planned"),
    _quantity("cancelled"),
    _quantity("rejected"),
    _quantity("consumed"),
    Column("answer", Text),
    PrimaryKeyConstraint("order_id", "shipment_id", "line_id"),
)

cancellations = Table(
    "cancellations",
    metadata,
    # An order or a shipment.
    Column("subject_id", Uuid, nullable=False),
    Column("cancellation_id", Uuid, nullable=False),
    PrimaryKeyConstraint("subject_id", "cancellation_id"),
)

# --- the ledger -------------------------------------------------------------------------------------------------

movements = Table(
    "movements",
    metadata,
    Column("id", BigInteger, Identity(), nullable=False),
    Column("sku", Text, nullable=False),
    Column("node", Text),
    Column("on_hand", BigInteger, nullable=False),
    Column("allocated", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
    Column("on_hand_after", BigInteger),
    Column("allocated_after", BigInteger),
    Column("reserved_after", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("order_id", Uuid),
    Column("line_id", Text),
    Column("shipment_id", Uuid),
    Column("document", Text),
    _now("created_at"),
    PrimaryKeyConstraint("sku", "id"),
    # A late snapshot asks what has moved since it was taken.
    Index("movements_physical", "sku", "node", "occurred_at", postgresql_where=text("on_hand <> 0")),
)
