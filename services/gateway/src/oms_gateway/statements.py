"""The door for statements: a file streams into the file store, and an event says under which hash it lies."""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from fastapi import Request, Response
from pydantic_core import to_json

from oms_events.codec import encode
from oms_events.contracts.intake import FileName, StatementFile, StatementFormat, StatementReceived
from oms_events.contracts.settlement import account_of
from oms_events.contracts.shared import Code, Part
from oms_events.envelope import EventMeta
from oms_events.runtime.files import FileStore, Incoming
from oms_events.runtime.problems import Problem
from oms_events.runtime.tracing import write
from oms_events.values import derived_text
from oms_gateway.admission import Admission, require_role, stream_body
from oms_gateway.appender import Appender
from oms_gateway.documents import Refused, read
from oms_gateway.intake import JSON, SOURCE, require_plain, traceparent_of
from oms_gateway.keys import Role
from oms_gateway.metrics import ITEMS
from oms_gateway.traces import send_span, sending

PATH = "/v1/statements"
NAME = "statements"
ROLES = frozenset({Role.FINANCE})
CONTENT_TYPES = frozenset({"text/csv", "text/plain", "text/tab-separated-values", "application/octet-stream"})

_AT_ONCE = 4
"""Uploads of one process at one time: each may fill as much of the disk as a file may have."""


class StatementQuery(Part):
    """Whose statement it is, and how it is written."""

    channel: Code
    shop: Code
    format: StatementFormat
    file_name: FileName = ""


class Statements:
    """Takes statements in."""

    def __init__(
        self, admission: Admission, appender: Appender, files: FileStore | None, *, clock: Callable[[], datetime]
    ) -> None:
        self._admission = admission
        self._appender = appender
        self._files = files
        self._clock = clock
        self._at_work = 0

    async def take(self, request: Request) -> Response:
        """`POST /v1/statements`: 202 with a receipt once the file and the event are durable.

        The signature covers the body's hash, so it is judged when all has come and before anything is kept.
        """
        require_plain(request, CONTENT_TYPES)
        claimant = self._admission.recognise(request)
        require_role(claimant.key, ROLES)
        query = _query(request)
        async with self._receiving(request) as incoming:
            claimant.require_proof(incoming.sha256)
            headers = self._admission.spend(claimant.key, 1)
            await incoming.keep()
        statement = StatementFile(
            channel=query.channel,
            shop=query.shop,
            format=query.format,
            file_sha256=incoming.sha256,
            size_bytes=incoming.size,
            file_name=query.file_name,
            uploaded_at=self._clock(),
            uploaded_by=claimant.key.name,
        )
        event_id = await self._say(statement, traceparent_of(request))
        ITEMS.labels(NAME, "accepted").inc()
        receipt = {
            "id": statement.statement_id,
            "event_id": event_id,
            "status_url": f"{PATH}/{statement.statement_id}",
        }
        return Response(to_json(receipt), 202, headers, JSON)

    @asynccontextmanager
    async def _receiving(self, request: Request) -> AsyncIterator[Incoming]:
        if self._files is None:
            raise Problem(501, "this gateway takes no statements: it has no file store, OMS_FILES_URL is not set")
        if self._at_work >= _AT_ONCE:
            raise Problem(503, "enough statements are coming in already", headers={"retry-after": "5"})
        self._at_work += 1
        try:
            async with self._files.receive(stream_body(request, self._files.max_bytes)) as incoming:
                yield incoming
        finally:
            self._at_work -= 1

    async def _say(self, statement: StatementFile, traceparent: str | None) -> str:
        """Append the event. Each upload is one of its own, so that a refused statement can be handed in again; that
        it is the same statement, its id tells."""
        event = StatementReceived(account=account_of(statement.channel, statement.shop), statement=statement)
        content = hashlib.sha256(to_json(statement)).hexdigest()
        event_id = derived_text(event.type, event.key(), content, at=statement.uploaded_at)
        sent = send_span(event, event_id, alone=True)
        if sent is not None:
            traceparent = write(sent.get_span_context())
        meta = EventMeta(
            event_id, SOURCE, event.type, event.key(), statement.uploaded_at, event_id, traceparent=traceparent
        )
        with sending([sent]):
            await self._appender.append([encode(event, meta)])
        return event_id


def _query(request: Request) -> StatementQuery:
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            raise Problem(422, f"{name} stands twice in the query")
        given[name] = value
    try:
        return read(StatementQuery, given)
    except Refused as error:
        raise Problem(error.status, str(error), errors=error.errors) from None
