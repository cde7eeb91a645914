"""The journal in the database: entries behind the heads of their chains, and the turnover of ledger accounts."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.runtime.together import together
from oms_settlement.domain.journal import GENESIS, Entry, Numbered

Chain = tuple[str, str]
"""Account and currency: each pair has a chain of its own."""
Turnover = dict[tuple[str, str, str], list[int]]
"""Debits and credits by account, currency and ledger account."""

_LOCK = text(
    """
    select head.account, head.currency, head.last_no, head.head_hash
      from ledger_heads head
      join unnest(cast(:accounts as text[]), cast(:currencies as text[])) as wanted(account, currency)
           using (account, currency)
     order by head.account, head.currency for update of head
    """
)
_BEGIN = text(
    """
    insert into ledger_heads (account, currency, head_hash)
    select account, currency, :genesis
      from unnest(cast(:accounts as text[]), cast(:currencies as text[])) as wanted(account, currency)
     order by account, currency on conflict do nothing
    """
)
_MOVE = text(
    """
    update ledger_heads set last_no = moved.last_no, head_hash = moved.head_hash
      from unnest(cast(:accounts as text[]), cast(:currencies as text[]), cast(:last_nos as bigint[]),
                  cast(:head_hashes as text[])) as moved(account, currency, last_no, head_hash)
     where ledger_heads.account = moved.account and ledger_heads.currency = moved.currency
    """
)
# Arrays of arrays cannot be told apart once they travel as one: each entry's are given as their text.
_APPEND = text(
    """
    insert into journal_entries (account, currency, entry_no, entry_id, purpose, order_id, statement_id, reverses,
                                 booked_at, ledger_accounts, components, amounts, hash)
    select account, currency, entry_no, entry_id, purpose, order_id, statement_id, reverses, booked_at,
           cast(ledger_accounts as text[]), cast(components as text[]), cast(amounts as bigint[]), hash
      from unnest(cast(:account as text[]), cast(:currency as text[]), cast(:entry_no as bigint[]),
                  cast(:entry_id as uuid[]), cast(:purpose as text[]), cast(:order_id as uuid[]),
                  cast(:statement_id as uuid[]), cast(:reverses as uuid[]), cast(:booked_at as timestamptz[]),
                  cast(:ledger_accounts as text[]), cast(:components as text[]), cast(:amounts as text[]),
                  cast(:hash as text[]))
           as n(account, currency, entry_no, entry_id, purpose, order_id, statement_id, reverses, booked_at,
                ledger_accounts, components, amounts, hash)
    """
)
_ADD_TURNOVER = text(
    """
    insert into ledger_balances as known (account, currency, ledger_account, debit_minor, credit_minor)
    select * from unnest(cast(:account as text[]), cast(:currency as text[]), cast(:ledger_account as text[]),
                         cast(:debit_minor as bigint[]), cast(:credit_minor as bigint[]))
    on conflict (account, currency, ledger_account) do update
       set debit_minor = known.debit_minor + excluded.debit_minor,
           credit_minor = known.credit_minor + excluded.credit_minor
    """
)
_HEADS = text("select account, currency, last_no, head_hash from ledger_heads order by account, currency")
_PAGE = text(
    """
    select account, currency, entry_no, cast(entry_id as text) as entry_id, purpose, cast(order_id as text) as order_id,
           cast(statement_id as text) as statement_id, cast(reverses as text) as reverses, booked_at, ledger_accounts,
           components, amounts, hash
      from journal_entries
     where account = :account and currency = :currency and entry_no > :after
     order by entry_no limit :page
    """
)
_BALANCES = text(
    """
    select account, currency, ledger_account, debit_minor::bigint as debit_minor, credit_minor::bigint as credit_minor
      from ledger_balances order by account, currency, ledger_account
    """
)


async def lock_heads(connection: AsyncConnection, chains: Collection[Chain]) -> dict[Chain, tuple[int, str]]:
    """Last number and hash of each chain, locked until the transaction ends; a chain without entries is begun."""
    wanted = sorted(chains)
    parameters: dict[str, Any] = {"accounts": [one for one, _ in wanted], "currencies": [one for _, one in wanted]}
    found = await _heads(connection, parameters)
    if len(found) < len(wanted):
        await connection.execute(_BEGIN, parameters | {"genesis": GENESIS})
        found = await _heads(connection, parameters)
    return found


async def _heads(connection: AsyncConnection, parameters: Mapping[str, Any]) -> dict[Chain, tuple[int, str]]:
    rows = await connection.execute(_LOCK, parameters)
    return {(row.account, row.currency): (row.last_no, row.head_hash) for row in rows}


async def append(connection: AsyncConnection, numbered: Mapping[Chain, Sequence[Numbered]]) -> Turnover:
    """Write entries behind heads that are locked; answers the turnover that they added."""
    added = turnover(one.entry for entries in numbered.values() for one in entries)
    ends = [(*chain, entries[-1].entry_no, entries[-1].hash) for chain, entries in sorted(numbered.items())]
    accounts, currencies, last_nos, head_hashes = map(list, zip(*ends, strict=True))
    async with together(connection) as writing:
        await writing.execute(_APPEND, _columns([one for entries in numbered.values() for one in entries]))
        await writing.execute(_ADD_TURNOVER, _turnover_columns(added))
        await writing.execute(
            _MOVE,
            {"accounts": accounts, "currencies": currencies, "last_nos": last_nos, "head_hashes": head_hashes},
        )
    return added


def turnover(entries: Iterable[Entry]) -> Turnover:
    """Debits and credits of entries by account, currency and ledger account."""
    added: Turnover = defaultdict(lambda: [0, 0])
    for entry in entries:
        for ledger_account, amount in zip(entry.ledger_accounts, entry.amounts, strict=True):
            sides = added[entry.account, entry.currency, ledger_account]
            if amount > 0:
                sides[0] += amount
            else:
                sides[1] -= amount
    return added


def _columns(numbered: Sequence[Numbered]) -> dict[str, Any]:
    entries = [one.entry for one in numbered]
    return {
        "account": [one.account for one in entries],
        "currency": [one.currency for one in entries],
        "entry_no": [one.entry_no for one in numbered],
        "entry_id": [one.entry_id for one in entries],
        "purpose": [one.purpose for one in entries],
        "order_id": [one.order_id for one in entries],
        "statement_id": [one.statement_id for one in entries],
        "reverses": [one.reverses for one in entries],
        "booked_at": [one.booked_at for one in entries],
        "ledger_accounts": [_array(one.ledger_accounts) for one in entries],
        "components": [_array(one.components) for one in entries],
        "amounts": [_array(one.amounts) for one in entries],
        "hash": [one.hash for one in numbered],
    }


def _array(values: Sequence[object]) -> str:
    """An array as PostgreSQL writes it. Codes and numbers need no quotes."""
    return "{" + ",".join(map(str, values)) + "}"


def _turnover_columns(added: Turnover) -> dict[str, Any]:
    rows = sorted(added.items())
    return {
        "account": [key[0] for key, _ in rows],
        "currency": [key[1] for key, _ in rows],
        "ledger_account": [key[2] for key, _ in rows],
        "debit_minor": [sides[0] for _, sides in rows],
        "credit_minor": [sides[1] for _, sides in rows],
    }


async def heads(connection: AsyncConnection) -> list[Row[Any]]:
    """Where every chain ends."""
    return list(await connection.execute(_HEADS))


async def entries_of(
    connection: AsyncConnection, account: str, currency: str, page: int
) -> AsyncIterator[list[Numbered]]:
    """A chain from its beginning, page by page."""
    after = 0
    while True:
        asked = {"account": account, "currency": currency, "after": after, "page": page}
        found = [_numbered(row) for row in await connection.execute(_PAGE, asked)]
        if not found:
            return
        yield found
        after = found[-1].entry_no


def _numbered(row: Row[Any]) -> Numbered:
    return Numbered(
        row.entry_no,
        row.hash,
        Entry(
            row.account,
            row.currency,
            row.entry_id,
            row.purpose,
            row.booked_at,
            tuple(row.ledger_accounts),
            tuple(row.components),
            tuple(row.amounts),
            row.order_id,
            row.statement_id,
            row.reverses,
        ),
    )


async def balances(connection: AsyncConnection) -> Turnover:
    """The turnover that is kept beside the journal."""
    rows = await connection.execute(_BALANCES)
    return {(row.account, row.currency, row.ledger_account): [row.debit_minor, row.credit_minor] for row in rows}
