"""The tables of orders.

No foreign keys: every row is written together with its order, under the order's lock, and a check per row would cost
more than the row. `fillfactor` leaves room for the updates that each order is sure to get, so that they stay on
their page and touch no index. Documents that are only kept and shown are `json`: nothing looks into them, and
parsing them into `jsonb` would cost more than the rest of their row.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB

from oms_events.runtime.tables import metadata as messaging

metadata = MetaData()
for _table in messaging.tables.values():
    _table.to_metadata(metadata)


def _at(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


channel_orders = Table(
    "channel_orders",
    metadata,
    Column("order_id", Uuid, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    Column("document", JSON, nullable=False),
    _at("received_at"),
    # Insert only: every telling is kept, and one told before is known by its content.
    PrimaryKeyConstraint("order_id", "version", "content_hash"),
)

orders = Table(
    "orders",
    metadata,
    Column("order_id", Uuid, primary_key=True),
    Column("received_no", BigInteger, Identity(), nullable=False),
    _text("channel"),
    _text("shop"),
    _text("channel_order_no"),
    Column("channel_version", BigInteger, nullable=False),
    _at("received_at"),
    _at("placed_at"),
    _text("currency"),
    Column("shipping_minor", BigInteger, nullable=False),
    Column("total_minor", BigInteger, nullable=False),
    Column("ship_to", JSONB, nullable=False),
    _text("delivery_tier"),
    _at("ship_by", nullable=True),
    _text("buyer_note"),
    Column("paid_minor", BigInteger, nullable=False),
    Column("reserved", Boolean, nullable=False),
    _at("entered_at", nullable=True),
    _at("paid_at", nullable=True),
    _at("released_at", nullable=True),
    _at("cancelled_at", nullable=True),
    _at("completed_at", nullable=True),
    _text("payment_state"),
    _text("fulfilment_state"),
    _text("after_sales_state"),
    _text("state"),
    # How many open holds and unanswered cancellations there are: most orders have none, and need no look for them.
    Column("open_holds", Integer, nullable=False),
    Column("open_cancellations", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    _at("updated_at"),
    Index("orders_received_no", "received_no", unique=True),
    Index("orders_channel_order_no", "channel_order_no"),
    # Orders arrive nearly in the order they were placed, so ranges of pages say enough, and cost an insert nothing.
    Index("orders_placed_at", "placed_at", postgresql_using="brin"),
    postgresql_with={"fillfactor": 60},
)

order_lines = Table(
    "order_lines",
    metadata,
    Column("order_id", Uuid, nullable=False),
    _text("line_id"),
    Column("position", Integer, nullable=False),
    _text("listing"),
    Column("sku", Text),
    Column("quantity", Integer, nullable=False),
    Column("unit_price_minor", BigInteger, nullable=False),
    Column("discount_minor", BigInteger, nullable=False),
    Column("cancelled", Integer, nullable=False),
    Column("shipped", Integer, nullable=False),
    Column("delivered", Integer, nullable=False),
    PrimaryKeyConstraint("order_id", "line_id"),
    postgresql_with={"fillfactor": 60},
)

payments = Table(
    "payments",
    metadata,
    Column("order_id", Uuid, nullable=False),
    _text("payment_no"),
    _text("currency"),
    Column("amount_minor", BigInteger, nullable=False),
    _at("paid_at"),
    PrimaryKeyConstraint("order_id", "payment_no"),
)

holds = Table(
    "holds",
    metadata,
    Column("hold_id", Uuid, primary_key=True),
    Column("order_id", Uuid, nullable=False),
    Column("line_id", Text),
    _text("code"),
    _text("detail"),
    Column("blocks", ARRAY(Text), nullable=False),
    Column("auto", Boolean, nullable=False),
    _text("state"),
    _at("opened_at"),
    _at("closed_at", nullable=True),
    Column("closed_by", Text),
    Column("note", Text),
    Index("holds_order", "order_id"),
    Index("holds_open", "code", "detail", postgresql_where=text("state = 'OPEN'")),
)

cancellations = Table(
    "cancellations",
    metadata,
    Column("order_id", Uuid, nullable=False),
    _text("cancellation_no"),
    Column("cancellation_id", Uuid, nullable=False),
    _text("source"),
    _text("reason"),
    _at("requested_at"),
    Column("lines", JSONB, nullable=False),
    _text("state"),
    _at("closed_at", nullable=True),
    PrimaryKeyConstraint("order_id", "cancellation_no"),
)

shipments = Table(
    "shipments",
    metadata,
    Column("order_id", Uuid, nullable=False),
    Column("shipment_id", Uuid, nullable=False),
    Column("lines", JSONB),
    _at("dispatched_at", nullable=True),
    _at("delivered_at", nullable=True),
    PrimaryKeyConstraint("order_id", "shipment_id"),
    postgresql_with={"fillfactor": 80},
)

listings = Table(
    "listings",
    metadata,
    _text("channel"),
    _text("shop"),
    _text("listing"),
    # Null: the listing has been sold, or was mapped once, and stands for no SKU now.
    Column("sku", Text),
    PrimaryKeyConstraint("channel", "shop", "listing"),
)

audit_rules = Table(
    "audit_rules",
    metadata,
    _text("channel"),
    _text("shop"),
    _text("notes"),
    Column("words", ARRAY(Text), nullable=False),
    PrimaryKeyConstraint("channel", "shop"),
)

early_facts = Table(
    "early_facts",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("order_id", Uuid, nullable=False),
    Column("event_id", Uuid, nullable=False),
    _text("event_type"),
    _text("source"),
    _at("occurred_at"),
    _text("correlation_id"),
    _text("data"),
    Index("early_facts_order", "order_id"),
)

timeline = Table(
    "timeline",
    metadata,
    Column("order_id", Uuid, nullable=False),
    Column("seq", BigInteger, Identity(), nullable=False),
    _at("at"),
    _text("kind"),
    Column("event_id", Uuid, nullable=False),
    Column("detail", JSON, nullable=False),
    Column("led_to", ARRAY(Text), nullable=False),
    PrimaryKeyConstraint("order_id", "seq"),
)
