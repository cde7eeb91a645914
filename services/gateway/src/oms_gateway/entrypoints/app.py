"""The gateway's HTTP application: doors, proxy, one OpenAPI document, health."""

import asyncio
from functools import partial

from fastapi import FastAPI, Request, Response
from starlette.routing import Route

from oms_events.runtime import problems
from oms_events.runtime.edge import Endpoint, health
from oms_events.runtime.observed import ROUTE, Observed
from oms_events.runtime.problems import Problem
from oms_gateway import statements
from oms_gateway.doors import DOORS
from oms_gateway.gateway import Gateway
from oms_gateway.intake import JSON
from oms_gateway.metrics import REFUSED
from oms_gateway.pages.events_page import document_text, events_page

_ALL_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def build_app(gateway: Gateway) -> FastAPI:
    """The application. Routes are Starlette's own: bodies are read raw, so FastAPI's layer would only cost time."""
    app = FastAPI(title="OMS gateway", openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(Observed, service="gateway", tracing=gateway.tracing)
    problems.install(app)
    for door in DOORS:
        _add(app, door.path, _counting(door.name, partial(gateway.intake.take_one, door)), ["POST"])
        _add(app, f"{door.path}:batch", _counting(door.name, partial(gateway.intake.take_many, door)), ["POST"])
    _add(app, statements.PATH, _counting(statements.NAME, gateway.statements.take), ["POST"])
    for path, endpoint in _open_to_all(gateway).items():
        _add(app, path, endpoint, ["GET"])
    # The proxy names the row of its table once it has found it.
    _add(app, "/{path:path}", gateway.proxy.pass_on, _ALL_METHODS, route="")
    return app


def _add(app: FastAPI, path: str, endpoint: Endpoint, methods: list[str], *, route: str | None = None) -> None:
    async def known(request: Request) -> Response:
        request.scope[ROUTE] = path if route is None else route
        return await endpoint(request)

    app.router.routes.append(Route(path, known, methods=methods))


def _counting(door: str, endpoint: Endpoint) -> Endpoint:
    """The endpoint, with what it turns away counted by status."""

    async def counted(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Problem as problem:
            REFUSED.labels(door, str(problem.details.status)).inc()
            raise

    return counted


def _open_to_all(gateway: Gateway) -> dict[str, Endpoint]:
    async def openapi(_: Request) -> Response:
        return Response(await gateway.api_document.read(), media_type=JSON)

    async def docs(request: Request) -> Response:
        return (await gateway.api_document.page()).answer(request)

    async def asyncapi(_: Request) -> Response:
        return Response(document_text(), media_type=JSON)

    async def event_docs(request: Request) -> Response:
        return (await asyncio.to_thread(events_page)).answer(request)

    return {
        **health(gateway),
        "/openapi.json": openapi,
        "/docs": docs,
        "/asyncapi.json": asyncapi,
        "/docs/events": event_docs,
    }
