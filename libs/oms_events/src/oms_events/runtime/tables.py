"""The messaging tables every service's database has, and the versioned step that creates them."""

from alembic.operations import Operations
from sqlalchemy import (
    BigInteger,
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
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData()


def _now(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


inbox = Table(
    "inbox",
    metadata,
    Column("consumer", Text, nullable=False),
    Column("event_id", Uuid, nullable=False),
    _now("handled_at"),
    PrimaryKeyConstraint("consumer", "event_id"),
    postgresql_partition_by="RANGE (event_id)",
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    # The moment of insertion, not of the transaction's start: the relay takes rows by age, and a key's rows must not
    # look old enough in another order than they were written.
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    # One row carries what one transaction published: the keys, and the records themselves, packed and never encoded
    # again (see `outbox`). An array of each part would cost more than all other writing of the row.
    Column("keys", ARRAY(Text), nullable=False),
    Column("packed", LargeBinary),
    # What `packed` holds, as it was written before there was one: to be dropped once no such version can be at work.
    Column("heads", Text),
    Column("payload", LargeBinary),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("consumer", Text, nullable=False),
    Column("event_id", Uuid),
    Column("event_type", Text),
    Column("key", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("record_offset", BigInteger, nullable=False),
    Column("headers", JSONB, nullable=False),
    Column("payload", LargeBinary),
    _now("created_at"),
    Column("closed_at", DateTime(timezone=True)),
    Column("closed_by", Text),
    Index("dead_letters_open", "consumer", "key", postgresql_where=text("closed_at is null")),
    Index("dead_letters_position", "consumer", "topic", "partition", "record_offset", unique=True),
)

deadlines = Table(
    "deadlines",
    metadata,
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("kind", "key"),
    Index("deadlines_due", "due_at"),
)

traces = Table(
    "traces",
    metadata,
    # The trace in which an order was first met here, of those that somebody wants to see.
    Column("order_id", Uuid, primary_key=True),
    Column("traceparent", Text, nullable=False),
    _now("met_at"),
)


def create_messaging_v1(op: Operations) -> None:
    """Create inbox, outbox, dead letters and deadlines. Called from a service's first migration."""
    # Inbox and outbox as they were first: `upgrade_messaging_v2` changes them.
    op.create_table(
        "inbox",
        Column("consumer", Text, nullable=False),
        Column("event_id", Uuid, nullable=False),
        Column("handled_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        PrimaryKeyConstraint("consumer", "event_id", name="inbox_pkey"),
    )
    op.create_table(
        "outbox",
        Column("id", BigInteger, Identity(), primary_key=True),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
        *(Column(name, ARRAY(Text), nullable=False) for name in ("topics", "keys", "headers")),
        Column("payloads", ARRAY(LargeBinary), nullable=False),
    )
    # Named one by one: a service may keep its own tables in the same metadata, and creates those itself.
    metadata.create_all(op.get_bind(), tables=[dead_letters, deadlines], checkfirst=False)
    # A queue table: rows live for milliseconds, so vacuum must not wait for a share of a table that was once big.
    for table in ("outbox", "deadlines"):
        op.execute(
            f"alter table {table} set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,"
            " autovacuum_vacuum_cost_delay = 0, fillfactor = 70)"
        )
    # Arrays of a batch go out of line. Compressing them would cost more than all other writing of the row.
    for column in ("topics", "keys", "headers", "payloads"):
        op.execute(f"alter table outbox alter column {column} set storage external")
    op.execute("alter table inbox set (autovacuum_vacuum_insert_scale_factor = 0.2)")


def upgrade_messaging_v2(op: Operations) -> None:
    """Partition the inbox by the days of its events, and give outbox rows one text and one run of bytes instead of
    arrays. What is known and what waits to be published is kept."""
    op.execute("alter table inbox rename to inbox_before")
    op.execute("alter table inbox_before rename constraint inbox_pkey to inbox_before_pkey")
    op.execute(
        "create table inbox (like inbox_before including defaults, primary key (consumer, event_id))"
        " partition by range (event_id)"
    )
    op.execute("create table inbox_other partition of inbox default")
    op.execute("alter table inbox_other set (autovacuum_vacuum_insert_scale_factor = 0.2)")
    op.execute("insert into inbox select * from inbox_before")
    op.execute("drop table inbox_before")
    op.execute("alter table outbox add column heads text, add column payload bytea")
    op.execute(
        """
        update outbox set (heads, payload) = (
            select cast(json_agg(json_build_array(topic, cast(header as json), octet_length(bytes))
                                 order by place) as text),
                   string_agg(bytes, cast('' as bytea) order by place)
              from unnest(topics, headers, payloads) with ordinality as record(topic, header, bytes, place))
        """
    )
    op.execute(
        "alter table outbox alter column heads set not null, alter column heads set storage external,"
        " alter column payload set not null, alter column payload set storage external,"
        " drop column topics, drop column headers, drop column payloads"
    )


def upgrade_messaging_v3(op: Operations) -> None:
    """Add the traces of orders."""
    metadata.create_all(op.get_bind(), tables=[traces], checkfirst=False)


def upgrade_messaging_v4(op: Operations) -> None:
    """Give outbox rows one compressed run of bytes. What waits in the form before is published as it is."""
    op.execute("alter table outbox add column packed bytea")
    op.execute(
        "alter table outbox alter column packed set storage external,"
        " alter column heads drop not null, alter column payload drop not null"
    )
