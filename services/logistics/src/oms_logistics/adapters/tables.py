"""The tables of logistics."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
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
from sqlalchemy.dialects.postgresql import JSON, JSONB

metadata = MetaData()


def _at(name: str, *, required: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=not required, server_default=func.now() if required else None)


rate_book = Table(
    "rate_book",
    metadata,
    # One row. `edition` changes with every change of carriers, services, tariffs or tiers: whoever keeps the book in
    # memory compares it. Writers queue on the row, so editions are made one after the other.
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("edition", Uuid, nullable=False, server_default=text("gen_random_uuid()")),
    # Prices are compared, so they are all in one currency: that of the first tariff.
    Column("currency", Text),
    CheckConstraint("only_row", name="rate_book_only_row"),
)

carriers = Table(
    "carriers",
    metadata,
    Column("carrier", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    _at("updated_at", required=True),
)

services = Table(
    "services",
    metadata,
    Column("carrier", Text, ForeignKey("carriers.carrier"), nullable=False),
    Column("service", Text, nullable=False),
    Column("document", JSONB, nullable=False),
    _at("updated_at", required=True),
    PrimaryKeyConstraint("carrier", "service"),
)

tariffs = Table(
    "tariffs",
    metadata,
    # Never updated: a parcel names the version it was rated with, and a freight bill is checked against it.
    Column("carrier", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("document", JSONB, nullable=False),
    _at("created_at", required=True),
    PrimaryKeyConstraint("carrier", "service", "version"),
    ForeignKeyConstraint(["carrier", "service"], ["services.carrier", "services.service"]),
)

delivery_tiers = Table(
    "delivery_tiers",
    metadata,
    # `*` stands for every channel, or every shop.
    Column("channel", Text, nullable=False),
    Column("shop", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("max_days", Integer, nullable=False),
    _at("updated_at", required=True),
    PrimaryKeyConstraint("channel", "shop", "tier"),
)

waybill_pools = Table(
    "waybill_pools",
    metadata,
    # `issued` is the last serial given out. The row stays locked until its transaction ends, so a carrier's serials
    # become visible in order: a feed that resumes after a serial never skips one that was committed late.
    Column("carrier", Text, ForeignKey("carriers.carrier"), primary_key=True),
    Column("prefix", Text, nullable=False, unique=True),
    Column("issued", BigInteger, nullable=False, server_default=text("0")),
)

parcels = Table(
    "parcels",
    metadata,
    Column("shipment_id", Uuid, primary_key=True),
    Column("order_id", Uuid, nullable=False),
    # What was asked for; null until the request is heard.
    Column("requested_at", DateTime(timezone=True)),
    Column("node", Text),
    Column("channel", Text),
    Column("shop", Text),
    Column("origin_country", Text),
    Column("ship_to", JSONB),
    Column("tier", Text),
    Column("weight_g", Integer),
    # Who takes it; null until somebody does. `refusal` says why nobody does.
    Column("refusal", Text),
    Column("carrier", Text),
    Column("service", Text),
    Column("waybill_serial", BigInteger),
    Column("waybill_no", Text),
    Column("tariff_version", Integer),
    Column("billable_weight_g", Integer),
    Column("cost_minor", BigInteger),
    Column("currency", Text),
    Column("options", JSON),
    _at("assigned_at"),
    _at("promised_at"),
    # How far it came. `state` and `status` follow from the rest and stand here for lists and sums.
    Column("state", Text, nullable=False),
    Column("status", Text, nullable=False),
    _at("dispatched_at"),
    Column("shipped_weight_g", Integer),
    _at("cancelled_at"),
    _at("delivered_at"),
    _at("promise_broken_at"),
    Column("last_status", Text),
    _at("last_at"),
    Column("turn_status", Text),
    _at("turn_at"),
    Column("version", Integer, nullable=False),
    _at("created_at", required=True),
    _at("updated_at", required=True),
    Index("parcels_waybill", "waybill_no", unique=True, postgresql_where=text("waybill_no is not null")),
    Index("parcels_feed", "carrier", "waybill_serial", unique=True, postgresql_where=text("waybill_no is not null")),
    Index("parcels_order", "order_id"),
    Index("parcels_no_carrier", "shipment_id", postgresql_where=text("state = 'no_carrier'")),
    # Every scan updates the row: room on the page keeps its indexes out of it.
    postgresql_with={"fillfactor": "75"},
)

scans = Table(
    "scans",
    metadata,
    # Derived from all a scan says, so that the same scan sent again is the same row.
    Column("scan_key", Uuid, primary_key=True),
    Column("carrier", Text, nullable=False),
    Column("waybill_no", Text, nullable=False),
    # Null while no parcel has this waybill.
    Column("shipment_id", Uuid),
    Column("status", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("place", Text, nullable=False),
    Column("carrier_code", Text, nullable=False),
    _at("received_at", required=True),
    Index("scans_waybill", "waybill_no"),
    Index("scans_early", "scan_key", postgresql_where=text("shipment_id is null")),
)
