"""Every HTTP request of a service or the gateway: counted by route, and a server span where it is traced.

A path may name anything, so metrics and spans know the route's template only.
"""

import time
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any

from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oms_events.runtime.telemetry import HTTP_SECONDS
from oms_events.runtime.tracing import Tracing, context_of, write

ROUTE = "oms.route"
"""Where an application that routes by itself puts the template into the scope."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_UNSEEN = frozenset({"/livez", "/readyz", "/metrics"})
"""Asked every few seconds by machines: nobody's request."""
_NO_ROUTE = "unmatched"

_current: ContextVar["RequestSpan | None"] = ContextVar("request", default=None)


class RequestSpan:
    """The server span of one request. It begins when somebody needs it, at the latest when the request ends: only
    then is it known which trace it belongs to."""

    def __init__(self, tracing: Tracing, method: str, traceparent: str | None) -> None:
        self.tracing = tracing
        self.caller = context_of(traceparent)
        """The caller's span, where it sent one."""
        self._method = method
        self._started_ns = time.time_ns()
        self._span: Span | None = None

    def context(self, *, trace_id: int | None = None) -> SpanContext:
        """The span's place in its trace. `trace_id` is for a request that is the first of it."""
        if self._span is None:
            self._span = self.tracing.start(
                self._method, SpanKind.SERVER, parent=self.caller, trace_id=trace_id, started_ns=self._started_ns
            )
        return self._span.get_span_context()

    def sampled_traceparent(self) -> str | None:
        """What the request causes has this as parent, if it is one that somebody wants to see."""
        context = self.context()
        return write(context) if context.trace_flags.sampled else None

    def set_attribute(self, name: str, value: str) -> None:
        """Say something of the request."""
        self.context()
        if self._span is not None:
            self._span.set_attribute(name, value)

    def end(self, route: str, status: int) -> None:
        """It was answered."""
        self.context()
        assert self._span is not None
        self._span.update_name(f"{self._method} {route}")
        self._span.set_attributes(
            {"http.request.method": self._method, "http.route": route, "http.response.status_code": status}
        )
        if status >= 500:
            self._span.set_attribute("error.type", str(status))
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


def current_request() -> RequestSpan | None:
    """The request that this task is answering, if it is traced."""
    return _current.get()


class Observed:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, service: str, tracing: Tracing) -> None:
        self._app = app
        self._service = service
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _UNSEEN:
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        seen = RequestSpan(self._tracing, method, _traceparent(scope)) if self._tracing.on else None
        token, began, status = _current.set(seen), time.perf_counter(), 500

        async def watching(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watching)
        finally:
            _current.reset(token)
            route = _route(scope)
            HTTP_SECONDS.labels(self._service, method, route, str(status)).observe(time.perf_counter() - began)
            if seen is not None:
                seen.end(route, status)


def _traceparent(scope: Scope) -> str | None:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"), None)


def _route(scope: MutableMapping[str, Any]) -> str:
    said = scope.get(ROUTE) or getattr(scope.get("route"), "path", None)
    return said if isinstance(said, str) else _NO_ROUTE
