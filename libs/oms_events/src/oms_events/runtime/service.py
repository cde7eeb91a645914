"""How a service declares itself: what it consumes, what it waits for, what it publishes, its API.

service = Service(
    "inventory",
    consumes=[on(OrderPlaced, on_order_placed), ...],
    deadlines=[at("reservation-expiry", expire_reservations)],
    jobs=[every(1.0, publish_channel_stock)],
    produces=[StockReserved, ...],
    api=router,
)
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncConnection

from oms_events.envelope import Batch, Received
from oms_events.registry import Event, Topic
from oms_events.runtime.deadlines import Deadline
from oms_events.runtime.work import Work

if TYPE_CHECKING:
    from fastapi import APIRouter

    from oms_events.runtime.lifecycle import Runtime

E = TypeVar("E", bound=Event)
Handler = Callable[[Batch[Any], Work], Awaitable[None]]
Prepare = Callable[[Sequence[Received[Any]], Work], Awaitable[None]]
DeadlineHandler = Callable[[Sequence[Deadline], Work], Awaitable[None]]
Count = Callable[[AsyncConnection], Awaitable[Mapping[tuple[str, ...], float]]]
Job = Callable[[Work], Awaitable[None]]
Begin = Callable[[], AbstractAsyncContextManager[Work]]
"""Begins a transaction."""
LongJob = Callable[[Begin], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Subscription:
    """One event type and the function that handles batches of it."""

    event: type[Event]
    handle: Handler
    projection: bool = False
    """That the handler only keeps what the event says, the last of a key: it may be told all of it again."""


@dataclass(frozen=True, slots=True)
class Wait:
    """One kind of deadline and the function that is called when some are over."""

    kind: str
    handle: DeadlineHandler


@dataclass(frozen=True, slots=True)
class Periodic:
    """Work done again and again, in one transaction each time, by one process at a time."""

    name: str
    interval_s: float
    run: Job


class Busy(Exception):
    """Another process is at a stepwise job. Let it pass: the job ends, and is tried again later."""


@dataclass(frozen=True, slots=True)
class Stepwise:
    """Long work in as many transactions as it takes, by one process at a time. Between them others take their turns,
    so each must find out anew where the work stands: the process may have died after any."""

    name: str
    interval_s: float
    run: LongJob


@dataclass(frozen=True, slots=True)
class Sampled:
    """A gauge of what the database holds, read now and then by the process with the deadlines."""

    gauge: Gauge
    count: Count


def on(
    event: type[E], handle: Callable[[Batch[E], Work], Awaitable[None]], *, projection: bool = False
) -> Subscription:
    """Subscribe to an event."""
    return Subscription(event, handle, projection)


def at(kind: str, handle: DeadlineHandler) -> Wait:
    """Handle deadlines of a kind."""
    return Wait(kind, handle)


def gauge(of: Gauge, count: Count) -> Sampled:
    """Keep a gauge true to what a cheap query answers: a value for each combination of its labels."""
    return Sampled(of, count)


def every(interval_s: float, run: Job) -> Periodic:
    """Do something every so many seconds."""
    return Periodic(run.__name__, interval_s, run)


def step_by_step(interval_s: float, run: LongJob) -> Stepwise:
    """Look every so many seconds whether there is long work, and do it in transactions of its own."""
    return Stepwise(run.__name__, interval_s, run)


@dataclass(frozen=True)
class Service:
    """A service's table of contents. Raises ValueError when two handlers claim one event or deadline."""

    name: str
    consumes: Sequence[Subscription] = ()
    deadlines: Sequence[Wait] = ()
    jobs: Sequence[Periodic] = ()
    long_jobs: Sequence[Stepwise] = ()
    gauges: Sequence[Sampled] = ()
    produces: Sequence[type[Event]] = ()
    prepare: Prepare | None = None
    """Called before the handlers of a batch where there are several: to lock for all of them, in one order, rows that
    other members want as well. Each handler's own order does not hold for two in one transaction."""
    api: "Callable[[Runtime], APIRouter] | None" = None
    purpose: str = field(default="flow")

    def __post_init__(self) -> None:
        for what, names in (
            ("event", [subscription.event.type for subscription in self.consumes]),
            ("deadline", [wait.kind for wait in self.deadlines]),
        ):
            if twice := {name for name in names if names.count(name) > 1}:
                raise ValueError(f"{self.name}: {what} handled twice: {', '.join(sorted(twice))}")

    @property
    def group(self) -> str:
        """Consumer group, and the consumer's name in the inbox."""
        return f"{self.name}.{self.purpose}"

    @property
    def source(self) -> str:
        """CloudEvents source of what the service publishes."""
        return f"/oms/{self.name}"

    def topics(self) -> list[Topic]:
        """Topics the service reads."""
        return sorted({s.event.topic for s in self.consumes}, key=lambda topic: topic.name)

    def topic_names(self) -> list[str]:
        """Topics the service reads or writes: they must exist before it starts."""
        return sorted({topic.name for topic in self.topics()} | {event.topic.name for event in self.produces})
