"""The console's HTTP application: its table of contents, and what holds for every page."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from oms_console import i18n
from oms_console.armour import Armour
from oms_console.console import Console
from oms_console.gateway import GatewayError
from oms_console.pages import dead_letters, holds, order, orders, overview, profit, search, settlement, sign_in, stock
from oms_console.roles import Role
from oms_console.sessions import Session
from oms_console.visit import FRAGMENT, Forged, NotAllowed, NotSignedIn, Taste, Visit
from oms_events.runtime.edge import Endpoint, health

log = structlog.get_logger()

_MEDIA_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Page:
    """One page or form: who may use it, and the function that answers."""

    method: str
    path: str
    answer: Callable[[Visit], Awaitable[Response]]
    role: Role | None = Role.VIEWER


PAGES = (
    Page("GET", "/sign-in", sign_in.ask, None),
    Page("POST", "/sign-in", sign_in.sign_in, None),
    Page("POST", "/sign-out", sign_in.sign_out, None),
    Page("POST", "/taste", sign_in.choose, None),
    Page("GET", "/", overview.show),
    Page("GET", "/overview/figures", overview.figures),
    Page("GET", "/search", search.find),
    Page("GET", "/orders", orders.show),
    Page("GET", "/orders/{order_id:uuid}", order.show),
    Page("POST", "/orders/{order_id:uuid}/hold", order.hold, Role.OPERATOR),
    Page("POST", "/orders/{order_id:uuid}/cancel", order.cancel, Role.OPERATOR),
    Page("GET", "/holds", holds.show),
    Page("POST", "/holds", holds.resolve, Role.OPERATOR),
    Page("GET", "/stock", stock.show),
    Page("GET", "/stock/{sku:path}", stock.show_sku),
    Page("GET", "/settlement", settlement.show),
    Page("GET", "/settlement/differences", settlement.differences),
    Page("GET", "/settlement/differences/{difference_id:uuid}", settlement.difference),
    Page("POST", "/settlement/differences/{difference_id:uuid}", settlement.decide),
    Page("GET", "/settlement/statements", settlement.statements),
    Page("POST", "/settlement/statements", settlement.import_statement, Role.FINANCE),
    Page("GET", "/settlement/statements/{statement_id:uuid}", settlement.statement),
    Page("GET", "/settlement/statements/{statement_id:uuid}/progress", settlement.statement_progress),
    Page("GET", "/settlement/books", settlement.books),
    Page("GET", "/profit", profit.show),
    Page("GET", "/dead-letters", dead_letters.show, Role.OPERATOR),
    Page("GET", "/dead-letters/{service}/{letter:int}", dead_letters.show_letter, Role.OPERATOR),
    Page("POST", "/dead-letters/{service}/{letter:int}", dead_letters.decide, Role.OPERATOR),
)


def build_app(console: Console) -> Starlette:
    """The application. Every error becomes a page that says what happened in the person's language."""
    routes = [
        Route(page.path, _endpoint(console, page), methods=[page.method], name=f"{page.method} {page.path}")
        for page in PAGES
    ]
    routes += [Route(path, endpoint) for path, endpoint in _open_to_all(console).items()]

    async def outside_of_pages(request: Request, error: Exception) -> Response:
        return _on_http_exception(begin(console, request), error)

    return Starlette(
        routes=routes,
        middleware=[Middleware(Armour, secure=console.settings.console_secure_cookies)],
        exception_handlers={HTTPException: outside_of_pages},
    )


def _endpoint(console: Console, page: Page) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        request.scope["page"] = page.path
        visit = begin(console, request)
        try:
            if page.role is not None:
                visit.api(page.role)
            return await page.answer(visit)
        except tuple(_ON_ERROR) as error:
            return next(answer for kind, answer in _ON_ERROR.items() if isinstance(error, kind))(visit, error)

    return endpoint


def begin(console: Console, request: Request) -> Visit:
    """Who asks, by their cookies. A session that is forged, expired or of a user who is gone counts as none."""
    settings = console.settings
    language = i18n.preferred(request.headers.get("accept-language", "")[:500], settings.console_language)
    taste = Taste.read(request.cookies.get(console.cookie("taste"), ""), language=language, zone=settings.console_zone)
    cookie = request.cookies.get(console.cookie("session"), "")
    found = console.seal.read(cookie)
    if found is None:
        return Visit(console, request, Session.begin(), None, taste, ended=bool(cookie))
    session, renew = found
    user = console.users.find(session.name) if session.name else None
    if session.name and (user is None or user.stamp != session.stamp):
        return Visit(console, request, Session.begin(), None, taste, ended=True)
    return Visit(console, request, session, user, taste, renew=renew)


def _on_not_signed_in(visit: Visit, _: Exception) -> Response:
    if FRAGMENT in visit.request.headers:
        return Response(status_code=401)
    back = visit.here if visit.request.method == "GET" else "/"
    return visit.go(visit.address("/sign-in", next=back, ended="1" if visit.ended else None))


def _on_not_allowed(visit: Visit, error: Exception) -> Response:
    assert isinstance(error, NotAllowed)
    return visit.show("refused.html", 403, needed=error.needed)


def _on_forged(visit: Visit, _: Exception) -> Response:
    return visit.show("error.html", 403, key="error.forged", detail="", errors=())


def _on_gateway_error(visit: Visit, error: Exception) -> Response:
    assert isinstance(error, GatewayError)
    key = f"error.{error.status}"
    return visit.show("error.html", error.status, key=key, detail=error.detail, errors=error.errors)


def _on_http_exception(visit: Visit, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    key = "error.404" if error.status_code == 404 else "error.request"
    answer = visit.show("error.html", error.status_code, key=key, detail="", errors=())
    answer.headers.update(error.headers or {})
    return answer


def _on_other_error(visit: Visit, error: Exception) -> Response:
    log.error("page failed", method=visit.request.method, path=visit.request.url.path, exc_info=error)
    return visit.show("error.html", 500, key="error.500", detail="", errors=())


_ON_ERROR: Mapping[type[Exception], Callable[[Visit, Exception], Response]] = {
    NotSignedIn: _on_not_signed_in,
    NotAllowed: _on_not_allowed,
    Forged: _on_forged,
    GatewayError: _on_gateway_error,
    HTTPException: _on_http_exception,
    Exception: _on_other_error,
}
"""What a page answers with; the first kind that fits."""


def _open_to_all(console: Console) -> dict[str, Endpoint]:
    assets = {asset.name: asset.read_bytes() for asset in files("oms_console").joinpath("static").iterdir()}

    async def static(request: Request) -> Response:
        name = str(request.path_params["name"])
        if name not in assets:
            raise HTTPException(404)
        kept = {"cache-control": "public, max-age=31536000, immutable"}
        return Response(assets[name], media_type=_MEDIA_TYPES[name.rpartition(".")[2]], headers=kept)

    return {**health(console), "/static/{name}": static}
