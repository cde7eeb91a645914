"""Records that a service could not apply: see why, apply again, or give up."""

import json

from starlette.exceptions import HTTPException
from starlette.responses import Response

from oms_console.codes import SERVICES
from oms_console.gateway import Refused, or_gap, together
from oms_console.roles import Role
from oms_console.sessions import Notice
from oms_console.visit import Visit, text_of

PER_SERVICE = 100


async def show(visit: Visit) -> Response:
    """Open letters of every service, or all there ever were."""
    api, closed = visit.api(Role.OPERATOR), visit.query("closed") == "1"
    asked = {"closed": closed, "limit": PER_SERVICE}
    pages = await together(**{name: or_gap(api.get(f"/v1/services/{name}/dead-letters", asked)) for name in SERVICES})
    letters = [{**letter, "service": name} for name, page in pages.items() if page for letter in page["items"]]
    return visit.show(
        "dead_letters.html",
        letters=letters,
        closed=closed,
        away=[name for name, page in pages.items() if not page],
        more=[name for name, page in pages.items() if page and page["next_cursor"]],
    )


async def show_letter(visit: Visit) -> Response:
    """One with all that was received."""
    letter = await visit.api(Role.OPERATOR).get(_path(visit))
    return visit.show(
        "dead_letter.html", letter=letter, service=visit.part("service"), payload=_readable(letter["payload"])
    )


async def decide(visit: Visit) -> Response:
    """Apply it again, or discard it."""
    form = await visit.form()
    action = text_of(form, "action")
    if action not in {"replay", "discard"}:
        raise HTTPException(400)
    try:
        answer = await visit.api(Role.OPERATOR).post(f"{_path(visit)}:{action}")
    except Refused as error:
        return visit.go("/dead-letters", Notice(key="notice.refused", tone="bad", values={"detail": error.detail}))
    return visit.go("/dead-letters", Notice(key=f"notice.{action}", values={"count": answer["letters"]}))


def _path(visit: Visit) -> str:
    service = visit.part("service")
    if service not in SERVICES:
        raise HTTPException(404)
    return f"/v1/services/{service}/dead-letters/{visit.part('letter')}"


def _readable(payload: str) -> str:
    try:
        return json.dumps(json.loads(payload), indent=2, ensure_ascii=False)
    except ValueError:
        return payload
