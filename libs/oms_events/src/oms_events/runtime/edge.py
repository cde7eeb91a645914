"""A process at the edge, as the gateway and the console are: HTTP in front, neither database nor consumer behind."""

import argparse
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import structlog
import uvloop
from fastapi import Request, Response
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from oms_events.runtime import logs
from oms_events.runtime.health import Serving, exposition, readiness
from oms_events.runtime.lifecycle import HttpServer, stop_signal
from oms_events.runtime.settings import SettingRefused, Settings

log = structlog.get_logger()

Endpoint = Callable[[Request], Awaitable[Response]]

_REFUSED = 2


class Edge(Serving, Protocol):
    """What such a process is made of."""

    @property
    def settings(self) -> Settings: ...

    def running(self) -> AbstractAsyncContextManager[object]:
        """All its parts at work until the block ends."""

    def leave(self) -> None:
        """Say that no new requests are wanted; those at work go on."""


def health(edge: Edge) -> Mapping[str, Endpoint]:
    """What is asked about every process, by path."""

    async def live(_: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(_: Request) -> Response:
        return await readiness(edge)

    async def metrics(_: Request) -> Response:
        return await exposition()

    return {"/livez": live, "/readyz": ready, "/metrics": metrics}


def serve(name: str, settings: Settings, build: Callable[[], tuple[Edge, Any]]) -> None:
    """Run until SIGTERM or SIGINT: then not ready, and requests in flight are finished before the parts stop.

    `build` makes the parts and their ASGI application; it is called with the loop at work.
    """
    logs.configure(name, level=settings.log_level, log_format=settings.log_format)
    uvloop.run(_serve(build))


async def _serve(build: Callable[[], tuple[Edge, Any]]) -> None:
    stop = stop_signal()
    edge, app = build()
    server = HttpServer(app, edge.settings)
    async with edge.running(), server.running():
        log.info("serving", port=edge.settings.http_port)
        await stop.wait()
        edge.leave()
        await server.linger()
    log.info("stopped")


def run_command(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None, *, refusals: tuple[type[Exception], ...]
) -> None:
    """Parse, and call what the command was given as `run`. Exit code 2, with the reason on standard error: refused."""
    arguments = parser.parse_args(argv)
    refused: tuple[type[Exception], ...] = (OSError, SettingRefused, *refusals)
    try:
        arguments.run(arguments)
    except ValidationError as error:
        said = "; ".join(": ".join(filter(None, (_place(e["loc"]), e["msg"]))) for e in error.errors())
        parser.exit(_REFUSED, f"{parser.prog}: {said}\n")
    except refused as error:
        parser.exit(_REFUSED, f"{parser.prog}: {error}\n")


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location))
