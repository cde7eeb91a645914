"""The first page: where everything stands now. Its figures are asked for again every few seconds, by a small script."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.responses import Response

from oms_console.codes import MOVING, ORDER_STATES
from oms_console.drawing.charts import Bar, Columns, Segment, bars, columns, segments
from oms_console.gateway import Api, Gap, or_gap, together
from oms_console.i18n import Tongue
from oms_console.pages.profit import name_of, sales_of
from oms_console.visit import Visit

HOURS = 48
SHOPS = 8
_FRESH_S = 1.5
_TONES = ("wait", "wait2", "hold", "go1", "go2", "go3", "done", "off")
"""In which the states of an order are drawn."""

Answers = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure, and where it leads."""

    key: str
    text: str
    href: str
    note: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """Answers, and when they were asked for."""

    at: datetime
    answers: Answers


class Snapshot:
    """The answers behind the figures, the same for all who look within a moment: many screens cost as much as one."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._asked_at = float("-inf")
        self._taken = Taken(datetime.now(UTC), {})

    async def of(self, api: Api) -> Taken:
        """What holds now."""
        async with self._lock:
            if time.monotonic() - self._asked_at > _FRESH_S:
                self._taken = Taken(datetime.now(UTC), await _ask(api))
                self._asked_at = time.monotonic()
        return self._taken


async def _ask(api: Api) -> Answers:
    return await together(
        orders=or_gap(api.get("/v1/services/orders/summary")),
        counts=or_gap(api.get("/v1/order-counts", {"step": "hour", "steps": HOURS})),
        stock=or_gap(api.get("/v1/services/inventory/summary")),
        fulfilment=or_gap(api.get("/v1/services/fulfilment/summary")),
        parcels=or_gap(api.get("/v1/services/logistics/summary")),
        settlement=or_gap(api.get("/v1/settlement/overview")),
        profit=or_gap(api.get("/v1/profit", {"by": "shop", "version": "estimated", "limit": SHOPS})),
    )


async def show(visit: Visit) -> Response:
    """The page."""
    return visit.show("overview.html", **await _context(visit))


async def figures(visit: Visit) -> Response:
    """What changes on it."""
    return visit.fragment("overview_figures.html", **await _context(visit))


async def _context(visit: Visit) -> dict[str, Any]:
    taken = await visit.console.snapshot.of(visit.api())
    answers = taken.answers
    tongue = visit.tongue
    last_hour = _last_hour(answers["counts"])
    return {
        "tiles": _tiles(answers, tongue),
        "stages": _stages(answers["orders"], tongue),
        "holds": _holds(answers["orders"], tongue),
        "hours": _hours(answers["counts"], last_hour, tongue),
        "hours_until": last_hour and last_hour + timedelta(hours=1),
        "stages_of_parcels": _parcels(answers["parcels"], tongue),
        "shops": _shops(answers["profit"], tongue),
        "gaps": sorted({name for name, answer in answers.items() if isinstance(answer, Gap)}),
        "at": taken.at,
    }


def _tiles(answers: Answers, tongue: Tongue) -> list[Tile]:
    tiles = []
    if orders := answers["orders"]:
        states = {row["state"]: row["orders"] for row in orders["states"]}
        moving = sum(states.get(state, 0) for state in MOVING)
        tiles += [
            Tile("orders", tongue.number(orders["orders"]), "/orders"),
            Tile("moving", tongue.number(moving), "/orders?state=in_fulfilment"),
            Tile("on_hold", tongue.number(states.get("on_hold", 0)), "/holds", tone="warn"),
            Tile("completed", tongue.number(states.get("completed", 0)), "/orders?state=completed", tone="good"),
        ]
    if stock := answers["stock"]:
        tone = "bad" if stock["oversold"] else ""
        tiles += [
            Tile(
                "available",
                tongue.number(stock["available"]),
                "/stock",
                tongue.say("tile.of_pieces", count=stock["on_hand"]),
            ),
            Tile("oversold", tongue.number(stock["oversold"]), "/stock", tone=tone),
        ]
    if parcels := answers["parcels"]:
        late = sum(row["late"] for row in parcels["parcels"])
        tiles.append(Tile("late", tongue.number(late), "/orders?state=shipped", tone="warn" if late else ""))
    return tiles + _money_tiles(answers, tongue)


def _stages(orders: Any, tongue: Tongue) -> list[Segment]:  # noqa: ANN401 - an answer, or a gap
    if not orders:
        return []
    by_state = {row["state"]: row["orders"] for row in orders["states"]}
    return segments(
        [
            (state, by_state.get(state, 0), tongue.number(by_state.get(state, 0)), tone)
            for state, tone in zip(ORDER_STATES, _TONES, strict=True)
        ]
    )


def _holds(orders: Any, tongue: Tongue) -> list[Bar]:  # noqa: ANN401
    if not orders:
        return []
    codes: Counter[str] = Counter()
    for row in orders["states"]:
        codes.update(row["holds"])
    return bars(
        ((code, count, tongue.number(count)) for code, count in codes.most_common()),
        href=lambda code: f"/holds?code={code}",
    )


def _hours(counts: Any, last: datetime | None, tongue: Tongue) -> Columns | None:  # noqa: ANN401
    """Every hour up to the last one that had an order, those without one too."""
    if last is None:
        return None
    known = {datetime.fromisoformat(row["at"]): row["orders"] for row in counts["counts"]}
    hours = [last - timedelta(hours=back) for back in range(HOURS - 1, -1, -1)]
    return columns([_hour(hour, known.get(hour, 0), tongue) for hour in hours], axis=tongue.compact)


def _last_hour(counts: Any) -> datetime | None:  # noqa: ANN401
    """The last hour that had an order."""
    return max((datetime.fromisoformat(row["at"]) for row in counts["counts"]), default=None) if counts else None


def _hour(hour: datetime, orders: int, tongue: Tongue) -> tuple[str, int, str, str]:
    local = tongue.local(hour)
    tick = tongue.time(hour, "MMMd") if local.hour == 0 else f"{local.hour:02d}" if local.hour % 6 == 0 else ""
    return tongue.time(hour, "MMMdHm"), orders, tongue.number(orders), tick


@dataclass(frozen=True, slots=True)
class Shop:
    """Sales and profit of a shop, as shares of the highest sales of its currency."""

    name: str
    sales_text: str
    profit: int
    profit_text: str
    sales_share: float
    profit_share: float


def _shops(profit: Any, tongue: Tongue) -> list[Shop]:  # noqa: ANN401
    """Those that earn most first. Bars of different currencies are not on one scale, so each has its own."""
    rows = profit["rows"] if profit else []
    highest: dict[str, int] = {}
    for row in rows:
        highest[row["currency"]] = max(highest.get(row["currency"], 1), sales_of(row), abs(row["profit_minor"]))
    return [
        Shop(
            name_of(row, tongue),
            tongue.money(sales_of(row), row["currency"]),
            row["profit_minor"],
            tongue.money(row["profit_minor"], row["currency"]),
            round(100 * max(0, sales_of(row)) / highest[row["currency"]], 2),
            round(100 * abs(row["profit_minor"]) / highest[row["currency"]], 2),
        )
        for row in rows
    ]


def _money_tiles(answers: Answers, tongue: Tongue) -> list[Tile]:
    tiles = []
    if profit := answers["profit"]:
        for total in profit["sums"][:2]:
            margin = total["profit_minor"] / sales_of(total) if sales_of(total) else None
            tiles += [
                Tile("sales", tongue.compact_money(sales_of(total), total["currency"]), "/profit?version=estimated"),
                Tile(
                    "profit",
                    tongue.compact_money(total["profit_minor"], total["currency"]),
                    "/profit?version=estimated",
                    tongue.say("tile.margin", share=tongue.percent(margin)),
                ),
            ]
    if settlement := answers["settlement"]:
        gaps = sum(reason["differences"] for one in settlement["accounts"] for reason in one["differences"])
        tone = "warn" if gaps else ""
        tiles.append(Tile("different", tongue.number(gaps), "/settlement/differences", tone=tone))
    return tiles


def _parcels(parcels: Any, tongue: Tongue) -> list[Bar]:  # noqa: ANN401
    if not parcels:
        return []
    statuses: Counter[str] = Counter()
    for row in parcels["parcels"]:
        statuses[row["status"]] += row["parcels"]
    return bars((status, count, tongue.number(count)) for status, count in statuses.most_common())
