"""Signing in and out, and what a person chooses for themselves."""

import asyncio
import math

from starlette.responses import Response

from oms_console.metrics import SIGN_INS
from oms_console.sessions import Session
from oms_console.visit import Visit, local_path, text_of


async def ask(visit: Visit) -> Response:
    """The form."""
    if visit.user is not None:
        return visit.go(visit.query("next", "/"))
    return _form(visit, next_=visit.query("next", "/"), ended=bool(visit.query("ended")))


async def sign_in(visit: Visit) -> Response:
    """Check name and password. Both are compared in constant time, and a wrong one is not told from the other."""
    form = await visit.form()
    name, password, next_ = text_of(form, "name"), form.get("password", ""), text_of(form, "next") or "/"
    guesser = (f"name {name.lower()}", f"address {visit.request.client.host if visit.request.client else ''}")
    throttle = visit.console.throttle
    if (wait := throttle.wait_s(guesser)) > 0:
        SIGN_INS.labels("throttled").inc()
        answer = _form(visit, next_=next_, name=name, status=429, wait_s=math.ceil(wait))
        answer.headers["retry-after"] = str(math.ceil(wait))
        return answer
    throttle.fail(guesser)  # counted first: guesses sent side by side must not all pass as the first
    async with visit.console.guessing:
        user = await asyncio.to_thread(visit.console.users.check, name, password if isinstance(password, str) else "")
    if user is None:
        SIGN_INS.labels("wrong").inc()
        return _form(visit, next_=next_, name=name, status=401, wrong=True)
    SIGN_INS.labels("right").inc()
    throttle.clear(guesser)
    visit.session = Session.begin(name=user.name, stamp=user.stamp)
    answer = visit.go(next_)
    visit.write_session(answer)
    return answer


async def sign_out(visit: Visit) -> Response:
    """Give the browser a session that is nobody's."""
    await visit.form()
    visit.session = Session.begin()
    answer = visit.go("/sign-in")
    visit.write_session(answer)
    return answer


async def choose(visit: Visit) -> Response:
    """Language, theme or zone, for this browser."""
    form = await visit.form()
    chosen = {name: text_of(form, name) for name in ("language", "theme", "zone") if text_of(form, name)}
    taste = visit.with_(**chosen)
    visit.taste = type(taste).read(taste.write(), language=visit.taste.language, zone=visit.taste.zone)
    answer = visit.go(local_path(text_of(form, "back")))
    visit.write_taste(answer)
    return answer


def _form(
    visit: Visit,
    *,
    next_: str,
    name: str = "",
    status: int = 200,
    wrong: bool = False,
    ended: bool = False,
    wait_s: int = 0,
) -> Response:
    return visit.show(
        "sign_in.html", status, next=local_path(next_), name=name, wrong=wrong, ended=ended, wait_s=wait_s
    )
