"""The page of the events: what the AsyncAPI document says, for people."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import groupby
from typing import Any

from oms_gateway.pages.render import Page, render
from oms_gateway.pages.shapes import Field, fields_of

Json = Mapping[str, Any]

_DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True)
class Attribute:
    """One header of a record."""

    name: str
    says: str
    required: bool


@dataclass(frozen=True)
class ExampleView:
    """A record as a reader meets it."""

    name: str
    headers: Mapping[str, str]
    payload: str


@dataclass(frozen=True)
class EventView:
    """One event."""

    anchor: str
    name: str
    version: str
    type: str
    says: str
    released: bool
    key: str
    senders: Sequence[str]
    readers: Sequence[str]
    fields: Sequence[Field]
    examples: Sequence[ExampleView]

    @property
    def words(self) -> str:
        """What a search looks through."""
        names = [word for field in self.fields for word in field.words()]
        return " ".join([self.type, self.says, *self.senders, *self.readers, *names]).lower()


@dataclass(frozen=True)
class TopicView:
    """One topic and its events."""

    name: str
    service: str
    kept: str
    key: str
    events: Sequence[EventView]


@cache
def document_text() -> bytes:
    """The AsyncAPI document that came with this package. The contracts folder is not there at run time."""
    return files("oms_gateway").joinpath("asyncapi.json").read_bytes()


@cache
def document() -> Json:
    """The AsyncAPI document."""
    said: Json = json.loads(document_text())
    return said


@cache
def events_page() -> Page:
    """The page. It is the same as long as the process runs."""
    said = document()
    topics = [_topic(said, name, channel) for name, channel in said["channels"].items()]
    services = [(service, list(owned)) for service, owned in groupby(topics, key=lambda topic: topic.service)]
    attributes = said["components"]["schemas"]["attributes"]
    return render(
        "events.html",
        {
            "about": said["info"]["description"],
            "services": services,
            "index": [(service, [event for topic in owned for event in topic.events]) for service, owned in services],
            "attributes": [
                Attribute(name, rules["description"], name in attributes["required"])
                for name, rules in attributes["properties"].items()
            ],
            "count": sum(len(topic.events) for topic in topics),
            "topics": len(topics),
        },
    )


def example_of(type_: str) -> Json | None:
    """Data of an event as its first example has it."""
    examples = document()["components"]["messages"][type_]["examples"]
    payload: Json | None = examples[0]["payload"] if examples else None
    return payload


def _topic(said: Json, name: str, channel: Json) -> TopicView:
    events = [_event(said, name, type_) for type_ in channel["messages"]]
    kept = channel["bindings"]["kafka"]["topicConfiguration"]
    return TopicView(name, channel["tags"][0]["name"], _kept(kept), events[0].key, events)


def _kept(settings: Json) -> str:
    if settings["cleanup.policy"] == ["compact"]:
        return "newest of each key, for ever"
    return f"{settings['retention.ms'] // _DAY_MS} days"


def _event(said: Json, topic: str, type_: str) -> EventView:
    message = said["components"]["messages"][type_]
    schema = message["payload"]["schema"]
    version = type_.rpartition(".")[2]
    return EventView(
        anchor=f"{message['title']}.{version}",
        name=message["title"],
        version=version,
        type=type_,
        says=message["summary"],
        released=message["x-released"],
        key=message["bindings"]["kafka"]["key"]["description"],
        senders=_services(said, topic, type_, "send"),
        readers=_services(said, topic, type_, "receive"),
        fields=fields_of(schema, schema),
        examples=[_example(example) for example in message["examples"]],
    )


def _services(said: Json, topic: str, type_: str, action: str) -> list[str]:
    wanted = {"$ref": f"#/channels/{topic}/messages/{type_}"}
    return [
        operation["tags"][0]["name"]
        for operation in said["operations"].values()
        if operation["action"] == action and wanted in operation["messages"]
    ]


def _example(example: Json) -> ExampleView:
    payload = json.dumps(example["payload"], indent=2, ensure_ascii=False)
    return ExampleView(example["name"], example["headers"], payload)
