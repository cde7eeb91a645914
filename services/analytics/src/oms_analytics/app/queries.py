"""Answers: profit along an axis, orders by profit, one order in full, the cockpit."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_analytics.adapters import views
from oms_analytics.adapters.views import By, Range, Sort
from oms_analytics.app import working_out
from oms_analytics.domain.amounts import COMPONENTS, VERSIONS, Amounts, Version, total
from oms_analytics.domain.order import Order
from oms_analytics.domain.profit import Account, accounts

View = dict[str, Any]

_TOP_SKUS = 10
_LAST_HOUR = datetime.max.replace(tzinfo=UTC) - timedelta(hours=1)
_HOURS_OF_HOLDS = 48
_LONGEST_BY_HOUR = timedelta(days=3)


async def profit(connection: AsyncConnection, by: By, range_: Range, *, sort: Sort, limit: int) -> View:
    """Profit along an axis: rows, and what they add up to in each currency, rows left off included."""
    rows = await views.profit_rows(connection, by, range_, sort=sort, limit=limit)
    return {
        "rows": [_row(row) for row in rows],
        "rows_found": rows[0]["rows_found"] if rows else 0,
        "sums": [_row(row) for row in await views.profit_sums(connection, range_)],
        "waiting": await views.waiting(connection),
    }


async def orders(connection: AsyncConnection, version: Version, parameters: Mapping[str, Any]) -> list[View]:
    """A page of orders, the worst first."""
    return [_row(row) for row in await views.list_orders(connection, version, parameters)]


async def order(connection: AsyncConnection, order_id: UUID) -> View | None:
    """One order in three versions, worked out now, with what it follows from. None while nobody has placed it."""
    found, prices = await working_out.load(connection, [str(order_id)])
    if not found:
        return None
    known = found[str(order_id)]
    facts = await views.list_facts(connection, order_id)
    names = await views.names_of(connection, [line.sku for line in known.lines])
    versions = accounts(known, prices)
    return {
        "order_id": order_id,
        "channel": known.channel,
        "shop": known.shop,
        "currency": known.currency,
        "placed_at": known.placed_at,
        "cancelled": known.cancelled,
        "versions": [view for version in VERSIONS for view in _versions(known, version, versions[version], names)],
        "facts": [
            {"event_id": fact["event_id"], "event": fact["kind"], **_pick(fact, "occurred_at", "document")}
            for fact in facts
        ],
    }


async def overview(connection: AsyncConnection, start: datetime | None, end: datetime | None, now: datetime) -> View:
    """What a cockpit shows of orders placed in a time; all of it unless told."""
    first, last = await views.known_range(connection)
    start = (start or first or now).astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    end = (end or min(last or now, _LAST_HOUR) + timedelta(hours=1)).astimezone(UTC)
    unit: Literal["hour", "day"] = "hour" if end - start <= _LONGEST_BY_HOUR else "day"
    days = start.date(), (end - timedelta(microseconds=1) if end > start else start).date()
    return {
        "from": start,
        "to": end,
        "first_placed_at": first,
        "last_placed_at": last,
        "currencies": _currencies(await views.counts(connection, start, end), await views.profits(connection, *days)),
        "resolution": unit,
        "series": [dict(row) for row in await views.series(connection, start, end, unit)],
        "top_skus": [dict(row) for row in await views.top_skus(connection, *days, limit=_TOP_SKUS)],
        "holds": await _holds(connection, now),
        "waiting": await views.waiting(connection),
    }


def _currencies(counts: Sequence[RowMapping], profits: Sequence[RowMapping]) -> list[View]:
    found: dict[str, View] = {}
    for row in counts:
        found[row["currency"]] = dict(row)
    for row in profits:
        view = found.setdefault(row["currency"], {"currency": row["currency"]})
        view[f"{row['version']}_profit_minor"] = row["profit_minor"]
        if row["version"] == "settled":
            view |= _pick(row, "expected_sum_minor", "answered_sum_minor")
            view["settled_share"] = _share(row)
    return [found[currency] for currency in sorted(found)]


async def _holds(connection: AsyncConnection, now: datetime) -> View:
    by_code = [dict(row) for row in await views.open_holds(connection)]
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    start = hour - timedelta(hours=_HOURS_OF_HOLDS - 1)
    open_, moved = await views.holds_since(connection, start)
    points = []
    for number in range(_HOURS_OF_HOLDS):
        at = start + timedelta(hours=number)
        open_ += moved.get(at, 0)
        points.append({"at": at, "open": open_})
    return {"open": sum(row["open"] for row in by_code), "by_code": by_code, "series": points}


def _versions(order: Order, version: Version, account: Account, names: Mapping[str, RowMapping]) -> list[View]:
    """One version of an order, once for each currency in which it has amounts; its own comes first."""
    currencies = sorted(account.sheets.keys() | {order.currency}, key=lambda code: (code != order.currency, code))
    views_ = []
    for currency in currencies:
        own, sheet = currency == order.currency, account.sheets.get(currency)
        rows = [[0] * len(COMPONENTS) for _ in order.lines] if sheet is None else sheet.rows
        view = {"version": version, "currency": currency, **_amounts(total(rows))}
        if own:
            view |= {
                "expected_sum_minor": account.expected_sum_minor,
                "answered_sum_minor": account.answered_sum_minor,
            }
            view["settled_share"] = _share(view)
        view["lines"] = [
            {
                "line_id": line.line_id,
                "sku": line.sku,
                "title": names[line.sku]["title"] if line.sku in names else "",
                "category": names[line.sku]["category"] if line.sku in names else "",
                "quantity": line.quantity,
                "units": account.units[place],
                "units_without_cost": account.units_without_cost[place],
                **_amounts(rows[place]),
            }
            for place, line in enumerate(order.lines)
        ]
        views_.append(view)
    return views_


def _amounts(amounts: Amounts) -> View:
    named = {f"{component}_minor": amount for component, amount in zip(COMPONENTS, amounts, strict=True)}
    return named | {"profit_minor": sum(amounts)}


def _row(row: RowMapping) -> View:
    return dict(row) | {"settled_share": _share(row)}


def _share(row: Mapping[Any, Any]) -> float | None:
    """How much of the money that was expected statements have spoken of; None where none was, or nobody asked."""
    expected = row.get("expected_sum_minor")
    return round(int(row["answered_sum_minor"]) / int(expected), 6) if expected else None


def _pick(row: Mapping[Any, Any], *names: str) -> View:
    return {name: row[name] for name in names}


def whole_day(day: date) -> datetime:
    """The moment at which a day begins."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
