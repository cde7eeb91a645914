"""Carriers, tariffs, waybills, parcels and scans."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSON, JSONB

from oms_events.runtime.tables import create_messaging_v1

revision = "0001"
down_revision = None

_NOW = sa.func.now()
_ISSUED = sa.text("waybill_no is not null")


def _at(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True))


def _set_at(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=_NOW)


def upgrade() -> None:
    create_messaging_v1(op)
    _create_rates()
    _create_parcels()


def _create_rates() -> None:
    op.create_table(
        "rate_book",
        sa.Column("only_row", sa.Boolean, primary_key=True, server_default=sa.text("true")),
        sa.Column("edition", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("currency", sa.Text),
        sa.CheckConstraint("only_row", name="rate_book_only_row"),
    )
    op.create_table(
        "carriers",
        sa.Column("carrier", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        _set_at("updated_at"),
    )
    op.create_table(
        "services",
        sa.Column("carrier", sa.Text, sa.ForeignKey("carriers.carrier"), nullable=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("document", JSONB, nullable=False),
        _set_at("updated_at"),
        sa.PrimaryKeyConstraint("carrier", "service"),
    )
    op.create_table(
        "tariffs",
        sa.Column("carrier", sa.Text, nullable=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("document", JSONB, nullable=False),
        _set_at("created_at"),
        sa.PrimaryKeyConstraint("carrier", "service", "version"),
        sa.ForeignKeyConstraint(["carrier", "service"], ["services.carrier", "services.service"]),
    )
    op.create_table(
        "delivery_tiers",
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("shop", sa.Text, nullable=False),
        sa.Column("tier", sa.Text, nullable=False),
        sa.Column("max_days", sa.Integer, nullable=False),
        _set_at("updated_at"),
        sa.PrimaryKeyConstraint("channel", "shop", "tier"),
    )
    op.create_table(
        "waybill_pools",
        sa.Column("carrier", sa.Text, sa.ForeignKey("carriers.carrier"), primary_key=True),
        sa.Column("prefix", sa.Text, nullable=False, unique=True),
        sa.Column("issued", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    )
    op.execute("insert into rate_book default values")
    op.execute(
        "insert into delivery_tiers (channel, shop, tier, max_days) values"
        " ('*', '*', 'same_day', 0), ('*', '*', 'next_day', 1), ('*', '*', 'express', 3), ('*', '*', 'standard', 14)"
    )


def _create_parcels() -> None:
    op.create_table(
        "parcels",
        sa.Column("shipment_id", sa.Uuid, primary_key=True),
        sa.Column("order_id", sa.Uuid, nullable=False),
        _at("requested_at"),
        sa.Column("node", sa.Text),
        sa.Column("channel", sa.Text),
        sa.Column("shop", sa.Text),
        sa.Column("origin_country", sa.Text),
        sa.Column("ship_to", JSONB),
        sa.Column("tier", sa.Text),
        sa.Column("weight_g", sa.Integer),
        sa.Column("refusal", sa.Text),
        sa.Column("carrier", sa.Text),
        sa.Column("service", sa.Text),
        sa.Column("waybill_serial", sa.BigInteger),
        sa.Column("waybill_no", sa.Text),
        sa.Column("tariff_version", sa.Integer),
        sa.Column("billable_weight_g", sa.Integer),
        sa.Column("cost_minor", sa.BigInteger),
        sa.Column("currency", sa.Text),
        sa.Column("options", JSON),
        _at("assigned_at"),
        _at("promised_at"),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        _at("dispatched_at"),
        sa.Column("shipped_weight_g", sa.Integer),
        _at("cancelled_at"),
        _at("delivered_at"),
        _at("promise_broken_at"),
        sa.Column("last_status", sa.Text),
        _at("last_at"),
        sa.Column("turn_status", sa.Text),
        _at("turn_at"),
        sa.Column("version", sa.Integer, nullable=False),
        _set_at("created_at"),
        _set_at("updated_at"),
        postgresql_with={"fillfactor": "75"},
    )
    op.create_index("parcels_waybill", "parcels", ["waybill_no"], unique=True, postgresql_where=_ISSUED)
    op.create_index("parcels_feed", "parcels", ["carrier", "waybill_serial"], unique=True, postgresql_where=_ISSUED)
    op.create_index("parcels_order", "parcels", ["order_id"])
    op.create_index("parcels_no_carrier", "parcels", ["shipment_id"], postgresql_where=sa.text("state = 'no_carrier'"))
    op.create_table(
        "scans",
        sa.Column("scan_key", sa.Uuid, primary_key=True),
        sa.Column("carrier", sa.Text, nullable=False),
        sa.Column("waybill_no", sa.Text, nullable=False),
        sa.Column("shipment_id", sa.Uuid),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("carrier_code", sa.Text, nullable=False),
        _set_at("received_at"),
    )
    op.create_index("scans_waybill", "scans", ["waybill_no"])
    op.create_index("scans_early", "scans", ["scan_key"], postgresql_where=sa.text("shipment_id is null"))
