"""The HTTP side every service has: its own API, dead letters, health and metrics."""

import base64
import time
from datetime import datetime
from typing import Annotated, Generic, TypeVar
from uuid import UUID

from fastapi import APIRouter, FastAPI, Path, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, TypeAdapter
from pydantic_core import to_json

from oms_events.contracts.shared import Words
from oms_events.runtime import dead_letters, health, problems
from oms_events.runtime.dead_letters import State
from oms_events.runtime.lifecycle import Runtime
from oms_events.runtime.observed import Observed
from oms_events.runtime.problems import Problem, not_found

T = TypeVar("T")
P = TypeVar("P")

Limit = Annotated[int, Query(ge=1, le=500, description="Items per page")]
Cursor = Annotated[str | None, Query(max_length=512, description="`next_cursor` of the page before")]
Serial = Annotated[int, Field(ge=0, lt=2**63)]
"""A number that a database gave a row."""
BY_SERIAL = TypeAdapter(tuple[Serial])
BY_ID = TypeAdapter(tuple[UUID])
BY_NAME = TypeAdapter(tuple[Words])
"""Positions in lists that are ordered by one column."""


class Page(BaseModel, Generic[T]):
    """A page of a list. `next_cursor` is null on the last one."""

    items: list[T]
    next_cursor: str | None = None


def write_cursor(*position: str | int | UUID | datetime) -> str:
    """An opaque cursor for a position in a list."""
    return base64.urlsafe_b64encode(to_json(position)).decode().rstrip("=")


def read_cursor(cursor: str | None, position: TypeAdapter[P]) -> P | None:
    """The position of a cursor, or None for the first page. Raises Problem 422 for one we never wrote: of other parts,
    or with a part that no column holds."""
    if cursor is None:
        return None
    try:
        return position.validate_json(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), strict=True)
    except ValueError:
        raise Problem(422, "cursor: use the next_cursor of the page before") from None


def build_app(runtime: Runtime) -> FastAPI:
    """The service's FastAPI application."""
    name = runtime.service.name
    app = FastAPI(title=f"OMS {name}", version="1", openapi_url="/openapi.json", docs_url="/docs", redoc_url=None)
    app.add_middleware(Observed, service=name, tracing=runtime.tracing)
    problems.install(app)
    app.include_router(_health(runtime))
    app.include_router(_dead_letters(runtime), responses=problems.RESPONSES)
    if runtime.service.api is not None:
        app.include_router(runtime.service.api(runtime), responses=problems.RESPONSES)
    return app


def _health(runtime: Runtime) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/livez")
    async def live() -> Response:
        silent_s = time.monotonic() - runtime.ticked_at()
        return JSONResponse({"silent_s": round(silent_s, 1)}, 200 if silent_s < 60 else 503)

    @router.get("/readyz")
    async def ready() -> Response:
        return await health.readiness(runtime)

    router.add_api_route("/metrics", health.exposition)
    return router


class DeadLetterView(BaseModel):
    """A record that could not be applied."""

    id: int
    consumer: str
    event_id: UUID | None
    event_type: str | None
    key: str
    state: State
    reason: str
    topic: str
    partition: int
    record_offset: int


class DeadLetterDetail(DeadLetterView):
    """A dead letter with all that was received."""

    detail: str
    headers: dict[str, str]
    payload: str


class Affected(BaseModel):
    """How many letters a command reached."""

    letters: int


LetterId = Annotated[int, Path(ge=1, le=2**62)]


def _dead_letters(runtime: Runtime) -> APIRouter:
    router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"])

    @router.get("")
    async def list_dead_letters(
        state: State | None = None, closed: bool = False, limit: Limit = 50, cursor: Cursor = None
    ) -> Page[DeadLetterView]:
        """Records that could not be applied, oldest first; open ones only unless `closed`."""
        (after,) = read_cursor(cursor, BY_SERIAL) or (0,)
        async with runtime.connection() as connection:
            rows = await dead_letters.list_letters(connection, state=state, closed=closed, after=after, limit=limit)
        items = [DeadLetterView.model_validate(row) for row in rows]
        return Page(items=items, next_cursor=write_cursor(items[-1].id) if len(items) == limit else None)

    @router.get("/{letter_id}")
    async def show_dead_letter(letter_id: LetterId) -> DeadLetterDetail:
        """One record with headers and payload."""
        async with runtime.connection() as connection:
            row = await dead_letters.show(connection, letter_id)
        if row is None:
            raise not_found(f"dead letter {letter_id}")
        return DeadLetterDetail.model_validate(row)

    @router.post("/{letter_id}:replay", status_code=202)
    async def replay_dead_letter(letter_id: LetterId) -> Affected:
        """Apply it again, and then all that waits behind its key."""
        async with runtime.write() as connection:
            letters = await dead_letters.replay(connection, letter_id)
        if not letters:
            raise not_found(f"open dead letter {letter_id}")
        return Affected(letters=letters)

    @router.post("/{letter_id}:discard")
    async def discard_dead_letter(letter_id: LetterId) -> Affected:
        """Give it up for good. What waits behind it stays until replayed."""
        async with runtime.write() as connection:
            letters = await dead_letters.discard(connection, letter_id, by="api")
        if not letters:
            raise not_found(f"open dead letter {letter_id}")
        return Affected(letters=letters)

    return router
