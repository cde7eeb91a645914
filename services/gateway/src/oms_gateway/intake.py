"""The doors at work: a body becomes events on a topic, and only then the caller is answered."""

import asyncio
import hashlib
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from fastapi import Request, Response
from opentelemetry.trace import Span
from pydantic import BaseModel
from pydantic_core import to_json

from oms_events.codec import Record, RecordTooLarge, encode
from oms_events.envelope import EventMeta
from oms_events.registry import MAX_RECORD_BYTES
from oms_events.runtime.problems import FieldError, Problem
from oms_events.runtime.tracing import write
from oms_events.values import derived_text
from oms_gateway.admission import BODY_LIMIT, Admission, path_of, require_role
from oms_gateway.appender import Appender
from oms_gateway.documents import Malformed, Refused, parse, read
from oms_gateway.doors import Door
from oms_gateway.idempotency import ClaimedBodies
from oms_gateway.keys import Key
from oms_gateway.metrics import ITEMS
from oms_gateway.traces import send_span, sending

SOURCE = "/oms/gateway"
BATCH_LIMIT = 500
SINGLE_BODY_LIMIT = 2 * 1024 * 1024

JSON = "application/json"
NDJSON = "application/x-ndjson"

_BREATHE_EVERY = 50
_MAX_LINES = 20_000
_MAX_CLAIM = 255
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class Receipt(BaseModel):
    """What was accepted. `id` is the order, shipment, SKU or waybill it is about; the same body gives the same ids."""

    id: str
    event_id: UUID
    status_url: str


class ItemReceipt(BaseModel):
    """What became of one item of a batch. Ids are null when it was rejected."""

    index: int
    status: Literal["accepted", "rejected"]
    id: str | None = None
    event_id: UUID | None = None
    status_url: str | None = None
    errors: list[FieldError] = []


class BatchReceipt(BaseModel):
    """What became of a batch, item by item, in the order they came."""

    accepted: int
    rejected: int
    items: list[ItemReceipt]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A document on its way to the topic."""

    id: str
    event_id: str
    status_url: str
    record: Record
    sent: Span | None

    def receipt(self) -> dict[str, object]:
        return {"id": self.id, "event_id": self.event_id, "status_url": self.status_url}


@dataclass(frozen=True, slots=True)
class _Circumstances:
    """What the entries of one request have in common."""

    key: Key
    now: datetime
    traceparent: str | None
    """What the caller sent, for what is not traced here."""
    alone: bool
    """That the request is about one document."""


class Intake:
    """Takes documents in."""

    def __init__(
        self, admission: Admission, appender: Appender, claims: ClaimedBodies, *, clock: Callable[[], datetime]
    ) -> None:
        self._admission = admission
        self._appender = appender
        self._claims = claims
        self._clock = clock

    async def take_one(self, door: Door[Any], request: Request) -> Response:
        """`POST path`: 202 with a receipt once the document is durable."""
        require_plain(request, {JSON})
        key, body = await self._admission.admit(request, body_limit=SINGLE_BODY_LIMIT)
        require_role(key, {door.role})
        headers = self._admission.spend(key, 1)
        claim, digest = _claim(request, key), hashlib.sha256(body).digest()
        self._require_agreement(claim, digest)
        try:
            entry = _enter(door, parse(body), self._circumstances(request, key, alone=True))
        except Malformed as error:
            raise Problem(400, f"the body is not JSON: {error}", headers=headers) from None
        except Refused as error:
            ITEMS.labels(door.name, "rejected").inc()
            raise Problem(error.status, str(error), errors=error.errors, headers=headers) from None
        with sending([entry.sent]):
            await self._appender.append([entry.record])
        ITEMS.labels(door.name, "accepted").inc()
        if claim is not None:
            self._claims.remember(claim, digest)
        return Response(to_json(entry.receipt()), 202, headers, JSON)

    async def take_many(self, door: Door[Any], request: Request) -> Response:
        """`POST path:batch`: an answer per item; 202 when at least one was accepted, else 422."""
        content_type = require_plain(request, {JSON, NDJSON})
        key, body = await self._admission.admit(request, body_limit=BODY_LIMIT)
        require_role(key, {door.role})
        items = _lines(body) if content_type == NDJSON else _array(body)
        headers = self._admission.spend(key, len(items))
        claim, digest = _claim(request, key), hashlib.sha256(body).digest()
        self._require_agreement(claim, digest)
        outcomes = await self._enter_all(door, items, self._circumstances(request, key, alone=False))
        entries = [outcome for outcome in outcomes if isinstance(outcome, _Entry)]
        if entries:
            with sending([entry.sent for entry in entries]):
                await self._appender.append([entry.record for entry in entries])
            if claim is not None:
                self._claims.remember(claim, digest)
        ITEMS.labels(door.name, "accepted").inc(len(entries))
        ITEMS.labels(door.name, "rejected").inc(len(outcomes) - len(entries))
        return Response(_batch_receipt(outcomes, len(entries)), 202 if entries else 422, headers, JSON)

    async def _enter_all(
        self, door: Door[Any], items: Sequence[object], circumstances: _Circumstances
    ) -> list[_Entry | Refused]:
        outcomes: list[_Entry | Refused] = []
        for index, item in enumerate(items):
            if index % _BREATHE_EVERY == _BREATHE_EVERY - 1:
                await asyncio.sleep(0)  # ten megabytes take half a second: others must get a word in
            try:
                if isinstance(item, Refused):
                    raise item
                outcomes.append(_enter(door, item, circumstances))
            except Refused as error:
                outcomes.append(error)
        return outcomes

    def _circumstances(self, request: Request, key: Key, *, alone: bool) -> _Circumstances:
        return _Circumstances(key, self._clock(), traceparent_of(request), alone)

    def _require_agreement(self, claim: tuple[str, str, str] | None, digest: bytes) -> None:
        if claim is not None and not self._claims.agrees(claim, digest):
            raise Problem(409, "this Idempotency-Key came with another body before")


def _enter(door: Door[Any], value: object, circumstances: _Circumstances) -> _Entry:
    """A document as a record with derived ids. Raises Refused."""
    part = read(door.part, value)
    if not door.allows(circumstances.key, part):
        raise Refused.because(door.scope, "scope", f"this key may not speak for this {door.scope}", status=403)
    event = door.wrap(part)
    key = event.key()
    content = hashlib.sha256(to_json(part)).hexdigest()
    event_id = derived_text(event.type, key, content, at=door.at(part))
    sent = send_span(event, event_id, alone=circumstances.alone)
    traceparent = circumstances.traceparent if sent is None else write(sent.get_span_context())
    meta = EventMeta(event_id, SOURCE, event.type, key, circumstances.now, event_id, traceparent=traceparent)
    try:
        record = encode(event, meta)
    except RecordTooLarge:
        detail = f"a document may have {MAX_RECORD_BYTES} bytes"
        raise Refused.because("body", "too_large", detail, status=413) from None
    return _Entry(key, meta.correlationid, door.status_url(key), record, sent)


def _array(body: bytes) -> Sequence[object]:
    try:
        items = parse(body)
    except Malformed as error:
        raise Problem(400, f"the body is not JSON: {error}") from None
    if not isinstance(items, list):
        raise Problem(422, "the body must be an array of documents")
    return _bounded(items)


def _lines(body: bytes) -> Sequence[object]:
    if body.count(b"\n") > _MAX_LINES:
        raise Problem(422, f"a batch has 1 to {BATCH_LIMIT} items")
    numbered = [(number, line) for number, line in enumerate(body.split(b"\n"), 1) if line.strip()]
    return [_line(number, line) for number, line in _bounded(numbered)]


def _line(number: int, line: bytes) -> object:
    try:
        return parse(line)
    except Malformed as error:
        return Refused.because(f"line {number}", "json_invalid", str(error))


def _bounded(items: list[Any]) -> list[Any]:
    if not 1 <= len(items) <= BATCH_LIMIT:
        raise Problem(422, f"a batch has 1 to {BATCH_LIMIT} items; this one has {len(items)}")
    return items


def _batch_receipt(outcomes: Sequence[_Entry | Refused], accepted: int) -> bytes:
    items = [
        {"index": index, "status": "accepted", **outcome.receipt(), "errors": []}
        if isinstance(outcome, _Entry)
        else {
            "index": index,
            "status": "rejected",
            "id": None,
            "event_id": None,
            "status_url": None,
            "errors": outcome.errors,
        }
        for index, outcome in enumerate(outcomes)
    ]
    return to_json({"accepted": accepted, "rejected": len(outcomes) - accepted, "items": items})


def _claim(request: Request, key: Key) -> tuple[str, str, str] | None:
    name = request.headers.get("idempotency-key")
    if name is None:
        return None
    if not 1 <= len(name) <= _MAX_CLAIM:
        raise Problem(400, f"an Idempotency-Key has 1 to {_MAX_CLAIM} characters")
    return key.name, path_of(request), name


def traceparent_of(request: Request) -> str | None:
    """The caller's trace, if it names one that can be read."""
    traceparent = request.headers.get("traceparent", "")
    return traceparent if _TRACEPARENT.fullmatch(traceparent) else None


def require_plain(request: Request, allowed: Collection[str]) -> str:
    """The content type. Raises Problem 415 for another one, a packed body, or a charset that is not UTF-8."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Problem(415, "send the body uncompressed, without Content-Encoding")
    name, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    charset = parameters.strip().removeprefix("charset=").strip('"')
    if name.strip() not in allowed or charset not in {"", "utf-8"}:
        raise Problem(415, f"send {' or '.join(sorted(allowed))} in UTF-8")
    return name.strip()
