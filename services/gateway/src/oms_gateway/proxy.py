"""Passes reads and commands on to the service that owns them, for a caller whose right to ask is proven."""

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx
import structlog
from fastapi import Request, Response
from opentelemetry.trace import SpanKind, Status, StatusCode

from oms_events.runtime.observed import ROUTE, current_request
from oms_events.runtime.problems import Problem, not_found
from oms_events.runtime.tracing import write
from oms_gateway.admission import Admission, path_of, require_role
from oms_gateway.keys import Key
from oms_gateway.metrics import PROXIED
from oms_gateway.routes import Route, Scope, find, methods_of

log = structlog.get_logger()

ANSWER_LIMIT = 32 * 1024 * 1024

_TIMEOUT = httpx.Timeout(30.0, connect=2.0, pool=5.0)
# Uvicorn closes an idle connection after 5 s; one that we drop first is never found closed in mid-request.
_POOL = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=2.0)
_PASSED_ON = ("accept", "content-type", "idempotency-key", "if-match", "if-none-match", "traceparent", "tracestate")
_KEPT_BACK = {
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def build_client() -> httpx.AsyncClient:
    """The client for all services: pooled connections, no proxy of the environment, no redirects."""
    return httpx.AsyncClient(timeout=_TIMEOUT, limits=_POOL, trust_env=False)


class Proxy:
    """Passes requests on by the table of routes."""

    def __init__(self, admission: Admission, client: httpx.AsyncClient, urls: Mapping[str, str]) -> None:
        self._admission = admission
        self._client = client
        self._urls = urls

    async def pass_on(self, request: Request) -> Response:
        """The owning service's answer. Raises Problem: 404 and 405 of our own, 503 for a service that is down."""
        route = _route_of(request)
        request.scope[ROUTE] = route.path
        key, body = await self._admission.admit(request)
        require_role(key, route.allowed(request.method))
        quota = self._admission.spend(key, 1)
        headers = _onward_headers(request, key)
        if route.scope is not None and route.scope.limits(key):
            await self._require_scope(request, route, route.scope, key, headers)
        raw_path: bytes = request.scope["raw_path"]
        answer, content = await self._ask(
            route.service,
            request.method,
            _onward_path(route, raw_path) + _query(request),
            headers,
            body,
        )
        passed = {name: value for name, value in answer.headers.items() if name not in _KEPT_BACK}
        return Response(content, answer.status_code, passed | quota | {"x-request-id": headers["x-request-id"]})

    async def _ask(
        self, service: str, method: str, target: bytes, headers: Mapping[str, str], body: bytes
    ) -> tuple[httpx.Response, bytes]:
        url = httpx.URL(self._urls[service]).copy_with(raw_path=target)
        try:
            with _asking(service, method, headers) as sent:
                async with self._client.stream(method, url, headers=sent, content=body or None) as answer:
                    content = await _read(answer, service)
        except httpx.TransportError as error:
            PROXIED.labels(service, "unreachable").inc()
            log.warning("service unreachable", of=service, error=type(error).__name__)
            raise Problem(503, f"the service {service} does not answer", headers={"retry-after": "2"}) from None
        PROXIED.labels(service, f"{answer.status_code // 100}xx").inc()
        return answer, content

    async def _require_scope(
        self, request: Request, route: Route, scope: Scope, key: Key, headers: Mapping[str, str]
    ) -> None:
        """Let a limited key see its own only: by the path, by the query of a list, or by the thing itself."""
        path = path_of(request)
        matched = route.pattern.match(path)
        assert matched is not None
        whose = matched.groupdict()
        below = path[matched.end() :]
        if set(scope.fields) <= whose.keys():
            if not scope.allows(key, whose):
                raise not_found(path)
        elif below:
            if not scope.allows(key, await self._owner_of(request, route, scope, headers)):
                raise not_found(path)
        else:
            asked = {field: request.query_params.getlist(field) for field in scope.fields}
            if any(len(values) != 1 for values in asked.values()) or not scope.allows(
                key, {field: values[0] for field, values in asked.items()}
            ):
                raise Problem(403, f"this key is limited: name {' and '.join(scope.fields)} of its own in the query")

    async def _owner_of(
        self, request: Request, route: Route, scope: Scope, headers: Mapping[str, str]
    ) -> Mapping[str, str]:
        raw_path: bytes = request.scope["raw_path"]
        segments = raw_path.split(b"/")[: route.path.count("/") + 2]
        answer, content = await self._ask(route.service, "GET", b"/".join(segments), headers, b"")
        thing = json.loads(content) if answer.status_code == 200 else None
        if not isinstance(thing, dict) or not all(isinstance(thing.get(field), str) for field in scope.fields):
            raise not_found(path_of(request))
        return thing


@contextmanager
def _asking(service: str, method: str, headers: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """A client span around what is asked of a service; answers the headers, with the span as parent of its own."""
    request = current_request()
    if request is None:
        yield headers
        return
    span = request.tracing.start(
        f"{method} {service}",
        SpanKind.CLIENT,
        parent=request.context(),
        attributes={"http.request.method": method, "server.address": service, "peer.service": f"oms-{service}"},
    )
    try:
        yield {**headers, "traceparent": write(span.get_span_context())}
    except httpx.TransportError as error:
        span.set_attribute("error.type", type(error).__name__)
        span.set_status(Status(StatusCode.ERROR))
        raise
    finally:
        span.end()


def _route_of(request: Request) -> Route:
    path = path_of(request)
    route = find(request.method, path)
    if {"", ".", ".."} & set(path.split("/")[1:]):
        raise not_found("this path")
    if route is not None:
        return route
    if methods := methods_of(path):
        allow = ", ".join(sorted(methods))
        raise Problem(405, f"this path takes {allow}", headers={"allow": allow})
    raise not_found("this path")


def _onward_path(route: Route, raw_path: bytes) -> bytes:
    if route.target is None:
        return raw_path
    below = raw_path.split(b"/")[route.path.count("/") + 1 :]
    return b"/".join([route.target.encode(), *below])


def _query(request: Request) -> bytes:
    query: bytes = request.scope["query_string"]
    return b"?" + query if query else b""


def _onward_headers(request: Request, key: Key) -> dict[str, str]:
    # A list of what may pass, not of what may not: nobody can claim to be someone by a header of our own.
    headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
    request_id = request.headers.get("x-request-id", "")
    headers["x-request-id"] = request_id if _REQUEST_ID.fullmatch(request_id) else str(uuid.uuid4())
    headers["x-oms-actor"] = key.name
    headers["x-oms-role"] = key.role
    headers["accept-encoding"] = "identity"
    return headers


async def _read(answer: httpx.Response, service: str) -> bytes:
    chunks, size = [], 0
    async for chunk in answer.aiter_raw():
        size += len(chunk)
        if size > ANSWER_LIMIT:
            raise Problem(502, f"the service {service} answered more than {ANSWER_LIMIT} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
