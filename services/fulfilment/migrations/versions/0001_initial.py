"""The first schema.

Revision ID: 0001
Revises:
"""

import json

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from oms_events.runtime.tables import create_messaging_v1

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_EUROPE = [
    *("AT", "BE", "BG", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "GR", "HR", "HU", "IE", "IS"),
    *("IT", "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK"),
]
_DEFAULT_RULES = {
    "currency": "EUR",
    "max_splits": 4,
    "max_attempts": 5,
    "split_penalty_minor": 250,
    "lateness_minor_per_day": 300,
    "tier_days": {"same_day": 0, "next_day": 1, "express": 2, "standard": 5},
    "zones": [
        {"name": "domestic", "domestic": True, "base_minor": 320, "per_kg_minor": 45, "days": 1},
        {
            "name": "europe",
            "origins": _EUROPE,
            "destinations": _EUROPE,
            "base_minor": 780,
            "per_kg_minor": 140,
            "days": 3,
        },
        {"name": "world", "base_minor": 1650, "per_kg_minor": 520, "days": 7},
    ],
}


def upgrade() -> None:
    """Create everything, with rule set `default` and a network without nodes."""
    create_messaging_v1(op)
    _create_master_data()
    _create_demands()
    _create_shipments()
    # Rows whose state changes several times in their first minutes: room for the new versions on the same page. Every
    # shipment changes, and a batch changes all of a page at once.
    for table, percent in {"demands": 75, "shipments": 50, "node_stock": 75}.items():
        op.execute(f"alter table {table} set (fillfactor = {percent})")
    op.execute("insert into networks (version, nodes) values (0, '[]')")
    op.execute(
        sa.text(
            "insert into rule_sets (name, version, document) values ('default', 1, cast(:document as jsonb))"
        ).bindparams(document=json.dumps(_DEFAULT_RULES))
    )


def _moment(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())


def _required(name: str, type_: object) -> sa.Column[object]:
    return sa.Column(name, type_, nullable=False)  # type: ignore[call-overload,no-any-return]


def _create_master_data() -> None:
    op.create_table(
        "networks",
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        _required("nodes", pg.JSONB),
        _moment("created_at"),
    )
    op.create_table(
        "rule_sets",
        _required("name", sa.Text),
        _required("version", sa.Integer),
        _required("document", pg.JSONB),
        _moment("active_from"),
        sa.PrimaryKeyConstraint("name", "version"),
    )
    op.create_table(
        "node_days",
        _required("node", sa.Text),
        _required("day", sa.Date),
        _required("planned", sa.Integer),
        sa.PrimaryKeyConstraint("node", "day"),
    )
    op.create_table(
        "sku_facts",
        sa.Column("sku", sa.Text, primary_key=True),
        _required("weight_g", sa.Integer),
        _required("flags", pg.ARRAY(sa.Text)),
    )
    op.create_table(
        "node_stock",
        _required("sku", sa.Text),
        _required("node", sa.Text),
        _required("available", sa.BigInteger),
        _required("change_no", sa.BigInteger),
        sa.PrimaryKeyConstraint("sku", "node"),
    )


def _create_demands() -> None:
    op.create_table(
        "demands",
        sa.Column("order_id", sa.Uuid, primary_key=True),
        _required("channel", sa.Text),
        _required("shop", sa.Text),
        _required("ship_to", pg.JSONB),
        _required("tier", sa.Text),
        sa.Column("ship_by", sa.DateTime(timezone=True)),
        _required("lines", pg.JSONB),
        _required("state", sa.Text),
        _required("attempt", sa.Integer),
        _required("failures", sa.Integer),
        _required("failure", sa.Text),
        _required("told", sa.Text),
        _required("lacking", pg.ARRAY(sa.Text)),
        _required("excluded", pg.JSONB),
        _moment("created_at"),
        _moment("updated_at"),
    )
    op.create_index("demands_waiting", "demands", ["order_id"], postgresql_where=sa.text("state = 'waiting'"))
    op.create_table(
        "decisions",
        sa.Column("decision_id", sa.Uuid, primary_key=True),
        _required("order_id", sa.Uuid),
        _required("attempt", sa.Integer),
        _required("rule_set", sa.Text),
        _required("rule_set_version", sa.Integer),
        _required("network_version", sa.Integer),
        # Only kept and shown, nothing looks into it: parsing it into jsonb would cost as much as all other columns.
        _required("inputs", pg.JSON),
        _required("alternatives", pg.JSON),
        _required("chosen", pg.JSON),
        _required("reason", sa.Text),
        _required("decided_at", sa.DateTime(timezone=True)),
    )
    op.create_index("decisions_order", "decisions", ["order_id", "attempt"])
    op.create_table(
        "cancellations",
        sa.Column("cancellation_id", sa.Uuid, primary_key=True),
        _required("order_id", sa.Uuid),
        _moment("answered_at"),
    )


def _create_shipments() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("release_numbers")))
    op.create_table(
        "shipments",
        sa.Column("shipment_id", sa.Uuid, primary_key=True),
        _required("order_id", sa.Uuid),
        _required("decision_id", sa.Uuid),
        _required("node", sa.Text),
        _required("origin_country", sa.Text),
        _required("planned_on", sa.Date),
        _required("lines", pg.JSONB),
        _required("weight_g", sa.BigInteger),
        _required("state", sa.Text),
        _required("carrier", sa.Text),
        _required("service", sa.Text),
        _required("waybill_no", sa.Text),
        _required("note", sa.Text),
        _required("untold", pg.JSONB),
        _required("version", sa.Integer),
        sa.Column("released_seq", sa.BigInteger),
        _moment("created_at"),
        _moment("updated_at"),
    )
    op.create_index("shipments_order", "shipments", ["order_id"])
    op.create_index(
        "shipments_feed", "shipments", ["node", "released_seq"], postgresql_where=sa.text("released_seq is not null")
    )
    op.create_table(
        "warehouse_reports",
        _required("shipment_id", sa.Uuid),
        _required("report_no", sa.Text),
        _required("node", sa.Text),
        _required("kind", sa.Text),
        _required("document", pg.JSONB),
        _required("state", sa.Text),
        _required("reason", sa.Text),
        _moment("received_at"),
        sa.PrimaryKeyConstraint("shipment_id", "report_no"),
    )
    op.create_index(
        "warehouse_reports_open",
        "warehouse_reports",
        ["state", "shipment_id", "report_no"],
        postgresql_where=sa.text("state <> 'applied'"),
    )
