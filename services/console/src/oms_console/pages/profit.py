"""What was earned: by shop, channel, SKU, category or day, in each of the three versions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from starlette.responses import Response

from oms_console.codes import PROFIT_BY, PROFIT_SORTS, PROFIT_VERSIONS
from oms_console.drawing.charts import Bar, bars
from oms_console.i18n import Tongue
from oms_console.visit import Visit

COMPONENTS = (
    "goods_minor",
    "shipping_minor",
    "merchant_discount_minor",
    "platform_subsidy_minor",
    "commission_minor",
    "payment_fee_minor",
    "freight_minor",
    "cost_of_goods_minor",
    "returns_minor",
    "adjustments_minor",
    "write_offs_minor",
)
"""What profit is the sum of, in the order in which it is told."""
_SALES = ("goods_minor", "shipping_minor", "merchant_discount_minor", "platform_subsidy_minor")
_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Fall:
    """One step from sales down to profit: a bar between two heights, in percent of the widest."""

    key: str
    text: str
    x: float
    width: float
    tone: str


async def show(visit: Visit) -> Response:
    """A table of what is asked for, and how the sum of each currency came about."""
    asked = {
        "by": _one_of(visit.query("by"), PROFIT_BY),
        "version": _one_of(visit.query("version"), PROFIT_VERSIONS),
        "sort": _one_of(visit.query("sort"), PROFIT_SORTS),
        "channel": visit.query("channel"),
        "shop": visit.query("shop"),
        "from": _day(visit.query("from")),
        "to": _day(visit.query("to")),
    }
    found = await visit.api().get("/v1/profit", {**asked, "limit": _SHOWN})
    return visit.show(
        "profit.html",
        asked=asked,
        found=found,
        rows=[{**row, "name": name_of(row, visit.tongue), "sales": sales_of(row)} for row in found["rows"]],
        bars=_bars(found["rows"], visit.tongue),
        falls=[(total, waterfall(total, visit.tongue)) for total in found["sums"]],
        by=PROFIT_BY,
        versions=PROFIT_VERSIONS,
        sorts=PROFIT_SORTS,
    )


def sales_of(row: Mapping[str, Any]) -> int:
    """What came in for goods, after discounts."""
    return sum(row[name] for name in _SALES)


def name_of(row: Mapping[str, Any], tongue: Tongue) -> str:
    """What a row is about."""
    if row["day"]:
        return tongue.day(row["day"])
    if row["shop"]:
        return f"{row['channel']} / {row['shop']}"
    if row["sku"]:
        return f"{row['sku']} {row['title'] or ''}".strip()
    return str(row["channel"] or row["category"] or tongue.say("profit.unnamed"))


def waterfall(total: Mapping[str, Any], tongue: Tongue) -> list[Fall]:
    """From the first income to what is left, each component beginning where the one before it ended."""
    steps, at = [], 0
    spans: list[tuple[str, int, int]] = []
    for key in COMPONENTS:
        if total[key]:
            spans.append((key, at, at + total[key]))
            at += total[key]
    spans.append(("profit_minor", 0, at))
    lowest = min(0, *(min(start, end) for _, start, end in spans))
    width = max(1, max(0, *(max(start, end) for _, start, end in spans)) - lowest)
    for key, start, end in spans:
        tone = "sum" if key == "profit_minor" else "up" if end >= start else "down"
        text = tongue.money(end - start, total["currency"])
        left = 100 * (min(start, end) - lowest) / width
        steps.append(Fall(key, text, round(left, 2), round(100 * abs(end - start) / width, 2), tone))
    return steps


def _bars(rows: list[dict[str, Any]], tongue: Tongue) -> list[Bar]:
    shown = rows[:12]
    return bars(
        (name_of(row, tongue), row["profit_minor"], tongue.money(row["profit_minor"], row["currency"])) for row in shown
    )


def _one_of(text: str, known: tuple[str, ...]) -> str:
    return text if text in known else known[0]


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return ""
