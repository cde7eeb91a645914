"""What events exist: one declaration each gives its type, topic, key and, later, its upcasters.

    ORDER = Topic("oms.orders.order.v1", key="order_id")

    @event(ORDER)
    class OrderPlaced(Event): ...

The type string is `oms.<service>.<Event>.v<n>`; the service is the second part of the topic's name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

from oms_events.contract import Contract

DAY_MS = 24 * 60 * 60 * 1000
MAX_RECORD_BYTES = 900_000
"""Largest encoded record. Kept below the topics' `max.message.bytes`: a broker that refuses a batch for
its size leaves an idempotent producer out of sequence for good."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One aggregate's stream. `key` names the attribute of its events that keeps an aggregate in order."""

    name: str
    key: str
    cleanup: Literal["delete", "compact"] = "delete"
    retention_days: int = 14

    @property
    def service(self) -> str:
        return self.name.split(".")[1]

    def config(self) -> dict[str, str]:
        """Topic settings for the broker."""
        settings = {"cleanup.policy": self.cleanup, "max.message.bytes": "1048576"}
        if self.cleanup == "delete":
            settings["retention.ms"] = str(self.retention_days * DAY_MS)
        return settings


class Event(Contract):
    """Base of all domain events."""

    topic: ClassVar[Topic]
    type: ClassVar[str]

    def key(self) -> str:
        """Partition key: events of one key stay in order."""
        return str(getattr(self, self.topic.key))


E = TypeVar("E", bound=Event)
Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Upcast:
    """How data of an older type becomes data of the next one."""

    to: str
    apply: Upcaster


_events: dict[str, type[Event]] = {}
_upcasts: dict[str, Upcast] = {}


def event(topic: Topic, *, version: int = 1) -> Callable[[type[E]], type[E]]:
    """Declare a model as an event of a topic. Raises ValueError when the type is already taken."""

    def declare(model: type[E]) -> type[E]:
        name = model.__name__.removesuffix(f"V{version}")
        model.topic = topic
        model.type = f"oms.{topic.service}.{name}.v{version}"
        if model.type in _events:
            raise ValueError(f"event type {model.type} is declared twice")
        _events[model.type] = model
        return model

    return declare


def upcast(from_type: str, to_type: str) -> Callable[[Upcaster], Upcaster]:
    """Declare how data of `from_type` is read as `to_type`, so that old records stay readable."""

    def declare(function: Upcaster) -> Upcaster:
        _upcasts[from_type] = Upcast(to_type, function)
        return function

    return declare


def events() -> Mapping[str, type[Event]]:
    """Every declared event by type string."""
    _load_contracts()
    return dict(sorted(_events.items()))


def topics() -> list[Topic]:
    """Every topic that carries an event, by name."""
    return sorted({model.topic for model in events().values()}, key=lambda topic: topic.name)


def current_type(type_: str) -> str:
    """The type that records of `type_` are read as today, following upcasters."""
    while type_ in _upcasts:
        type_ = _upcasts[type_].to
    return type_


def upcast_data(type_: str, data: dict[str, Any]) -> dict[str, Any]:
    """Data of `type_` brought to `current_type(type_)`."""
    while type_ in _upcasts:
        data = _upcasts[type_].apply(data)
        type_ = _upcasts[type_].to
    return data


def model_of(type_: str) -> type[Event] | None:
    """The model that reads records of `type_`, or None when nobody declared it."""
    if current_type(type_) not in _events:
        _load_contracts()
    return _events.get(current_type(type_))


def _load_contracts() -> None:
    from oms_events import contracts  # noqa: F401, PLC0415 - importing the modules declares their events
