"""Importing a statement, in steps that may be cut short anywhere: read, foot, match, post.

Each step is one transaction that says in the statement's row how far it came. Who comes after a crash reads the file
again from its beginning, skips what is staged, and goes on; what an earlier step posted is not posted again.
"""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import structlog

from oms_events.contracts.intake import StatementReceived
from oms_events.contracts.settlement import StatementImported, StatementRefused
from oms_events.envelope import Batch
from oms_events.runtime.files import FileDamaged, FileMissing, FileStore
from oms_events.runtime.logs import kind_of
from oms_events.runtime.retry import is_transient
from oms_events.runtime.service import Begin, Busy
from oms_events.runtime.settings import Settings
from oms_events.runtime.work import Work
from oms_settlement.adapters import statements, terms
from oms_settlement.adapters.statements import Footed, Statement
from oms_settlement.adapters.terms import Account
from oms_settlement.app.matching import cause_of, match_chunk
from oms_settlement.domain.statements import ExpectedAccount, Reader, Refused, StatementLine, Totals, read

log = structlog.get_logger()

_MOST_DETAIL = 1000


class Unreadable(Exception):
    """The file cannot be read at all, for a reason that lies not in it."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class Overtaken(Exception):
    """Somebody else went on with the statement meanwhile."""


async def on_statement_received(received: Batch[StatementReceived], work: Work) -> None:
    """Take statements down. The same file handed in again is the same statement."""
    wanted = {one.event.account: (one.event.statement.channel, one.event.statement.shop, None) for one in received}
    await terms.open_accounts(work.connection, wanted)
    await statements.register(work.connection, [(one.event.account, one.event.statement, one.meta) for one in received])


async def import_statements(begin: Begin) -> None:
    """Import what was handed in, one statement after the other.

    One that fails for a reason of ours is tried again later, and holds up those of its own account alone: what they
    repeat depends on it. Raises what the last of these met.
    """
    put_off: set[str] = set()
    failure: Exception | None = None
    while True:
        async with begin() as work:
            statement = await statements.next_open(work.connection, put_off)
            account = await terms.account(work.connection, statement.account) if statement else None
        if statement is None or account is None:
            break
        try:
            await _import(begin, statement, account)
        except Overtaken:
            log.info("somebody else imports the statement", statement_id=str(statement.statement_id))
            return
        except Exception as error:
            if is_transient(error) or isinstance(error, Busy):
                raise
            log.error("a statement waits", statement_id=str(statement.statement_id), error=kind_of(error))
            put_off.add(statement.account)
            failure = error
    if failure is not None:
        raise failure


async def _import(begin: Begin, statement: Statement, account: Account) -> None:
    if statement.state in {"received", "parsing"}:
        try:
            totals = await _read(begin, statement, account)
        except Refused as refused:
            await _refuse(begin, statement, refused.code, refused.detail, row=refused.row)
            return
        except Unreadable as unreadable:
            await _refuse(begin, statement, unreadable.code, unreadable.detail)
            return
        except Exception as error:
            if is_transient(error) or isinstance(error, Overtaken | Busy):
                raise
            # Whatever is wrong with one file, those handed in after it must not wait for ever.
            log.error("a statement cannot be read", statement_id=str(statement.statement_id), error=kind_of(error))
            await _refuse(begin, statement, "unreadable", f"reading it failed ({type(error).__name__})")
            return
        async with begin() as work:
            await _still(work, statement)
            await statements.foot(work.connection, statement, account.account_no, _footed(totals))
    while not await _advance(begin, statement):
        pass


async def _read(begin: Begin, statement: Statement, account: Account) -> Totals:
    """Stage the file's lines; answers what the file says of itself. Raises Refused and Unreadable."""
    currency = account.profile.currency if account.profile else account.currency
    if currency is None:
        raise _unknown_account(statement)
    reader = _reader(statement, account, currency)
    place, staged = 0, statement.lines
    reading = _reading(reader)
    try:
        while lines := await reading:
            reading = _reading(reader)  # the next lines, while these are stored
            fresh = lines[max(0, staged - place) :]
            place += len(lines)
            if not fresh:
                continue
            async with begin() as work:
                await _still(work, statement, lines=staged)
                records = _records(statement, account, fresh, first=place - len(fresh))
                await statements.stage(work.connection, statement.statement_no, records, lines=place)
            staged = place
    finally:
        await asyncio.gather(reading, return_exceptions=True)
    return reader.totals


def _reader(statement: Statement, account: Account, currency: str) -> Reader:
    profile, settings = account.profile, Settings()
    expected = ExpectedAccount(statement.channel, statement.shop, currency)
    if profile is not None:
        expected = replace(expected, marketplace=profile.marketplace, order_key=profile.order_key)
    store = FileStore(settings.files_url, max_bytes=settings.files_max_bytes)
    return read(statement.format, _chunks(store, statement.file_sha256), account=expected)


def _chunks(store: FileStore, sha256: str) -> Iterator[bytes]:
    """The file. One that the store lost or damaged is refused like one that came so: handed in again it is another
    story."""
    try:
        yield from store.read(sha256)
    except FileMissing:
        raise Unreadable("file_missing", "the store has no such file; hand it in again") from None
    except FileDamaged:
        raise Unreadable("file_damaged", "the store's file is not what was handed in") from None


def _unknown_account(statement: Statement) -> Unreadable:
    return Unreadable(
        "account_unknown",
        f"{statement.account} has neither a profile nor an order, so its currency is not known",
    )


def _reading(reader: Reader) -> asyncio.Task[list[StatementLine]]:
    """The next lines, in a thread; none at the end."""
    return asyncio.create_task(asyncio.to_thread(_next, reader))


def _next(reader: Reader) -> list[StatementLine]:
    return next(reader, [])


def _records(
    statement: Statement, account: Account, lines: Sequence[StatementLine], *, first: int
) -> Iterator[tuple[Any, ...]]:
    for number, line in enumerate(lines, start=first + 1):
        yield (
            statement.statement_no,
            number,
            line.row,
            account.account_no,
            line.native_id,
            line.native_id or _content(line),
            line.order_no,
            line.component,
            line.amount_minor,
            line.posted_at,
            line.label,
        )


def _content(line: StatementLine) -> str:
    """What tells a line without an id from others: all that it says. No platform's id begins like it."""
    said = "\x1f".join((line.order_no, line.component, str(line.amount_minor), line.posted_at.isoformat(), line.label))
    return "\x1f" + hashlib.blake2b(said.encode(), digest_size=16).hexdigest()


def _footed(totals: Totals) -> Footed:
    return Footed(
        totals.currency,
        totals.statement_no,
        totals.period_from,
        totals.period_to,
        totals.lines,
        totals.total_minor,
    )


async def _still(work: Work, statement: Statement, *, lines: int | None = None) -> Statement:
    """The statement as it stands, locked. Raises Overtaken when it is not where we left it."""
    found = await statements.lock(work.connection, statement.statement_no)
    if found.state in {"posted", "refused", "matching"} or (lines is not None and found.lines != lines):
        raise Overtaken
    return found


async def _advance(begin: Begin, statement: Statement) -> bool:
    """Match the next orders of the statement; answers whether it is finished."""
    async with begin() as work:
        found = await statements.lock(work.connection, statement.statement_no)
        if found.state == "posted":
            return True
        if found.state != "matching":
            raise Overtaken
        if await match_chunk(work, found):
            return False
        await statements.finish(work.connection, found.statement_no, work.now)
        work.emit(_imported(found), cause=cause_of(found, "imported"))
        return True


async def _refuse(begin: Begin, statement: Statement, code: str, detail: str, *, row: int | None = None) -> None:
    async with begin() as work:
        await _still(work, statement)
        detail = detail[:_MOST_DETAIL]
        await statements.refuse(
            work.connection, statement.statement_no, code=code, row=row, detail=detail, now=work.now
        )
        refused = StatementRefused(
            account=statement.account,
            statement_id=statement.statement_id,
            channel=statement.channel,
            shop=statement.shop,
            format=statement.format,
            file_sha256=statement.file_sha256,
            code=code,
            row=row,
            detail=detail,
        )
        work.emit(refused, cause=cause_of(statement, "refused"))


def _imported(statement: Statement) -> StatementImported:
    return StatementImported.model_validate(
        {
            "account": statement.account,
            "statement_id": statement.statement_id,
            "channel": statement.channel,
            "shop": statement.shop,
            "format": statement.format,
            "file_sha256": statement.file_sha256,
            "currency": statement.currency,
            "period_from": statement.period_from,
            "period_to": statement.period_to,
            "lines": statement.lines,
            "total_minor": statement.total_minor,
        }
    )
