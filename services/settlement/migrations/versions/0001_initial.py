"""Accounts, rate cards, orders with what is expected of them, statements, differences, the ledger."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSON

from oms_events.runtime.tables import create_messaging_v1, upgrade_messaging_v2, upgrade_messaging_v3

revision = "0001"
down_revision = None

_NOW = sa.func.now()


def _text(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.Text, nullable=False)


def _minor(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.BigInteger, nullable=False)


def _counted(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0"))


def _at(name: str, *, required: bool = False) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=not required)


def _set_at(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=_NOW)


def upgrade() -> None:
    create_messaging_v1(op)
    upgrade_messaging_v2(op)
    upgrade_messaging_v3(op)
    _create_terms()
    _create_orders()
    _create_statements()
    _create_differences()
    _create_ledger()


def _create_terms() -> None:
    op.create_table(
        "accounts",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("account_no", sa.Integer, sa.Identity(), nullable=False, unique=True),
        _text("channel"),
        _text("shop"),
        sa.Column("profile", JSON),
        sa.Column("currency", sa.Text),
        _set_at("updated_at"),
    )
    op.create_table(
        "rate_book",
        sa.Column("only_row", sa.Boolean, primary_key=True, server_default=sa.text("true")),
        sa.Column("edition", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.CheckConstraint("only_row", name="rate_book_only_row"),
    )
    op.create_table(
        "rate_cards",
        _text("channel"),
        _text("shop"),
        _text("component"),
        _text("currency"),
        _text("version"),
        _at("valid_from", required=True),
        sa.Column("rate_ppm", sa.Integer, nullable=False),
        _minor("fixed_minor"),
        sa.Column("min_minor", sa.BigInteger),
        sa.Column("max_minor", sa.BigInteger),
        _set_at("set_at"),
        sa.PrimaryKeyConstraint("channel", "shop", "component", "currency", "version"),
    )
    op.create_table(
        "write_off_policies",
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("document", JSON, nullable=False),
        _text("set_by"),
        _set_at("set_at"),
    )
    op.execute("insert into rate_book default values")


def _create_orders() -> None:
    op.create_table(
        "orders",
        sa.Column("order_id", sa.Uuid, primary_key=True),
        sa.Column("account", sa.Text),
        sa.Column("channel_order_no", sa.Text),
        sa.Column("currency", sa.Text),
        sa.Column("facts", JSON, nullable=False),
        sa.Column("components", JSON, nullable=False),
        _at("due_at"),
        sa.Column("version", sa.Integer, nullable=False),
        _set_at("created_at"),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index(
        "orders_by_number",
        "orders",
        ["account", "channel_order_no"],
        unique=True,
        postgresql_where=sa.text("account is not null"),
    )
    op.create_index("orders_due", "orders", ["due_at"], postgresql_where=sa.text("due_at is not null"))
    op.create_table(
        "component_totals",
        _text("account"),
        _text("currency"),
        _text("component"),
        _counted("expected_minor"),
        _counted("settled_minor"),
        _counted("matched_minor"),
        _counted("written_off_minor"),
        _counted("lines"),
        _counted("lines_cleared"),
        _counted("value_minor"),
        _counted("value_cleared_minor"),
        sa.PrimaryKeyConstraint("account", "currency", "component"),
        postgresql_with={"fillfactor": "50"},
    )


def _create_statements() -> None:
    op.create_table(
        "statements",
        sa.Column("statement_id", sa.Uuid, primary_key=True),
        sa.Column("statement_no", sa.Integer, sa.Identity(), nullable=False, unique=True),
        _text("account"),
        _text("channel"),
        _text("shop"),
        _text("format"),
        _text("file_sha256"),
        _minor("size_bytes"),
        _text("file_name"),
        _at("uploaded_at", required=True),
        _text("uploaded_by"),
        sa.Column("cause", JSON, nullable=False),
        _text("state"),
        sa.Column("currency", sa.Text),
        sa.Column("platform_no", sa.Text),
        _at("period_from"),
        _at("period_to"),
        _counted("lines"),
        _counted("total_minor"),
        _counted("lines_repeated"),
        _counted("lines_in_conflict"),
        _counted("groups"),
        _counted("groups_done"),
        _counted("conflicts_done"),
        _counted("lines_done"),
        _counted("lines_cleared"),
        sa.Column("code", sa.Text),
        sa.Column("row", sa.BigInteger),
        sa.Column("detail", sa.Text),
        _set_at("received_at"),
        _at("finished_at"),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_index("statements_of_account", "statements", ["account", "statement_no"])
    op.create_index(
        "statements_open",
        "statements",
        ["statement_no"],
        postgresql_where=sa.text("state not in ('posted', 'refused')"),
    )
    op.create_table(
        "statement_lines",
        sa.Column("statement_no", sa.Integer, nullable=False),
        sa.Column("line_no", sa.BigInteger, nullable=False),
        sa.Column("file_row", sa.BigInteger, nullable=False),
        sa.Column("account_no", sa.Integer, nullable=False),
        _text("native_id"),
        _text("identity"),
        _text("order_no"),
        _text("component"),
        _minor("amount_minor"),
        _at("posted_at", required=True),
        _text("label"),
        sa.Column("finding", sa.Text),
        sa.PrimaryKeyConstraint("statement_no", "line_no"),
    )
    op.create_index("statement_lines_identity", "statement_lines", ["account_no", "identity"])
    op.create_table(
        "statement_groups",
        sa.Column("statement_no", sa.Integer, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        _text("order_no"),
        sa.Column("order_id", sa.Uuid),
        _at("settled_at", required=True),
        sa.Column("sums", JSON, nullable=False),
        sa.PrimaryKeyConstraint("statement_no", "position"),
    )
    op.create_index("statement_groups_by_number", "statement_groups", ["statement_no", "order_no"], unique=True)


def _create_differences() -> None:
    op.create_table(
        "differences",
        sa.Column("difference_id", sa.Uuid, primary_key=True),
        sa.Column("difference_no", sa.BigInteger, sa.Identity(), nullable=False, unique=True),
        _text("account"),
        _text("channel"),
        _text("shop"),
        sa.Column("order_id", sa.Uuid),
        _text("order_no"),
        sa.Column("statement_id", sa.Uuid),
        _text("currency"),
        _text("component"),
        _text("reason"),
        _minor("expected_minor"),
        _minor("settled_minor"),
        _counted("lines"),
        _text("detail"),
        _text("state"),
        _at("opened_at", required=True),
        _at("closed_at"),
        sa.Column("closed_by", sa.Text),
        sa.Column("note", sa.Text),
        sa.Column("rule", sa.Text),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_index("differences_of_order", "differences", ["order_id"])
    op.create_index(
        "differences_open", "differences", ["account", "reason"], postgresql_where=sa.text("state = 'open'")
    )
    op.create_index(
        "differences_orphaned",
        "differences",
        ["account", "order_no"],
        postgresql_where=sa.text("state = 'open' and reason = 'MISSING_ORDER'"),
    )
    op.create_table(
        "write_offs",
        sa.Column("write_off_id", sa.Uuid, primary_key=True),
        sa.Column("difference_id", sa.Uuid, sa.ForeignKey("differences.difference_id"), nullable=False),
        _minor("amount_minor"),
        _text("rule"),
        _text("by"),
        _text("note"),
        _at("posted_at", required=True),
        sa.Column("reverses", sa.Uuid),
    )
    op.create_index("write_offs_of_difference", "write_offs", ["difference_id"])
    op.create_table(
        "write_off_days",
        _text("account"),
        _text("currency"),
        _text("spender"),
        sa.Column("day", sa.Date, nullable=False),
        _minor("amount_minor"),
        sa.PrimaryKeyConstraint("account", "currency", "spender", "day"),
    )


def _create_ledger() -> None:
    op.execute(
        "create function sum_of(amounts bigint[]) returns numeric language sql immutable strict parallel safe"
        " return (select sum(amount) from unnest(amounts) as amount)"
    )
    op.create_table(
        "ledger_heads",
        _text("account"),
        _text("currency"),
        _counted("last_no"),
        sa.Column("head_hash", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("account", "currency"),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "journal_entries",
        _text("account"),
        _text("currency"),
        sa.Column("entry_no", sa.BigInteger, nullable=False),
        sa.Column("entry_id", sa.Uuid, nullable=False),
        _text("purpose"),
        sa.Column("order_id", sa.Uuid),
        sa.Column("statement_id", sa.Uuid),
        sa.Column("reverses", sa.Uuid),
        _at("booked_at", required=True),
        sa.Column("ledger_accounts", ARRAY(sa.Text), nullable=False),
        sa.Column("components", ARRAY(sa.Text), nullable=False),
        sa.Column("amounts", ARRAY(sa.BigInteger), nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("account", "currency", "entry_no"),
        sa.CheckConstraint("sum_of(amounts) = 0", name="journal_entries_balance"),
        sa.CheckConstraint(
            "cardinality(amounts) >= 2 and cardinality(amounts) = cardinality(ledger_accounts)"
            " and cardinality(amounts) = cardinality(components)",
            name="journal_entries_whole",
        ),
    )
    op.create_index(
        "journal_entries_once",
        "journal_entries",
        ["order_id", "entry_id"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "ledger_balances",
        _text("account"),
        _text("currency"),
        _text("ledger_account"),
        sa.Column("debit_minor", sa.Numeric(38), nullable=False),
        sa.Column("credit_minor", sa.Numeric(38), nullable=False),
        sa.PrimaryKeyConstraint("account", "currency", "ledger_account"),
        postgresql_with={"fillfactor": "50"},
    )
    # What stands in the journal stands for ever: a correction is another entry.
    op.execute(
        """
        create function refuse_change() returns trigger language plpgsql as $$
        begin
            raise exception '% is append-only: post a reversing entry', tg_table_name
                using errcode = 'restrict_violation';
        end $$
        """
    )
    op.execute(
        "create trigger journal_entries_append_only before update or delete or truncate on journal_entries"
        " for each statement execute function refuse_change()"
    )
