"""The AsyncAPI document is one by the official schema, and what it says of the house is so."""

import copy
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker
from tests.services import DECLARED

from oms_events.codec import schema_uri
from oms_events.registry import events, topics
from oms_events.schema import flow

from .openapi import CONTRACTS, GATEWAY_COPY

Json = dict[str, Any]


@cache
def official() -> Draft7Validator:
    return Draft7Validator(json.loads((Path(__file__).parent / "asyncapi" / "asyncapi-3.0.0.json").read_text("utf-8")))


@cache
def committed() -> Json:
    document: Json = yaml.safe_load((CONTRACTS / "asyncapi.yaml").read_text("utf-8"))
    return document


@cache
def in_one_piece() -> Json:
    document: Json = json.loads(GATEWAY_COPY.read_text("utf-8"))
    return document


def resolve(document: Json, reference: str) -> Any:
    found: Any = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def references(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield path, node["$ref"]
        for name, value in node.items():
            yield from references(value, f"{path}/{name}")
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from references(value, f"{path}/{number}")


def messages() -> dict[str, Json]:
    found: dict[str, Json] = committed()["components"]["messages"]
    return found


@pytest.mark.parametrize("document", [committed, in_one_piece], ids=["yaml", "gateway"])
def test_it_is_valid_by_the_official_schema(document: Callable[[], Json]) -> None:
    problems = [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in official().iter_errors(document())]
    assert problems == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda api: api.update(asyncapi="2.6.0"),
        lambda api: api["info"].pop("version"),
        lambda api: api["channels"]["oms.orders.order.v1"].update(retention="14 days"),
        lambda api: api["channels"]["oms.orders.order.v1"].update(messages=[]),
        lambda api: api["channels"]["oms.orders.order.v1"]["bindings"]["kafka"].update(partitions="many"),
        lambda api: api["operations"]["orders.sends.oms.orders.order.v1"].update(action="publish"),
        lambda api: api["operations"]["orders.sends.oms.orders.order.v1"].pop("channel"),
        lambda api: api["components"]["messages"]["oms.orders.OrderPaid.v1"].update(examples=[{"payload": {}, "x": 1}]),
        lambda api: api["components"]["messages"]["oms.orders.OrderPaid.v1"].update(correlationId={"location": "id"}),
    ],
)
def test_the_official_schema_sees_what_is_wrong(spoil: Callable[[Json], Any]) -> None:
    document = copy.deepcopy(committed())
    spoil(document)
    assert list(official().iter_errors(document))


def test_every_reference_leads_somewhere() -> None:
    found = list(references(committed()))
    for path, reference in found:
        if reference.startswith("#/"):
            resolve(committed(), reference)
        else:
            assert (CONTRACTS / reference).is_file(), path
    assert len(found) > 100


def test_the_gateways_copy_refers_to_no_other_file() -> None:
    outside = [
        (path, reference)
        for path, reference in references({**in_one_piece(), "components": {}})
        if not reference.startswith("#/")
    ]
    assert outside == []
    for message in in_one_piece()["components"]["messages"].values():
        Draft202012Validator.check_schema(message["payload"]["schema"])


def test_every_topic_is_a_channel_that_keeps_what_the_topic_keeps() -> None:
    channels = committed()["channels"]
    assert list(channels) == [topic.name for topic in topics()]
    for topic in topics():
        kept = channels[topic.name]["bindings"]["kafka"]["topicConfiguration"]
        told = {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in kept.items()}
        assert told == topic.config()


def test_every_event_is_a_message_of_its_topic_and_of_no_other() -> None:
    places = [
        (resolve(committed(), message["$ref"])["name"], topic)
        for topic, channel in committed()["channels"].items()
        for message in channel["messages"].values()
    ]
    assert sorted(places) == [(type_, model.topic.name) for type_, model in events().items()]


@pytest.mark.parametrize("type_", list(events()))
def test_a_message_names_its_schema_key_type_and_example(type_: str) -> None:
    message, model = messages()[type_], events()[type_]
    assert message["name"] == type_
    assert message["summary"]
    assert message["payload"]["schema"]["$ref"] == schema_uri(type_)
    assert message["bindings"]["kafka"]["key"]["description"] == model.topic.key
    assert model.topic.key in model.model_fields
    own = message["headers"]["allOf"][1]["properties"]
    assert own == {"ce_type": {"const": type_}, "ce_dataschema": {"const": schema_uri(type_)}}


@pytest.mark.parametrize("type_", list(events()))
def test_the_examples_of_a_message_are_what_it_says(type_: str) -> None:
    message = messages()[type_]
    files = (CONTRACTS / "examples").glob(f"{'/'.join(type_.removeprefix('oms.').split('.'))}/*.json")
    assert [example["name"] for example in message["examples"]] == sorted(path.stem for path in files)
    payload = json.loads((CONTRACTS / schema_uri(type_)).read_text("utf-8"))
    attributes = resolve(committed(), message["headers"]["allOf"][0]["$ref"])
    whole = {"allOf": [attributes, message["headers"]["allOf"][1]]}
    for example in message["examples"]:
        Draft202012Validator(payload, format_checker=FormatChecker()).validate(example["payload"])
        headers = Draft202012Validator(whole, format_checker=FormatChecker())
        headers.validate(example["headers"])
        assert example["headers"]["ce_partitionkey"] == str(example["payload"][events()[type_].topic.key])
        assert not headers.is_valid({**example["headers"], "ce_type": "oms.test.Other.v1"})


def test_operations_are_what_the_services_declare() -> None:
    told: dict[str, tuple[set[str], set[str]]] = {service: (set(), set()) for service in DECLARED}
    for name, operation in committed()["operations"].items():
        service = operation["tags"][0]["name"]
        topic = operation["channel"]["$ref"].removeprefix("#/channels/")
        assert name == f"{service}.{'sends' if operation['action'] == 'send' else 'reads'}.{topic}"
        mine = told[service][0 if operation["action"] == "send" else 1]
        for message in operation["messages"]:
            assert message["$ref"].startswith(f"{operation['channel']['$ref']}/messages/")
            mine.add(resolve(committed(), resolve(committed(), message["$ref"])["$ref"])["name"])
    assert told == {
        service: ({event.type for event in does.produces}, {event.type for event in does.consumes})
        for service, does in DECLARED.items()
    }


def test_who_reads_names_its_consumer_group() -> None:
    groups = {name: part.group for name, part in flow.load(CONTRACTS).items()}
    for operation in committed()["operations"].values():
        if operation["action"] == "receive":
            assert operation["bindings"]["kafka"]["groupId"]["const"] == groups[operation["tags"][0]["name"]]
