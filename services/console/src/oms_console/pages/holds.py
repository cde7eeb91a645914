"""What stops orders and waits for a person."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from starlette.responses import Response

from oms_console.codes import HOLD_CODES, HOLD_STATES
from oms_console.gateway import Api, GatewayError, or_gap, segment, together
from oms_console.roles import Role
from oms_console.sessions import Notice
from oms_console.visit import Visit, local_path, text_of, texts_of

PER_PAGE = 100
_AT_ONCE = 8


async def show(visit: Visit) -> Response:
    """Holds of a state, the oldest first; how many orders each code stops."""
    asked = {"state": visit.query("state", "OPEN"), "code": visit.query("code")}
    api = visit.api()
    found = await together(
        page=api.get("/v1/holds", {**asked, "limit": PER_PAGE, "cursor": visit.query("cursor")}),
        summary=or_gap(api.get("/v1/services/orders/summary")),
    )
    counts: Counter[str] = Counter()
    for row in found["summary"]["states"] if found["summary"] else ():
        counts.update(row["holds"])
    page = found["page"]
    return visit.show(
        "holds.html",
        holds=page["items"],
        asked=asked,
        counts=[(code, counts[code]) for code in HOLD_CODES if counts[code] or code == asked["code"]],
        following=page["next_cursor"] and visit.address("/holds", **asked, cursor=page["next_cursor"]),
        states=HOLD_STATES,
        answerable=asked["state"] == "OPEN" and visit.may(Role.OPERATOR),
    )


async def resolve(visit: Visit) -> Response:
    """End one or several in the same way. Each is answered by itself: one that is refused does not stop the others."""
    form = await visit.form()
    back = local_path(text_of(form, "back") or "/holds")
    outcome = text_of(form, "outcome")
    chosen = list(dict.fromkeys(texts_of(form, "hold")))[:PER_PAGE]
    if not chosen or outcome not in {"resolved", "rejected"}:
        return visit.go(back, Notice(key="notice.none_chosen", tone="warn"))
    body = {"outcome": outcome, "by": visit.name, "note": text_of(form, "note", longest=500)}
    errors = await _resolve_all(visit.api(Role.OPERATOR), chosen, body)
    done = len(chosen) - len(errors)
    if errors:
        values = {"done": done, "failed": len(errors), "detail": errors[0].detail}
        return visit.go(back, Notice(key="notice.some_refused", tone="bad", values=values))
    return visit.go(back, Notice(key=f"notice.{outcome}", values={"count": done}))


async def _resolve_all(api: Api, holds: Sequence[str], body: dict[str, str]) -> list[GatewayError]:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(hold_id: str) -> GatewayError | None:
        try:
            async with gate:
                await api.post(f"/v1/holds/{segment(hold_id)}:resolve", body)
        except GatewayError as error:
            return error
        return None

    answers = await asyncio.gather(*(one(hold_id) for hold_id in holds))
    return [error for error in answers if error is not None]
