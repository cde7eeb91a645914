"""The books: entries, balances."""

from collections import defaultdict
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import TypeAdapter

from oms_events.contracts.settlement import Account
from oms_events.contracts.shared import Words
from oms_events.runtime.http import Cursor, Limit, Page, Serial, read_cursor, write_cursor
from oms_events.runtime.lifecycle import Runtime
from oms_settlement.adapters import queries
from oms_settlement.app.verification import verify
from oms_settlement.domain.chart import NAMES
from oms_settlement.entrypoints.views import (
    CurrencyTotal,
    FaultView,
    JournalEntryView,
    PostingView,
    TrialBalance,
    TrialBalanceRow,
    VerificationView,
)

_FAULTS_SHOWN = 100
_BY_CHAIN = TypeAdapter(tuple[Words, Words, Serial])


def router(runtime: Runtime) -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.get("/v1/journal-entries")
    async def list_journal_entries(
        account: Annotated[Account | None, Query()] = None,
        order_id: UUID | None = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[JournalEntryView]:
        """Journal entries in the order of their chains, of one account or one order or all."""
        position = read_cursor(cursor, _BY_CHAIN) or ("", "", 0)
        async with runtime.connection() as connection:
            rows = await queries.journal_entries(
                connection,
                account=account,
                order_id=order_id,
                after_account=position[0],
                after_currency=position[1],
                after_no=position[2],
                limit=limit,
            )
        items = [_entry(row) for row in rows]
        last = items[-1] if len(items) == limit else None
        return Page(items=items, next_cursor=write_cursor(last.account, last.currency, last.entry_no) if last else None)

    @router.get("/v1/trial-balance")
    async def show_trial_balance(account: Annotated[Account | None, Query()] = None) -> TrialBalance:
        """Every ledger account's turnover and balance, of one wallet or all."""
        async with runtime.connection() as connection:
            rows = await queries.balances(connection, account)
        return _trial_balance(rows)

    @router.get("/v1/ledger/verification")
    async def verify_ledger() -> VerificationView:
        """Compute every chain and every balance anew. Takes a second per some ten thousand entries."""
        async with runtime.connection() as connection:
            found = await verify(connection)
        faults = [FaultView(**fault._asdict()) for fault in found.faults[:_FAULTS_SHOWN]]
        return VerificationView(sound=not found.faults, chains=found.chains, entries=found.entries, faults=faults)

    return router


def _entry(row: dict[str, Any]) -> JournalEntryView:
    sides = zip(row.pop("ledger_accounts"), row.pop("components"), row.pop("amounts"), strict=True)
    postings = [
        PostingView(
            ledger_account=ledger_account,
            name=NAMES[ledger_account],
            component=component,
            debit_minor=max(amount, 0),
            credit_minor=max(-amount, 0),
        )
        for ledger_account, component, amount in sides
    ]
    return JournalEntryView(**row, postings=postings)


def _trial_balance(rows: list[dict[str, Any]]) -> TrialBalance:
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        totals[row["currency"]][0] += row["debit_minor"]
        totals[row["currency"]][1] += row["credit_minor"]
    return TrialBalance(
        balanced=all(debit == credit for debit, credit in totals.values()),
        totals=[
            CurrencyTotal(currency=currency, debit_minor=debit, credit_minor=credit)
            for currency, (debit, credit) in sorted(totals.items())
        ],
        rows=[
            TrialBalanceRow(
                **row,
                name=NAMES[row["ledger_account"]],
                balance_minor=row["debit_minor"] - row["credit_minor"],
            )
            for row in rows
        ],
    )
