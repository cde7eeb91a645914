"""One field for all: an order's number or id, a waybill, a SKU."""

from uuid import UUID

from starlette.responses import Response

from oms_console.gateway import Missing, Refused, or_gap, segment, together
from oms_console.visit import Visit

_LONGEST = 64


async def find(visit: Visit) -> Response:
    """To the one thing that it names, or a list of what it may mean."""
    wanted = visit.query("q")
    if not 0 < len(wanted) <= _LONGEST:
        return visit.show("search.html", wanted=wanted, orders=[], sku=None, away=False)
    if (order_id := _uuid(wanted)) is not None:
        return visit.go(f"/orders/{order_id}")
    api = visit.api()
    found = await together(
        orders=or_gap(api.get("/v1/orders", {"channel_order_no": wanted, "limit": 50})),
        parcel=or_gap(api.get(f"/v1/parcels/by-waybill/{segment(wanted)}")),
        stock=or_gap(api.get(f"/v1/stock/{segment(wanted)}")),
    )
    orders = found["orders"]["items"] if found["orders"] else []
    ways = [f"/orders/{order['order_id']}" for order in orders]
    ways += [f"/orders/{found['parcel']['order_id']}"] if found["parcel"] else []
    ways += [f"/stock/{segment(wanted)}"] if found["stock"] else []
    if len(set(ways)) == 1:
        return visit.go(ways[0])
    away = any(not answer and not isinstance(answer.error, Missing | Refused) for answer in found.values())
    return visit.show("search.html", wanted=wanted, orders=orders, sku=wanted if found["stock"] else None, away=away)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if len(text) == 36 else None
    except ValueError:
        return None
