"""One order: the way it went, its money, what stopped it, where it ships from and why, its parcels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from starlette.responses import Response

from oms_console.codes import PROFIT_VERSIONS
from oms_console.drawing.journey import journey
from oms_console.gateway import Gap, Refused, or_gap, together
from oms_console.pages.profit import COMPONENTS
from oms_console.roles import Role
from oms_console.sessions import Notice
from oms_console.visit import Visit, text_of

BLOCKS = ("release", "ship")
"""What a person may keep from happening to an order that is in the house already."""
_TIMELINE_SHOWN = 500


@dataclass(frozen=True, slots=True)
class Station:
    """A mark that every order passes, with the time it took to get there."""

    key: str
    at: str | None
    took_s: float | None


async def show(visit: Visit) -> Response:
    """Everything about it, each part from the service that owns it. A service that is down leaves a gap."""
    api, order_id = visit.api(), visit.part("order_id")
    found = await together(
        order=api.get(f"/v1/orders/{order_id}"),
        timeline=or_gap(api.get(f"/v1/orders/{order_id}/timeline", {"limit": _TIMELINE_SHOWN})),
        decisions=or_gap(api.get("/v1/decisions", {"order_id": order_id})),
        rules=or_gap(api.get("/v1/rule-sets")),
        shipments=or_gap(api.get("/v1/shipments", {"order_id": order_id})),
        parcels=or_gap(api.get("/v1/parcels", {"order_id": order_id})),
        expected=or_gap(api.get("/v1/expectations", {"order_id": order_id})),
        profit=or_gap(api.get(f"/v1/profit/orders/{order_id}")),
    )
    parcels = found["parcels"]["items"] if found["parcels"] else []
    scans = await together(
        **{
            parcel["shipment_id"]: or_gap(api.get(f"/v1/parcels/{parcel['shipment_id']}/scans"))
            for parcel in parcels
            if parcel["waybill_no"]
        }
    )
    order, timeline = found["order"], found["timeline"]
    return visit.show(
        "order.html",
        order=order,
        journey=journey(timeline["items"]) if timeline else timeline,
        cut_short=bool(timeline and timeline["next_cursor"]),
        stations=stations(order, parcels),
        decisions=_decisions(found["decisions"], found["rules"] or []),
        shipments=found["shipments"],
        parcels=found["parcels"] and parcels,
        scans=scans,
        nodes=_nodes(found["shipments"]),
        expected=found["expected"],
        profit=profit_table(found["profit"]),
        left=sum(line["quantity"] - line["cancelled"] - line["shipped"] for line in order["lines"]),
        blocks=BLOCKS,
        reference=str(uuid4()),
    )


async def hold(visit: Visit) -> Response:
    """Stop it by hand."""
    form = await visit.form()
    order_id = visit.part("order_id")
    blocks = [block for block in BLOCKS if form.get(f"block_{block}")] or ["release"]
    body = {
        "blocks": blocks,
        "reason": text_of(form, "reason", longest=500),
        "by": visit.name,
        "reference": text_of(form, "reference", longest=64),
    }
    return await _command(visit, f"/v1/orders/{order_id}/holds", body, "notice.held")


async def cancel(visit: Visit) -> Response:
    """Cancel all of it that can still be stopped."""
    form = await visit.form()
    order_id = visit.part("order_id")
    reason = f"{visit.name}: {text_of(form, 'reason', longest=400)}"
    body = {"reason": reason, "reference": text_of(form, "reference", longest=64)}
    return await _command(visit, f"/v1/orders/{order_id}:cancel", body, "notice.cancel_asked")


async def _command(visit: Visit, path: str, body: Mapping[str, object], done: str) -> Response:
    here = f"/orders/{visit.part('order_id')}"
    try:
        await visit.api(Role.OPERATOR).post(path, body)
    except Refused as error:
        return visit.go(here, Notice(key="notice.refused", tone="bad", values={"detail": error.detail}))
    return visit.go(here, Notice(key=done))


def stations(order: Mapping[str, Any], parcels: Sequence[Mapping[str, Any]]) -> list[Station]:
    """The marks of its way. Those still ahead have no time; the last of several parcels counts, once all is in them."""
    marks = [
        ("placed", order["placed_at"]),
        ("received", order["received_at"]),
        ("paid", order["paid_at"]),
        ("released", order["released_at"]),
        ("shipped", _last(parcels, "dispatched_at") if _all(order, "shipped") else None),
        ("delivered", _last(parcels, "delivered_at") if _all(order, "delivered") else None),
        ("completed", order["completed_at"]),
    ]
    if order["cancelled_at"]:
        marks = [mark for mark in marks if mark[1]] + [("cancelled", order["cancelled_at"])]
    found, before = [], None
    for key, at in marks:
        moment = datetime.fromisoformat(at) if at else None
        # The channel's clock and ours are two: between them there is no length of time worth telling.
        took = (moment - before).total_seconds() if moment and before and key != "received" else 0.0
        found.append(Station(key, at, took if took > 0 else None))
        before = moment or before
    return found


def profit_table(profit: Any) -> Any:  # noqa: ANN401 - an answer, or a gap
    """Components that say something, side by side in the versions of the order's own currency."""
    if not profit:
        return profit
    versions = {one["version"]: one for one in profit["versions"] if one["currency"] == profit["currency"]}
    rows = [
        (name, [versions[version][name] if version in versions else None for version in PROFIT_VERSIONS])
        for name in (*COMPONENTS, "profit_minor")
    ]
    return {
        "currency": profit["currency"],
        "rows": [(name, sums) for name, sums in rows if any(sums) or name == "profit_minor"],
        "versions": PROFIT_VERSIONS,
    }


def _all(order: Mapping[str, Any], name: str) -> bool:
    """Whether every piece that was not cancelled got so far."""
    return all(line[name] >= line["quantity"] - line["cancelled"] for line in order["lines"])


def _last(parcels: Sequence[Mapping[str, Any]], name: str) -> str | None:
    """When the last of them got there, or None while one has not. Those that nobody will send do not count."""
    going = [parcel[name] for parcel in parcels if not parcel["cancelled_at"]]
    return max(going) if going and all(going) else None


def _decisions(page: Any, rules: Sequence[Mapping[str, Any]]) -> Any:  # noqa: ANN401 - an answer, or a gap
    """Decisions, the newest first, each alternative with how much dearer it would have been, in the rules' currency."""
    if not page:
        return page
    currencies = {(one["name"], one["version"]): one["document"]["currency"] for one in rules}
    return [
        {
            **decision,
            "alternatives": _weighed(decision["alternatives"]),
            "currency": currencies.get((decision["rule_set"], decision["rule_set_version"])),
        }
        for decision in page["items"][::-1]
    ]


def _weighed(alternatives: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A plan that could not be had has no cost: its total is that of nothing."""
    best = next((one["total_minor"] for one in alternatives if one["chosen"]), None)
    weighed = []
    for one in alternatives:
        could = one["chosen"] or one["reason"].startswith(("dearer", "costs the same"))
        dearer = one["total_minor"] - best if could and best is not None else None
        weighed.append({**one, "could": could, "dearer": dearer})
    return weighed


def _nodes(shipments: Any) -> dict[str, str]:  # noqa: ANN401
    if isinstance(shipments, Gap):
        return {}
    return {shipment["shipment_id"]: shipment["node"] for shipment in shipments["items"]}
