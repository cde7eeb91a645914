"""The committed contracts are what the code says, and the examples are what the contracts say."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from oms_events.codec import schema_uri
from oms_events.registry import current_type, events, model_of
from oms_events.schema.examples import Example
from oms_events.schema.export import SCHEMAS, drifted, event_schema
from oms_events.schema.glossary import WORDS, unexplained
from oms_events.values import largest_remainder, order_id


def committed_schema(contracts: Path, type_: str) -> dict[str, Any]:
    return json.loads((contracts / schema_uri(type_)).read_text("utf-8"))


def test_committed_files_are_what_the_code_would_generate(contracts: Path) -> None:
    assert drifted(contracts) == [], "run `oms-events export`"


def test_every_schema_is_a_schema_and_knows_where_it_stands(contracts: Path) -> None:
    paths = list(contracts.glob(SCHEMAS))
    assert len(paths) == len(events())
    for path in paths:
        schema = json.loads(path.read_text("utf-8"))
        Draft202012Validator.check_schema(schema)
        assert schema["$id"] == str(path.relative_to(contracts))


def test_every_event_has_an_example(examples: list[Example]) -> None:
    assert events().keys() <= {example.type for example in examples}


def test_examples_validate_against_their_committed_schema(example: Example, contracts: Path) -> None:
    schema = committed_schema(contracts, example.type)
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(example.data)


def test_what_producers_write_validates_against_the_committed_schema(example: Example, contracts: Path) -> None:
    model = events()[current_type(example.type)]
    written = json.loads(model.model_validate(example.data).model_dump_json())
    schema = committed_schema(contracts, model.type)
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(written)
    assert written.keys() == schema["properties"].keys(), "a producer writes every field, defaults too"


def test_examples_still_parse_and_mean_what_they_say(example: Example) -> None:
    model = model_of(example.type)
    assert model is not None
    event = model.model_validate_json(json.dumps(example.data))
    assert event == model.model_validate(example.data)
    assert example.data.keys() <= model.model_fields.keys(), "an example holds no field that the contract does not know"
    assert event.key() == str(example.data[model.topic.key])


def test_examples_of_orders_carry_the_id_that_their_names_give(examples: list[Example]) -> None:
    checked = 0
    for example in examples:
        for part in ("order", "payment", "cancellation"):
            if named := example.data.get(part):
                expected = order_id(named["channel"], named["shop"], named["channel_order_no"])
                assert example.data["order_id"] == str(expected)
                checked += 1
    assert checked >= 4


def test_the_placed_example_adds_up_to_what_the_channel_said(examples: list[Example]) -> None:
    by_type = {(example.type, example.name): example.data for example in examples}
    order = by_type["oms.intake.ChannelOrderReceived.v1", "two-lines"]["order"]
    placed = by_type["oms.orders.OrderPlaced.v1", "two-lines"]
    earned = [line["quantity"] * line["unit_price_minor"] - line["discount_minor"] for line in order["lines"]]
    shares = largest_remainder(order["discount_minor"], earned)
    assert [line["amount_minor"] for line in placed["lines"]] == [e - s for e, s in zip(earned, shares, strict=True)]
    assert sum(line["amount_minor"] for line in placed["lines"]) + placed["shipping_minor"] == order["total_minor"]


def test_every_field_is_explained() -> None:
    assert [field for model in events().values() for field in unexplained(event_schema(model))] == []


def test_the_glossary_explains_nothing_that_no_event_has() -> None:
    fields = set()
    for model in events().values():
        schema = event_schema(model)
        for part, rules in ((schema["title"], schema), *schema.get("$defs", {}).items()):
            fields |= {name for field in rules.get("properties", {}) for name in (field, f"{part}.{field}")}
    assert WORDS.keys() <= fields


def test_the_table_names_every_event_with_its_topic(contracts: Path) -> None:
    table = (contracts / "events" / "README.md").read_text("utf-8")
    for model in events().values():
        assert (
            f"]({schema_uri(model.type).removeprefix('events/')}) | `{model.topic.name}` | `{model.topic.key}` |"
            in table
        )
