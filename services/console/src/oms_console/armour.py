"""What every answer carries: headers that leave a hostile text no way out, and the time it took."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oms_console.metrics import ANSWERS, PAGE_SECONDS
from oms_console.stopwatch import Stopwatch, current

_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "x-frame-options": "DENY",
}
_STRICT_TRANSPORT = "max-age=31536000"
_UNMATCHED = "other"


class Armour:
    """Middleware around the whole application."""

    def __init__(self, app: ASGIApp, *, secure: bool) -> None:
        self._app = app
        self._headers = _HEADERS | ({"strict-transport-security": _STRICT_TRANSPORT} if secure else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        watch = Stopwatch()
        token = current.set(watch)

        async def send_armoured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
                headers["server-timing"] = watch.header()
                page = str(scope.get("page", _UNMATCHED))
                ANSWERS.labels(page, str(message["status"])).inc()
                PAGE_SECONDS.labels(page).observe(watch.elapsed_s())
            await send(message)

        try:
            if _from_elsewhere(scope):
                await PlainTextResponse("forms of other sites are not taken\n", 403)(scope, receive, send_armoured)
            else:
                await self._app(scope, receive, send_armoured)
        finally:
            current.reset(token)


def _from_elsewhere(scope: Scope) -> bool:
    """Whether a browser says that another site sent this form. Those too old to say are held by the token."""
    if scope["method"] in {"GET", "HEAD"}:
        return False
    return Headers(scope=scope).get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}
