"""What is asked about every process: whether it can serve, and what it has counted."""

from typing import Protocol

from fastapi import Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


class Serving(Protocol):
    """A process that answers requests."""

    async def unready_reason(self) -> str | None:
        """Why the process cannot serve now, or None."""


async def readiness(process: Serving) -> Response:
    """200 while requests are wanted, 503 with the reason while they are not."""
    reason = await process.unready_reason()
    return JSONResponse({"ready": reason is None, "reason": reason}, 200 if reason is None else 503)


async def exposition() -> Response:
    """All counters of the process, as Prometheus reads them."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
