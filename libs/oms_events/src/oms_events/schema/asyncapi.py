"""The AsyncAPI 3.0 document: channels are topics, messages are events, operations what services send and receive."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from oms_events.codec import schema_uri
from oms_events.registry import Event, Topic
from oms_events.schema.examples import Example, record_of
from oms_events.schema.flow import Part

Json = dict[str, Any]

_BINDING = "0.5.0"
_SCHEMA_FORMAT = "application/schema+json;version=draft-2020-12"
_ABOUT = """\
Every record is a [CloudEvent](https://cloudevents.io) in Kafka's binary mode: attributes in headers, the JSON of the
data in the value, the key of the aggregate as the record's key.

Records of one key stay in order. Delivery is at least once: `ce_id` is the same for the same fact, for ever. Readers
ignore fields and event types that they do not know. A record without a value (a tombstone) says that the key's last
record no longer counts.
"""

_ATTRIBUTES: dict[str, tuple[str, Json]] = {
    "ce_specversion": ("CloudEvents version", {"const": "1.0"}),
    "ce_id": ("the same for the same fact, for ever: the key to apply an event once", {"format": "uuid"}),
    "ce_source": ("the service that published it", {"format": "uri-reference"}),
    "ce_type": ("oms.<service>.<Event>.v<n>", {}),
    "ce_subject": ("what the event is about: its key", {}),
    "ce_time": ("when it was published", {"format": "date-time"}),
    "ce_dataschema": ("path of the schema, relative to this document", {"format": "uri-reference"}),
    "ce_partitionkey": ("the record's key", {}),
    "ce_correlationid": ("the event or request that began the whole chain", {}),
    "ce_causationid": ("the event or request that was handled when this one was published", {}),
    "ce_sequence": ("version of the aggregate, where it has one: the newest counts", {"pattern": "^[0-9]+$"}),
    "content-type": ("of the value", {"const": "application/json"}),
    "traceparent": ("W3C trace context", {}),
}
_OPTIONAL = {"ce_causationid", "ce_sequence", "traceparent"}


def asyncapi(
    models: Iterable[type[Event]],
    *,
    flow: Mapping[str, Part],
    examples: Sequence[Example],
    released: Iterable[str] = (),
) -> Json:
    """The document of these events. Payloads refer to the schemas beside it; see `self_contained`."""
    owned = sorted(models, key=lambda model: (model.topic.name, model.type))
    channels = {topic: list(group) for topic, group in groupby(owned, key=lambda model: model.topic)}
    promised = set(released)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "OMS events",
            "version": "1",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            "tags": [{"name": name} for name in sorted({topic.service for topic in channels})],
        },
        "servers": {"local": {"host": "127.0.0.1:29092", "protocol": "kafka", "description": "What `make run` starts"}},
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic, group) for topic, group in channels.items()},
        "operations": dict(_operations(channels, flow)),
        "components": {
            "messages": {model.type: _message(model, examples, promised) for model in owned},
            "schemas": {"attributes": _headers()},
        },
    }


def self_contained(document: Json, schemas: Mapping[str, Json]) -> Json:
    """The document with the schemas that payloads refer to, by their path, put in their places."""
    messages = {
        name: {**message, "payload": {**message["payload"], "schema": schemas[message["payload"]["schema"]["$ref"]]}}
        for name, message in document["components"]["messages"].items()
    }
    return {**document, "components": {**document["components"], "messages": messages}}


def _channel(topic: Topic, models: Iterable[type[Event]]) -> Json:
    kept: Json = {"cleanup.policy": [topic.cleanup]}
    kept |= {name: int(value) for name, value in topic.config().items() if name != "cleanup.policy"}
    return {
        "address": topic.name,
        "title": topic.name.split(".")[2].replace("-", " ").capitalize(),
        "description": f"Events of one `{topic.key}` stay in order. {_kept(topic)}",
        "tags": [{"name": topic.service}],
        "messages": {model.type: {"$ref": f"#/components/messages/{model.type}"} for model in models},
        "bindings": {"kafka": {"topicConfiguration": kept, "bindingVersion": _BINDING}},
    }


def _kept(topic: Topic) -> str:
    if topic.cleanup == "compact":
        return "The newest record of each key is kept for ever: who starts anew reads the whole present state."
    return f"Kept for {topic.retention_days} days."


def _operations(
    channels: Mapping[Topic, Sequence[type[Event]]], flow: Mapping[str, Part]
) -> Iterable[tuple[str, Json]]:
    for service, part in flow.items():
        for verb, action, types in (("sends", "send", part.sends), ("reads", "receive", part.reads)):
            for topic, models in channels.items():
                if mine := [model.type for model in models if model.type in set(types)]:
                    yield f"{service}.{verb}.{topic.name}", _operation(service, part, action, topic, mine)


def _operation(service: str, part: Part, action: str, topic: Topic, types: Sequence[str]) -> Json:
    channel = f"#/channels/{topic.name}"
    group = {"groupId": {"type": "string", "const": part.group}} if action == "receive" and part.group else {}
    return {
        "action": action,
        "summary": f"{service} {'publishes' if action == 'send' else 'follows'} {topic.name}",
        "channel": {"$ref": channel},
        "tags": [{"name": service}],
        "messages": [{"$ref": f"{channel}/messages/{type_}"} for type_ in types],
        **({"bindings": {"kafka": {**group, "bindingVersion": _BINDING}}} if group else {}),
    }


def _message(model: type[Event], examples: Sequence[Example], promised: set[str]) -> Json:
    schema = schema_uri(model.type)
    own = {"ce_type": {"const": model.type}, "ce_dataschema": {"const": schema}}
    return {
        "name": model.type,
        "title": model.type.split(".")[2],
        "summary": " ".join((model.__doc__ or "").split()),
        "contentType": "application/json",
        "tags": [{"name": model.topic.service}],
        "headers": {"allOf": [{"$ref": "#/components/schemas/attributes"}, {"type": "object", "properties": own}]},
        "payload": {"schemaFormat": _SCHEMA_FORMAT, "schema": {"$ref": schema}},
        "correlationId": {
            "description": "The event or request that began the whole chain",
            "location": "$message.header#/ce_correlationid",
        },
        "bindings": {"kafka": {"key": {"type": "string", "description": model.topic.key}, "bindingVersion": _BINDING}},
        "examples": [_example(example) for example in examples if example.type == model.type],
        "x-released": model.type in promised,
    }


def _example(example: Example) -> Json:
    headers = {name: (value or b"").decode() for name, value in record_of(example).headers}
    return {"name": example.name, "headers": dict(sorted(headers.items())), "payload": example.data}


def _headers() -> Json:
    return {
        "type": "object",
        "properties": {
            name: {"type": "string", "description": meaning, **rule} for name, (meaning, rule) in _ATTRIBUTES.items()
        },
        "required": [name for name in _ATTRIBUTES if name not in _OPTIONAL],
    }
