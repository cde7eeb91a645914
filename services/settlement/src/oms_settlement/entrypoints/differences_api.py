"""Differences: lists, an export for spreadsheets."""

import csv
import io
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import Field

from oms_events.contracts.shared import Code, Words
from oms_events.runtime.http import BY_SERIAL, Cursor, Limit, Page, read_cursor, write_cursor
from oms_events.runtime.lifecycle import Runtime
from oms_events.runtime.problems import not_found
from oms_settlement.adapters import queries
from oms_settlement.adapters.documents import Document
from oms_settlement.app import decisions
from oms_settlement.entrypoints.actor import Actor
from oms_settlement.entrypoints.views import DifferenceDetail, DifferenceState, DifferenceView

_EXPORT_PAGE = 2000
_COLUMNS = tuple(DifferenceView.model_fields)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Reasoned(Document):
    """Why somebody decides so."""

    note: Annotated[Words, Field(max_length=500)] = ""


class ReasonedInWords(Document):
    """Why somebody decides so, in words that others will read."""

    note: Annotated[Words, Field(min_length=1, max_length=500)]


@dataclass(frozen=True, slots=True)
class Filters:
    """Which differences: those that agree with every filter given."""

    reason: Annotated[Code | None, Query()] = None
    channel: Annotated[Code | None, Query()] = None
    shop: Annotated[Code | None, Query()] = None
    state: DifferenceState | None = None
    order_id: UUID | None = None
    statement_id: UUID | None = None


def router(runtime: Runtime) -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.get("/v1/differences")
    async def list_differences(
        filters: Annotated[Filters, Depends()], limit: Limit = 50, cursor: Cursor = None
    ) -> Page[DifferenceView]:
        """Differences, oldest first."""
        (after,) = read_cursor(cursor, BY_SERIAL) or (0,)
        async with runtime.connection() as connection:
            rows = await queries.list_differences(connection, after=after, limit=limit, **asdict(filters))
        items = [DifferenceView.model_validate(row) for row in rows]
        return Page(items=items, next_cursor=write_cursor(rows[-1]["difference_no"]) if len(rows) == limit else None)

    @router.get("/v1/differences:export", response_class=StreamingResponse)
    async def export_differences(filters: Annotated[Filters, Depends()]) -> StreamingResponse:
        """Differences as CSV. A cell that a spreadsheet would take for a formula begins with an apostrophe."""
        headers = {"content-disposition": 'attachment; filename="differences.csv"'}
        return StreamingResponse(_csv(runtime, filters), media_type="text/csv; charset=utf-8", headers=headers)

    @router.get("/v1/differences/{difference_id}")
    async def show_difference(difference_id: UUID) -> DifferenceDetail:
        """One difference with its write-offs."""
        async with runtime.connection() as connection:
            row = await queries.difference(connection, difference_id)
        if row is None:
            raise not_found(f"difference {difference_id}")
        return DifferenceDetail.model_validate(row)

    @router.post("/v1/differences/{difference_id}:write-off")
    async def write_off_difference(difference_id: UUID, actor: Actor, reasoned: Reasoned) -> DifferenceDetail:
        """Accept a difference as it is, within the limits of the caller's role; beyond one the answer names it."""
        async with runtime.transaction() as work:
            await decisions.write_off(work, difference_id, role=actor.role, by=actor.name, note=reasoned.note)
        return await show_difference(difference_id)

    @router.post("/v1/differences/{difference_id}:undo-write-off")
    async def undo_write_off(difference_id: UUID, actor: Actor, reasoned: Reasoned) -> DifferenceDetail:
        """Open a written-off difference again. Its entry is reversed by another, never removed."""
        actor.require("operator", "finance")
        async with runtime.transaction() as work:
            await decisions.undo_write_off(work, difference_id, by=actor.name, note=reasoned.note)
        return await show_difference(difference_id)

    @router.post("/v1/differences/{difference_id}:resolve")
    async def resolve_difference(difference_id: UUID, actor: Actor, reasoned: ReasonedInWords) -> DifferenceDetail:
        """Close a difference that was settled elsewhere. The books stay as they are."""
        actor.require("operator", "finance")
        async with runtime.transaction() as work:
            await decisions.resolve(work, difference_id, by=actor.name, note=reasoned.note)
        return await show_difference(difference_id)

    return router


async def _csv(runtime: Runtime, filters: Filters) -> AsyncIterator[bytes]:
    yield _encoded([_COLUMNS])
    async with runtime.connection() as connection:
        async for rows in queries.all_differences(connection, _EXPORT_PAGE, **asdict(filters)):
            yield _encoded([[_cell(row[column]) for column in _COLUMNS] for row in rows])


def _encoded(rows: list[Any]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue().encode()


def _cell(value: object) -> str:
    """A cell as a spreadsheet may open it. Numbers of ours may begin with a minus, words of others may not."""
    if isinstance(value, int):
        return str(value)
    said = "" if value is None else str(value)
    return f"'{said}" if said.startswith(_FORMULA) else said
