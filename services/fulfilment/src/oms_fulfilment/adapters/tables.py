"""Tables of fulfilment. Lines are kept inside their order's and shipment's row: they are read and written whole with
it, and rows of their own would cost more than all other writes of the service together.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Sequence,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB

from oms_events.runtime.tables import metadata as messaging

metadata = MetaData()
for table in messaging.tables.values():
    table.to_metadata(metadata)


def _moment(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


networks = Table(
    "networks",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    # All nodes as they were: a decision names the version it was made with.
    Column("nodes", JSONB, nullable=False),
    _moment("created_at"),
)

rule_sets = Table(
    "rule_sets",
    metadata,
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("document", JSONB, nullable=False),
    _moment("active_from"),
    PrimaryKeyConstraint("name", "version"),
)

node_days = Table(
    "node_days",
    metadata,
    Column("node", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("planned", Integer, nullable=False),
    PrimaryKeyConstraint("node", "day"),
)

sku_facts = Table(
    "sku_facts",
    metadata,
    Column("sku", Text, primary_key=True),
    Column("weight_g", Integer, nullable=False),
    Column("flags", ARRAY(Text), nullable=False),
)

node_stock = Table(
    "node_stock",
    metadata,
    Column("sku", Text, nullable=False),
    Column("node", Text, nullable=False),
    Column("available", BigInteger, nullable=False),
    Column("change_no", BigInteger, nullable=False),
    PrimaryKeyConstraint("sku", "node"),
)

demands = Table(
    "demands",
    metadata,
    Column("order_id", Uuid, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("shop", Text, nullable=False),
    Column("ship_to", JSONB, nullable=False),
    Column("tier", Text, nullable=False),
    Column("ship_by", DateTime(timezone=True)),
    Column("lines", JSONB, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("failure", Text, nullable=False),
    Column("told", Text, nullable=False),
    Column("lacking", ARRAY(Text), nullable=False),
    Column("excluded", JSONB, nullable=False),
    _moment("created_at"),
    _moment("updated_at"),
    Index("demands_waiting", "order_id", postgresql_where=text("state = 'waiting'")),
)

decisions = Table(
    "decisions",
    metadata,
    Column("decision_id", Uuid, primary_key=True),
    Column("order_id", Uuid, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("rule_set", Text, nullable=False),
    Column("rule_set_version", Integer, nullable=False),
    Column("network_version", Integer, nullable=False),
    Column("inputs", JSON, nullable=False),
    Column("alternatives", JSON, nullable=False),
    Column("chosen", JSON, nullable=False),
    Column("reason", Text, nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=False),
    Index("decisions_order", "order_id", "attempt"),
)

release_numbers = Sequence("release_numbers", metadata=metadata)

shipments = Table(
    "shipments",
    metadata,
    Column("shipment_id", Uuid, primary_key=True),
    Column("order_id", Uuid, nullable=False),
    Column("decision_id", Uuid, nullable=False),
    Column("node", Text, nullable=False),
    Column("origin_country", Text, nullable=False),
    Column("planned_on", Date, nullable=False),
    Column("lines", JSONB, nullable=False),
    Column("weight_g", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("carrier", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("waybill_no", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("untold", JSONB, nullable=False),
    Column("version", Integer, nullable=False),
    Column("released_seq", BigInteger),
    _moment("created_at"),
    _moment("updated_at"),
    Index("shipments_order", "order_id"),
    # The warehouse's feed. No index holds the state: changing it then touches the row alone.
    Index("shipments_feed", "node", "released_seq", postgresql_where=text("released_seq is not null")),
)

cancellations = Table(
    "cancellations",
    metadata,
    Column("cancellation_id", Uuid, primary_key=True),
    Column("order_id", Uuid, nullable=False),
    _moment("answered_at"),
)

warehouse_reports = Table(
    "warehouse_reports",
    metadata,
    Column("shipment_id", Uuid, nullable=False),
    Column("report_no", Text, nullable=False),
    Column("node", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("document", JSONB, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    _moment("received_at"),
    PrimaryKeyConstraint("shipment_id", "report_no"),
    Index("warehouse_reports_open", "state", "shipment_id", "report_no", postgresql_where=text("state <> 'applied'")),
)
