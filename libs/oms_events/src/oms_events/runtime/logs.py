"""Structured logs on standard error. An error is told by its kind and place, never by its words: those may quote an
order's note, a city, or a whole row."""

import logging
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from functools import cache
from types import TracebackType
from typing import Literal

import structlog

from oms_events.codec import Record
from oms_events.envelope import Received
from oms_events.registry import Event, topics
from oms_events.runtime.kafka import TopicsMissing
from oms_events.runtime.observed import current_request
from oms_events.runtime.tracing import is_sampled, trace_id_of

_NAMED = 10
"""So many ids of a batch are named; the number of all of them is said beside."""

_ID = re.compile(r"\A[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


def _trace(traceparent: str | None) -> dict[str, str]:
    """The trace that a line belongs to, where there is one to look at."""
    return {"trace_id": trace_id_of(traceparent)} if traceparent and is_sampled(traceparent) else {}


def _add_trace(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Of the request that is being answered."""
    request = current_request()
    return event if request is None else {**event, **_trace(request.sampled_traceparent())}


@cache
def _order_topics() -> frozenset[str]:
    """Topics whose records are keyed by order."""
    return frozenset(topic.name for topic in topics() if topic.key == "order_id")


_COMMON: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    _add_trace,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure(service: str, *, level: str, log_format: Literal["console", "json"]) -> None:
    """One line per happening, JSON or for the console; libraries' warnings and the last words of a process too."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if log_format == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    told = structlog.processors.ExceptionRenderer(lambda info: places_of(info[1]))
    structlog.configure(
        processors=[*_COMMON, told, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_COMMON, structlog.stdlib.add_logger_name, _first_line],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, told, renderer],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    sys.excepthook = _last_words


def kind_of(error: BaseException) -> str:
    """The name of an error's class; the driver's own where a database refused something."""
    said = getattr(error, "orig", None)
    return type(error if said is None else said.__cause__ or said).__name__


def places_of(error: BaseException) -> str:
    """Where an error and what caused it came from, and their kinds: a traceback without messages."""
    return "\n".join(_places(error))


def ids_of(records: Sequence[Record]) -> dict[str, object]:
    """How many records there are, and of the first the ids of events, of orders, and of traces that are told. Nothing
    that a foreign producer may have put in their place."""
    said: dict[str, list[str]] = {"event_ids": [], "order_ids": [], "trace_ids": []}
    for record in records[:_NAMED]:
        headers = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
        said["event_ids"] += _ID.findall(headers.get("ce_id", ""))
        if record.topic in _order_topics():
            said["order_ids"] += _ID.findall((record.key or b"").decode(errors="replace"))
        said["trace_ids"] += _trace(headers.get("traceparent")).values()
    return {"records": len(records), **{name: ids for name, ids in said.items() if ids}}


def about(received: Received[Event]) -> dict[str, str]:
    """An event's type and id, its key under the name it has on its topic, and the order it is about if it names one."""
    event = received.event
    said = {"event_type": event.type, "event_id": received.meta.id, event.topic.key: event.key()}
    order_id = getattr(event, "order_id", None)
    about_order = {} if order_id is None else {"order_id": str(order_id)}
    return said | about_order | _trace(received.meta.traceparent)


def _places(error: BaseException) -> Iterator[str]:
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None:
        yield from _places(earlier)
        yield "which led to:"
    yield "".join(traceback.format_tb(error.__traceback__)) + kind_of(error)
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _places(one)


def _first_line(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Of a library's message; asyncio's further lines show objects with all they hold."""
    event["event"] = str(event["event"]).split("\n", 1)[0]
    return event


def _last_words(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.exit(130)
    # What the system or the broker lacks is no customer's business: these may say it.
    words = {"reason": str(error)} if isinstance(error, OSError | TopicsMissing) else {}
    structlog.get_logger().critical("process ends", error=kind_of(error), **words, exc_info=error)
