"""What the API asks the database. Rows come back as mappings, ready for the models that show them."""

from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

Row = dict[str, Any]

_STATEMENT = """
    select statement_id, statement_no, account, channel, shop, format, file_sha256, size_bytes, file_name, uploaded_at,
           uploaded_by, state, currency, platform_no, period_from, period_to, lines, total_minor, lines_repeated,
           lines_in_conflict, lines_done, lines_cleared, code, "row", detail, received_at, finished_at
      from statements
"""
_STATEMENTS = text(
    _STATEMENT
    + """
     where statement_no < :before
       and (cast(:channel as text) is null or channel = :channel)
       and (cast(:shop as text) is null or shop = :shop)
       and (cast(:state as text) is null or state = :state)
     order by statement_no desc limit :limit
    """
)
_STATEMENT_BY_ID = text(_STATEMENT + " where statement_id = :statement_id")
# What became of a line is read from its order as it stands: later facts may have cleared it, or a person.
_LINES = text(
    """
    select line.line_no, line.file_row, line.native_id, line.order_no, grouped.order_id, line.component,
           line.amount_minor, line.posted_at, line.label, difference.difference_id, difference.reason,
           case when line.finding is not null then line.finding
                when statement.state <> 'posted' and grouped.position is null then 'read'
                when grouped.position >= statement.groups_done then 'waiting'
                when difference.difference_id is null then
                    case when grouped.order_id is null then 'booked' else 'matched' end
                when difference.state = 'open' then 'different'
                when difference.state = 'written_off' then 'written_off'
                when difference.closed_by = 'system' then 'matched'
                else 'resolved' end as state
      from statements statement
      join statement_lines line using (statement_no)
      left join statement_groups grouped
        on grouped.statement_no = line.statement_no and grouped.order_no = line.order_no
      left join lateral (
          select d.difference_id, d.reason, d.state, d.closed_by from differences d
           where d.component = line.component
             and (d.order_id = grouped.order_id
                  or (grouped.order_id is null and d.order_id is null and d.statement_id = statement.statement_id
                      and d.order_no = line.order_no))
           order by d.difference_no desc limit 1) difference on true
     where statement.statement_id = :statement_id and line.line_no > :after
       and (cast(:order_no as text) is null or line.order_no = :order_no)
     order by line.line_no limit :limit
    """
)
_DIFFERENCE = """
    select difference_id, difference_no, account, channel, shop, order_id, order_no, statement_id, currency, component,
           reason, expected_minor, settled_minor, settled_minor - expected_minor as difference_minor, detail, state,
           opened_at, closed_at, closed_by, note, rule
      from differences
"""
_FILTERS = """
       and (cast(:reason as text) is null or reason = :reason)
       and (cast(:channel as text) is null or channel = :channel)
       and (cast(:shop as text) is null or shop = :shop)
       and (cast(:state as text) is null or state = :state)
       and (cast(:order_id as uuid) is null or order_id = :order_id)
       and (cast(:statement_id as uuid) is null or statement_id = :statement_id)
"""
_DIFFERENCES = text(_DIFFERENCE + " where difference_no > :after" + _FILTERS + " order by difference_no limit :limit")
_DIFFERENCE_BY_ID = text(_DIFFERENCE + " where difference_id = :difference_id")
_WRITE_OFFS = text(
    """
    select write_off_id, amount_minor, rule, by, note, posted_at, reverses from write_offs
     where difference_id = :difference_id order by posted_at, write_off_id
    """
)
_EXPECTATIONS = text(
    """
    select o.order_id, account.channel, account.shop, o.channel_order_no as order_no, o.currency,
           part.key as component, (part.value ->> 0)::bigint as expected_minor,
           (part.value ->> 1)::bigint as settled_minor, (part.value ->> 2)::bigint as written_off_minor,
           (part.value ->> 3)::bigint as lines, (part.value ->> 4)::int as statement_no, o.due_at,
           difference.difference_id, difference.reason, difference.state as difference_state
      from orders o
      join accounts account using (account)
      cross join lateral json_each(o.components) part
      left join differences difference on difference.order_id = o.order_id and difference.component = part.key
                                     and difference.reason <> 'FX_SETTLEMENT'
     where o.order_id = :order_id order by part.key
    """
)
_TOTALS = text(
    """
    select account.account, account.channel, account.shop, total.currency, total.component, total.expected_minor,
           total.settled_minor, total.matched_minor, total.written_off_minor, total.lines, total.lines_cleared,
           total.value_minor, total.value_cleared_minor
      from component_totals total join accounts account using (account)
     order by account.account, total.currency, total.component
    """
)
_OPEN = text(
    """
    select account, currency, component, reason, count(*) as differences, sum(expected_minor)::bigint as expected_minor,
           sum(settled_minor)::bigint as settled_minor,
           sum(settled_minor - expected_minor)::bigint as difference_minor, state = 'open' as open
      from differences where state = 'open' or (state = 'resolved' and closed_by <> 'system')
     group by account, currency, component, reason, state order by account, currency, reason, component
    """
)
_STATEMENT_COUNTS = text(
    "select account, state, count(*) as statements from statements group by account, state order by account, state"
)
_ENTRIES = text(
    """
    select account, currency, entry_no, entry_id, purpose, order_id, statement_id, reverses, booked_at,
           ledger_accounts, components, amounts, hash
      from journal_entries
     where (cast(:account as text) is null or account = :account)
       and (cast(:order_id as uuid) is null or order_id = :order_id)
       and (account, currency, entry_no) > (:after_account, :after_currency, :after_no)
     order by account, currency, entry_no limit :limit
    """
)
_BALANCES = text(
    """
    select account, currency, ledger_account, debit_minor::bigint as debit_minor, credit_minor::bigint as credit_minor
      from ledger_balances where (cast(:account as text) is null or account = :account)
     order by account, currency, ledger_account
    """
)
_CARDS = text(
    """
    select channel, shop, component, currency, version, valid_from, rate_ppm, fixed_minor, min_minor, max_minor, set_at
      from rate_cards
     where (cast(:channel as text) is null or channel = :channel)
       and (cast(:shop as text) is null or shop = :shop)
       and (channel, shop, component, currency, version)
           > (:after_channel, :after_shop, :after_component, :after_currency, :after_version)
     order by channel, shop, component, currency, version limit :limit
    """
)
_ACCOUNTS = text(
    """
    select account, channel, shop, cast(profile as text) as profile, currency, updated_at
      from accounts where account > :after order by account limit :limit
    """
)
_STATES = text("select state, count(*) as statements from statements group by state order by state")
_REASONS = text(
    "select reason, count(*) as differences from differences where state = 'open' group by reason order by reason"
)


async def _rows(connection: AsyncConnection, statement: TextClause, parameters: Mapping[str, Any]) -> list[Row]:
    return [dict(row._mapping) for row in await connection.execute(statement, parameters)]


async def _one(connection: AsyncConnection, statement: TextClause, parameters: Mapping[str, Any]) -> Row | None:
    row = (await connection.execute(statement, parameters)).one_or_none()
    return dict(row._mapping) if row else None


async def list_statements(connection: AsyncConnection, **asked: Any) -> list[Row]:  # noqa: ANN401 - filters of the API
    """A page of statements, newest first."""
    return await _rows(connection, _STATEMENTS, asked)


async def statement(connection: AsyncConnection, statement_id: UUID) -> Row | None:
    return await _one(connection, _STATEMENT_BY_ID, {"statement_id": statement_id})


async def lines(
    connection: AsyncConnection, statement_id: UUID, *, order_no: str | None, after: int, limit: int
) -> list[Row]:
    """A page of a statement's lines, in the order of the file, each with what became of it."""
    asked = {"statement_id": statement_id, "order_no": order_no, "after": after, "limit": limit}
    return await _rows(connection, _LINES, asked)


async def list_differences(connection: AsyncConnection, **asked: Any) -> list[Row]:  # noqa: ANN401 - filters of the API
    """A page of differences, oldest first."""
    return await _rows(connection, _DIFFERENCES, asked)


async def all_differences(
    connection: AsyncConnection,
    page: int,
    **asked: Any,  # noqa: ANN401 - filters of the API
) -> AsyncIterator[list[Row]]:
    """All differences, page by page."""
    after = 0
    while rows := await list_differences(connection, after=after, limit=page, **asked):
        yield rows
        after = rows[-1]["difference_no"]


async def difference(connection: AsyncConnection, difference_id: UUID) -> Row | None:
    """One difference with its write-offs."""
    found = await _one(connection, _DIFFERENCE_BY_ID, {"difference_id": difference_id})
    if found is not None:
        found["write_offs"] = await _rows(connection, _WRITE_OFFS, {"difference_id": difference_id})
    return found


async def expectations(connection: AsyncConnection, order_id: UUID) -> list[Row]:
    """What is expected of an order, component by component, and what came."""
    return await _rows(connection, _EXPECTATIONS, {"order_id": order_id})


async def overview(connection: AsyncConnection) -> tuple[list[Row], list[Row], list[Row]]:
    """Totals by account and component, open differences by account, component and reason, statements by state."""
    return (
        await _rows(connection, _TOTALS, {}),
        await _rows(connection, _OPEN, {}),
        await _rows(connection, _STATEMENT_COUNTS, {}),
    )


async def journal_entries(connection: AsyncConnection, **asked: Any) -> list[Row]:  # noqa: ANN401 - filters of the API
    """A page of journal entries, in the order of their chains."""
    return await _rows(connection, _ENTRIES, asked)


async def balances(connection: AsyncConnection, account: str | None) -> list[Row]:
    """Turnover by ledger account."""
    return await _rows(connection, _BALANCES, {"account": account})


async def rate_cards(connection: AsyncConnection, **asked: Any) -> list[Row]:  # noqa: ANN401 - filters of the API
    """A page of rate cards, every version."""
    return await _rows(connection, _CARDS, asked)


async def accounts(connection: AsyncConnection, after: str, limit: int) -> list[Row]:
    """A page of accounts."""
    return await _rows(connection, _ACCOUNTS, {"after": after, "limit": limit})


async def summary(connection: AsyncConnection) -> dict[str, list[Row]]:
    """Statements by state, open differences by reason."""
    return {"statements": await _rows(connection, _STATES, {}), "differences": await _rows(connection, _REASONS, {})}
