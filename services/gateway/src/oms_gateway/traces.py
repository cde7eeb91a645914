"""Where a trace begins: the request of a caller that has none, or each order of a batch by itself."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from oms_events.registry import Event
from oms_events.runtime.observed import current_request
from oms_events.runtime.tracing import event_attributes, order_of, order_trace_id, short_name


def send_span(event: Event, event_id: str, *, alone: bool) -> Span | None:
    """The span of an event's way to the broker; None where nothing is traced.

    A caller's trace is gone on with, whatever the request holds. Where it sent none, a request about one order begins
    that order's trace, and in a batch every order has its own, linked to the request.
    """
    request = current_request()
    if request is None:
        return None
    order_id = order_of(event)
    begins = order_id is not None and request.caller is None
    trace_id = order_trace_id(order_id) if order_id is not None else None
    around = request.context(trace_id=trace_id if begins and alone else None)
    of_its_own = begins and not alone
    span = request.tracing.start(
        f"send {short_name(event.type)}",
        SpanKind.PRODUCER,
        parent=None if of_its_own else around,
        trace_id=trace_id,
        links=[around] if of_its_own and around.trace_flags.sampled else [],
    )
    if span.is_recording():
        span.set_attributes(
            {
                **event_attributes(event_id, event.type, None if order_id is None else str(order_id)),
                "messaging.system": "kafka",
                "messaging.operation.name": "send",
                "messaging.operation.type": "send",
                "messaging.destination.name": event.topic.name,
            }
        )
    return span


@contextmanager
def sending(spans: Sequence[Span | None]) -> Iterator[None]:
    """What becomes of it while the broker is waited for."""
    begun = [span for span in spans if span is not None]
    try:
        yield
    except Exception as error:
        for span in begun:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(Status(StatusCode.ERROR))
        raise
    finally:
        for span in begun:
            span.end()
