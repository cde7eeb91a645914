"""The list of orders."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from starlette.responses import Response

from oms_console.codes import HOLD_CODES, ORDER_STATES
from oms_console.visit import Visit

PER_PAGE = 50
FILTERS = ("state", "channel", "shop", "hold_code", "from", "to", "no")


async def show(visit: Visit) -> Response:
    """Orders, the newest first, that agree with every filter."""
    asked = {name: visit.query(name) for name in FILTERS}
    page = await visit.api().get(
        "/v1/orders",
        {
            "newest_first": True,
            "limit": PER_PAGE,
            "state": asked["state"],
            "channel": asked["channel"],
            "shop": asked["shop"],
            "hold_code": asked["hold_code"],
            "channel_order_no": asked["no"],
            "placed_from": _midnight(asked["from"], visit.taste.zone),
            "placed_until": _midnight(asked["to"], visit.taste.zone, days=1),
            "cursor": visit.query("cursor"),
        },
    )
    following = page["next_cursor"] and visit.address("/orders", **asked, cursor=page["next_cursor"])
    return visit.show(
        "orders.html",
        orders=page["items"],
        asked=asked,
        following=following,
        states=ORDER_STATES,
        hold_codes=HOLD_CODES,
        filtered=any(asked.values()),
    )


def _midnight(day: str, zone: str, *, days: int = 0) -> str | None:
    """When a day of the person's zone begins, or the one so many days later. What is no day is passed over."""
    try:
        begins = date.fromisoformat(day) + timedelta(days=days)
    except (ValueError, OverflowError):
        return None
    return datetime.combine(begins, time.min, ZoneInfo(zone)).isoformat()
