"""The tables of settlement."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON

metadata = MetaData()


def _text(name: str) -> Column[object]:
    return Column(name, Text, nullable=False)


def _minor(name: str) -> Column[object]:
    return Column(name, BigInteger, nullable=False)


def _counted(name: str) -> Column[object]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


def _at(name: str, *, required: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=not required)


def _set_at(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


accounts = Table(
    "accounts",
    metadata,
    # `channel/shop`. The number stands for it where a million rows name it.
    Column("account", Text, primary_key=True),
    Column("account_no", Integer, Identity(), nullable=False, unique=True),
    _text("channel"),
    _text("shop"),
    # As a person set it; null while nobody did. The currency is then that of the first order.
    Column("profile", JSON),
    Column("currency", Text),
    _set_at("updated_at"),
)

rate_book = Table(
    "rate_book",
    metadata,
    # One row. `edition` changes with every rate card and profile: whoever keeps them in memory compares it.
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("edition", Uuid, nullable=False, server_default=text("gen_random_uuid()")),
    CheckConstraint("only_row", name="rate_book_only_row"),
)

rate_cards = Table(
    "rate_cards",
    metadata,
    # Never updated: accruals name the version they were computed by. A shop of `*` is every shop.
    _text("channel"),
    _text("shop"),
    _text("component"),
    _text("currency"),
    _text("version"),
    _at("valid_from", required=True),
    Column("rate_ppm", Integer, nullable=False),
    _minor("fixed_minor"),
    Column("min_minor", BigInteger),
    Column("max_minor", BigInteger),
    _set_at("set_at"),
    PrimaryKeyConstraint("channel", "shop", "component", "currency", "version"),
)

write_off_policies = Table(
    "write_off_policies",
    metadata,
    # The newest version is in force; every write-off names the version that allowed it.
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("document", JSON, nullable=False),
    _text("set_by"),
    _set_at("set_at"),
)

orders = Table(
    "orders",
    metadata,
    Column("order_id", Uuid, primary_key=True),
    # Null until the order itself is heard of: a dispatch may come first.
    Column("account", Text),
    Column("channel_order_no", Text),
    Column("currency", Text),
    # All that was heard, and per component what is expected, settled and written off. Kept as documents: an order
    # is always read and written whole, and one row costs a third of one per component.
    Column("facts", JSON, nullable=False),
    Column("components", JSON, nullable=False),
    # When money should have come; null while nothing is due, and once nothing is open.
    _at("due_at"),
    Column("version", Integer, nullable=False),
    _set_at("created_at"),
    Index("orders_by_number", "account", "channel_order_no", unique=True, postgresql_where=text("account is not null")),
    Index("orders_due", "due_at", postgresql_where=text("due_at is not null")),
    # Every step of an order updates the row: room on the page keeps its indexes out of it.
    postgresql_with={"fillfactor": "70"},
)

component_totals = Table(
    "component_totals",
    metadata,
    # Sums over the orders of an account, kept in the transaction that changes them.
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
    PrimaryKeyConstraint("account", "currency", "component"),
    postgresql_with={"fillfactor": "50"},
)

statements = Table(
    "statements",
    metadata,
    # Derived from the account and the file's hash: the same file handed in again is the same statement.
    Column("statement_id", Uuid, primary_key=True),
    Column("statement_no", Integer, Identity(), nullable=False, unique=True),
    _text("account"),
    _text("channel"),
    _text("shop"),
    _text("format"),
    _text("file_sha256"),
    _minor("size_bytes"),
    _text("file_name"),
    _at("uploaded_at", required=True),
    _text("uploaded_by"),
    # The envelope of the event that brought it: what the import emits is caused by it.
    Column("cause", JSON, nullable=False),
    # received, parsing, matching, posted, refused
    _text("state"),
    Column("currency", Text),
    Column("platform_no", Text),
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
    Column("code", Text),
    Column("row", BigInteger),
    Column("detail", Text),
    _set_at("received_at"),
    _at("finished_at"),
    Index("statements_of_account", "account", "statement_no"),
    Index("statements_open", "statement_no", postgresql_where=text("state not in ('posted', 'refused')")),
    postgresql_with={"fillfactor": "50"},
)

statement_lines = Table(
    "statement_lines",
    metadata,
    Column("statement_no", Integer, nullable=False),
    Column("line_no", BigInteger, nullable=False),
    Column("file_row", BigInteger, nullable=False),
    Column("account_no", Integer, nullable=False),
    _text("native_id"),
    # What makes a line the same line in another file: the platform's id, or all that the line says.
    _text("identity"),
    _text("order_no"),
    _text("component"),
    _minor("amount_minor"),
    _at("posted_at", required=True),
    _text("label"),
    # Why the line does not count: `repeated` (another file brought it) or `conflict` (another file says otherwise).
    Column("finding", Text),
    PrimaryKeyConstraint("statement_no", "line_no"),
    Index("statement_lines_identity", "account_no", "identity"),
)

statement_groups = Table(
    "statement_groups",
    metadata,
    # What a statement says of one order, per component: amount and number of lines. No order number: of the account.
    Column("statement_no", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    _text("order_no"),
    Column("order_id", Uuid),
    _at("settled_at", required=True),
    Column("sums", JSON, nullable=False),
    PrimaryKeyConstraint("statement_no", "position"),
    Index("statement_groups_by_number", "statement_no", "order_no", unique=True),
)

differences = Table(
    "differences",
    metadata,
    # One row for ever for a component of an order; it may be closed and opened again.
    Column("difference_id", Uuid, primary_key=True),
    Column("difference_no", BigInteger, Identity(), nullable=False, unique=True),
    _text("account"),
    _text("channel"),
    _text("shop"),
    Column("order_id", Uuid),
    _text("order_no"),
    Column("statement_id", Uuid),
    _text("currency"),
    _text("component"),
    _text("reason"),
    _minor("expected_minor"),
    _minor("settled_minor"),
    _counted("lines"),
    _text("detail"),
    # open, written_off, resolved
    _text("state"),
    _at("opened_at", required=True),
    _at("closed_at"),
    Column("closed_by", Text),
    Column("note", Text),
    Column("rule", Text),
    Column("version", Integer, nullable=False),
    Index("differences_of_order", "order_id"),
    Index("differences_open", "account", "reason", postgresql_where=text("state = 'open'")),
    Index(
        "differences_orphaned",
        "account",
        "order_no",
        postgresql_where=text("state = 'open' and reason = 'MISSING_ORDER'"),
    ),
)

write_offs = Table(
    "write_offs",
    metadata,
    # Never updated: undoing one is another that names it.
    Column("write_off_id", Uuid, primary_key=True),
    Column("difference_id", Uuid, ForeignKey("differences.difference_id"), nullable=False),
    _minor("amount_minor"),
    _text("rule"),
    _text("by"),
    _text("note"),
    _at("posted_at", required=True),
    Column("reverses", Uuid),
    Index("write_offs_of_difference", "difference_id"),
)

write_off_days = Table(
    "write_off_days",
    metadata,
    # What one limit let through on one day, in absolute minor units.
    _text("account"),
    _text("currency"),
    _text("spender"),
    Column("day", Date, nullable=False),
    _minor("amount_minor"),
    PrimaryKeyConstraint("account", "currency", "spender", "day"),
)

ledger_heads = Table(
    "ledger_heads",
    metadata,
    # The end of each chain. The row stays locked until its transaction ends, so numbers have no gaps.
    _text("account"),
    _text("currency"),
    _counted("last_no"),
    _text("head_hash"),
    PrimaryKeyConstraint("account", "currency"),
    postgresql_with={"fillfactor": "50"},
)

journal_entries = Table(
    "journal_entries",
    metadata,
    # Append-only by a trigger. The three arrays are the entry's postings; an amount above zero is a debit.
    _text("account"),
    _text("currency"),
    Column("entry_no", BigInteger, nullable=False),
    Column("entry_id", Uuid, nullable=False),
    _text("purpose"),
    Column("order_id", Uuid),
    Column("statement_id", Uuid),
    Column("reverses", Uuid),
    _at("booked_at", required=True),
    Column("ledger_accounts", ARRAY(Text), nullable=False),
    Column("components", ARRAY(Text), nullable=False),
    Column("amounts", ARRAY(BigInteger), nullable=False),
    _text("hash"),
    PrimaryKeyConstraint("account", "currency", "entry_no"),
    CheckConstraint("sum_of(amounts) = 0", name="journal_entries_balance"),
    CheckConstraint(
        "cardinality(amounts) >= 2 and cardinality(amounts) = cardinality(ledger_accounts)"
        " and cardinality(amounts) = cardinality(components)",
        name="journal_entries_whole",
    ),
    Index("journal_entries_once", "order_id", "entry_id", unique=True, postgresql_nulls_not_distinct=True),
)

ledger_balances = Table(
    "ledger_balances",
    metadata,
    # Turnover per ledger account, kept in the transaction that posts; `oms-settlement ledger verify` sums it up anew.
    _text("account"),
    _text("currency"),
    _text("ledger_account"),
    Column("debit_minor", Numeric(38), nullable=False),
    Column("credit_minor", Numeric(38), nullable=False),
    PrimaryKeyConstraint("account", "currency", "ledger_account"),
    postgresql_with={"fillfactor": "50"},
)
