"""Statements, what is expected of orders, and how both stand to each other."""

from collections import defaultdict
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query

from oms_events.contracts.shared import Code, Text
from oms_events.runtime.http import BY_SERIAL, Cursor, Limit, Page, read_cursor, write_cursor
from oms_events.runtime.lifecycle import Runtime
from oms_events.runtime.problems import not_found
from oms_settlement.adapters import queries
from oms_settlement.entrypoints.views import (
    AccountOverview,
    ComponentTotal,
    ExpectationState,
    ExpectationView,
    OrderExpectations,
    Overview,
    ReasonTotal,
    StatementLineView,
    StatementState,
    StatementView,
    Summary,
)

_AFTER_ALL = 2**31 - 1
_SUMMED = ("expected_minor", "settled_minor", "matched_minor", "written_off_minor", "lines", "lines_cleared")


def router(runtime: Runtime) -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.get("/v1/statements")
    async def list_statements(
        channel: Annotated[Code | None, Query()] = None,
        shop: Annotated[Code | None, Query()] = None,
        state: StatementState | None = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[StatementView]:
        """Statements, newest first."""
        (before,) = read_cursor(cursor, BY_SERIAL) or (_AFTER_ALL,)
        async with runtime.connection() as connection:
            rows = await queries.list_statements(
                connection, before=before, channel=channel, shop=shop, state=state, limit=limit
            )
        items = [StatementView.model_validate(row) for row in rows]
        return Page(items=items, next_cursor=write_cursor(rows[-1]["statement_no"]) if len(rows) == limit else None)

    @router.get("/v1/statements/{statement_id}")
    async def show_statement(statement_id: UUID) -> StatementView:
        """One statement, and how far it is."""
        async with runtime.connection() as connection:
            row = await queries.statement(connection, statement_id)
        if row is None:
            raise not_found(f"statement {statement_id}")
        return StatementView.model_validate(row)

    @router.get("/v1/statements/{statement_id}/lines")
    async def list_statement_lines(
        statement_id: UUID,
        order_no: Annotated[Text | None, Query()] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[StatementLineView]:
        """A statement's lines in the order of the file, each with what became of it."""
        (after,) = read_cursor(cursor, BY_SERIAL) or (0,)
        async with runtime.connection() as connection:
            if await queries.statement(connection, statement_id) is None:
                raise not_found(f"statement {statement_id}")
            rows = await queries.lines(connection, statement_id, order_no=order_no, after=after, limit=limit)
        items = [StatementLineView.model_validate(row) for row in rows]
        return Page(items=items, next_cursor=write_cursor(items[-1].line_no) if len(items) == limit else None)

    @router.get("/v1/expectations")
    async def show_expectations(order_id: Annotated[UUID, Query()]) -> OrderExpectations:
        """What is expected of an order, component by component, and what came."""
        async with runtime.connection() as connection:
            rows = await queries.expectations(connection, order_id)
        if not rows:
            raise not_found(f"anything expected of order {order_id}")
        first = rows[0]
        return OrderExpectations(**first, components=[_expectation(row) for row in rows])

    @router.get("/v1/settlement/overview")
    async def show_overview() -> Overview:
        """Every wallet: expected, matched, different by reason, not due; and the clear rate."""
        async with runtime.connection() as connection:
            totals, differences, statements = await queries.overview(connection)
        return _overview(totals, differences, statements)

    @router.get("/v1/summary")
    async def show_summary() -> Summary:
        """Statements by state, open differences by reason."""
        async with runtime.connection() as connection:
            return Summary.model_validate(await queries.summary(connection))

    return router


def _expectation(row: dict[str, Any]) -> ExpectationView:
    open_minor = row["expected_minor"] + row["written_off_minor"] - row["settled_minor"]
    return ExpectationView(**row, open_minor=open_minor, state=_state(row, open_minor))


def _state(row: dict[str, Any], open_minor: int) -> ExpectationState:
    difference: str | None = row["difference_state"]
    if difference == "open":
        return "overdue" if row["reason"] == "MISSING_RECEIPT" else "different"
    if open_minor == 0:
        return "written_off" if row["written_off_minor"] else "matched"
    return "resolved" if difference == "resolved" and row["lines"] else "open"


def _overview(
    totals: list[dict[str, Any]], differences: list[dict[str, Any]], statements: list[dict[str, Any]]
) -> Overview:
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for row in statements:
        counts[row["account"]][row["state"]] = row["statements"]
    by_account: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in totals:
        by_account[row["account"], row["currency"]].append(row)
    gaps: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in differences:
        gaps[row["account"], row["currency"]].append(row)
    return Overview(
        accounts=[_account(rows, gaps[key], counts[key[0]]) for key, rows in sorted(by_account.items())],
    )


def _account(totals: list[dict[str, Any]], gaps: list[dict[str, Any]], statements: dict[str, int]) -> AccountOverview:
    components = [_component(row, [gap for gap in gaps if gap["component"] == row["component"]]) for row in totals]
    sums = {name: sum(row[name] for row in totals) for name in (*_SUMMED, "value_minor", "value_cleared_minor")}
    return AccountOverview(
        **{name: totals[0][name] for name in ("account", "channel", "shop", "currency")},
        **{name: sums[name] for name in _SUMMED},
        not_due_minor=sum(one.not_due_minor for one in components),
        clear_rate_lines=_share(sums["lines_cleared"], sums["lines"]),
        clear_rate_value=_share(sums["value_cleared_minor"], sums["value_minor"]),
        components=components,
        differences=_reasons([gap for gap in gaps if gap["open"]]),
        statements=statements,
    )


def _component(row: dict[str, Any], gaps: list[dict[str, Any]]) -> ComponentTotal:
    explained = row["matched_minor"] + sum(gap["expected_minor"] for gap in gaps)
    return ComponentTotal(
        **{name: row[name] for name in ("component", *_SUMMED[:4])}, not_due_minor=row["expected_minor"] - explained
    )


def _reasons(gaps: list[dict[str, Any]]) -> list[ReasonTotal]:
    names = ("differences", "expected_minor", "settled_minor", "difference_minor")
    by_reason: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(names, 0))
    for gap in gaps:
        for name in names:
            by_reason[gap["reason"]][name] += gap[name]
    return [ReasonTotal(reason=reason, **sums) for reason, sums in sorted(by_reason.items())]


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None
