"""What may change in a contract and what may not; `contracts/README.md` is the policy in words."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from oms_events.registry import events
from oms_events.schema.diff import compare, compare_all
from oms_events.schema.export import event_schema

Schema = dict[str, Any]

BASE: Schema = {
    "x-topic": "oms.test.thing.v1",
    "x-key": "id",
    "x-cleanup": "delete",
    "title": "Thing",
    "type": "object",
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "name": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-z]*$"},
        "count": {"type": "integer", "minimum": 0, "maximum": 100},
        "kind": {"type": "string", "enum": ["small", "large"]},
        "note": {"type": "string", "default": ""},
        "at": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}], "default": None},
        "lines": {"type": "array", "maxItems": 10, "items": {"$ref": "#/$defs/Line"}},
        "labels": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 8}},
    },
    "required": ["id", "name", "count", "kind", "lines", "labels"],
    "$defs": {
        "Line": {
            "type": "object",
            "properties": {"sku": {"type": "string"}, "quantity": {"type": "integer", "minimum": 1}},
            "required": ["sku", "quantity"],
        }
    },
}


def changed(change: Callable[[Schema], Any]) -> Schema:
    schema = copy.deepcopy(BASE)
    change(schema)
    return schema


def prop(name: str, **rules: Any) -> Callable[[Schema], Any]:
    return lambda schema: schema["properties"][name].update(rules)


def line(name: str, **rules: Any) -> Callable[[Schema], Any]:
    return lambda schema: schema["$defs"]["Line"]["properties"].setdefault(name, {}).update(rules)


ALLOWED: dict[str, Callable[[Schema], Any]] = {
    "nothing": dict,
    "new optional field": lambda schema: schema["properties"].update(colour={"type": "string"}),
    "new field with a default": lambda schema: schema["properties"].update(tries={"type": "integer", "default": 0}),
    "new optional field of a part": line("colour", type="string"),
    "required field gets a default": lambda schema: (
        schema["required"].remove("count"),
        schema["properties"]["count"].update(default=0),
    ),
    "words": lambda schema: (schema.update(title="Other", description="Other"), prop("name", title="N")(schema)),
    "another name of a part": lambda schema: (
        schema["$defs"].update(OrderLine=schema["$defs"].pop("Line")),
        prop("lines", items={"$ref": "#/$defs/OrderLine"})(schema),
    ),
    "a part written in place": lambda schema: prop("lines", items=schema["$defs"]["Line"])(schema),
}

REFUSED: dict[str, tuple[Callable[[Schema], Any], str, str]] = {
    "remove": (lambda schema: schema["properties"].pop("note"), "note", "removed or renamed"),
    "rename": (
        lambda schema: schema["properties"].update(remark=schema["properties"].pop("note")),
        "note",
        "removed or renamed",
    ),
    "remove from a part": (
        lambda schema: schema["$defs"]["Line"]["properties"].pop("sku"),
        "lines.[].sku",
        "removed or renamed",
    ),
    "retype": (prop("count", type="string"), "count", "type changed from 'integer' to 'string'"),
    "retype in a part": (line("quantity", type="number"), "lines.[].quantity", "type changed"),
    "retype of values by name": (
        prop("labels", additionalProperties={"type": "integer", "maxLength": 8}),
        "labels.{}",
        "type changed",
    ),
    "close an open object": (prop("labels", additionalProperties=False), "labels.{}", "additionalProperties changed"),
    "optional to required": (lambda schema: schema["required"].append("note"), "note", "optional became required"),
    "new required field": (
        lambda schema: (schema["properties"].update(x={"type": "string"}), schema["required"].append("x")),
        "x",
        "added as required",
    ),
    "null comes": (prop("note", anyOf=[{"type": "string"}, {"type": "null"}]), "note", "anyOf has 2"),
    "null goes": (prop("at", anyOf=[{"type": "string", "format": "date-time"}]), "at", "anyOf has 1"),
    "value removed": (prop("kind", enum=["small"]), "kind", "value removed: large"),
    "value added": (prop("kind", enum=["small", "large", "huge"]), "kind", "value added: huge"),
    "list of values added": (prop("note", enum=["", "x"]), "note", "list of values added"),
    "list of values dropped": (
        lambda schema: schema["properties"]["kind"].pop("enum"),
        "kind",
        "list of values dropped",
    ),
    "shorter": (prop("name", maxLength=32), "name", "maxLength changed from 64 to 32"),
    "longer": (prop("name", maxLength=128), "name", "maxLength changed from 64 to 128"),
    "bound added": (prop("note", maxLength=10), "note", "maxLength changed from none to 10"),
    "bound dropped": (lambda schema: schema["properties"]["count"].pop("maximum"), "count", "maximum changed"),
    "minimum up": (prop("count", minimum=1), "count", "minimum changed from 0 to 1"),
    "minimum down": (prop("count", minimum=-1), "count", "minimum changed from 0 to -1"),
    "fewer items": (prop("lines", maxItems=5), "lines", "maxItems"),
    "pattern": (prop("name", pattern="^[A-Z]*$"), "name", "pattern changed"),
    "format": (prop("id", format="uri"), "id", "format changed"),
    "const": (prop("kind", const="small"), "kind", "const changed"),
    "default": (prop("note", default="none"), "note", "default changed from '' to 'none'"),
    "default to null": (prop("note", default=None), "note", "default changed"),
    "topic": (lambda schema: schema.update({"x-topic": "oms.test.thing.v2"}), "", "topic changed"),
    "key": (lambda schema: schema.update({"x-key": "name"}), "", "key changed"),
    "cleanup": (lambda schema: schema.update({"x-cleanup": "compact"}), "", "cleanup policy changed"),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_a_change_that_breaks_nobody_is_allowed(name: str) -> None:
    assert compare("test/Thing.v1", BASE, changed(ALLOWED[name])) == []


@pytest.mark.parametrize("name", REFUSED)
def test_a_change_that_breaks_someone_is_refused_by_name_and_place(name: str) -> None:
    change, path, what = REFUSED[name]
    findings = compare("test/Thing.v1", BASE, changed(change))
    assert [(finding.subject, finding.path) for finding in findings] == [("test/Thing.v1", path)]
    assert what in findings[0].what
    assert findings[0].why


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("shorter", "records already in the topics"),
        ("minimum up", "records already in the topics"),
        ("bound added", "records already in the topics"),
        ("value removed", "records already in the topics"),
        ("null goes", "records already in the topics"),
        ("longer", "readers already running"),
        ("minimum down", "readers already running"),
        ("bound dropped", "readers already running"),
        ("value added", "readers already running"),
        ("retype", "readers already running"),
    ],
)
def test_a_finding_says_who_breaks(name: str, broken: str) -> None:
    [finding] = compare("test/Thing.v1", BASE, changed(REFUSED[name][0]))
    assert broken in finding.why
    assert finding.path in str(finding)


def test_an_event_may_come_but_not_go() -> None:
    assert compare_all({"a": BASE}, {"a": BASE, "b": BASE}) == []
    [finding] = compare_all({"a": BASE, "b": BASE}, {"a": BASE})
    assert (finding.subject, finding.what) == ("b", "event removed")


@pytest.mark.parametrize("type_", list(events()))
def test_every_field_of_our_own_events_is_watched(type_: str) -> None:
    old = event_schema(events()[type_])
    for name in old["properties"]:
        without = copy.deepcopy(old)
        del without["properties"][name]
        assert name in {finding.path for finding in compare(type_, old, without)}
    for part, definition in old.get("$defs", {}).items():
        for name in definition["properties"]:
            other = copy.deepcopy(old)
            other["$defs"][part]["properties"][name] = {"type": "null"}
            assert compare(type_, old, other), f"{part}.{name} can change unseen"


# Whatever two schemas allow: if nothing was found, each reads what the other writes.

STRINGS = ["", "a", "bb", "ccc"]
NUMBERS = [-2, 0, 1, 5]


def _rules(kind: str) -> st.SearchStrategy[Schema]:
    bounds = ("minLength", "maxLength") if kind == "string" else ("minimum", "maximum")
    limits = {bound: st.integers(0, 3) for bound in bounds}
    values = {"enum": st.lists(st.sampled_from(STRINGS if kind == "string" else NUMBERS), min_size=1, unique=True)}
    return st.fixed_dictionaries({"type": st.just(kind)}, optional=limits | values)


FIELD = st.one_of(
    _rules("string"),
    _rules("integer"),
    _rules("string").map(lambda rules: {"anyOf": [rules, {"type": "null"}]}),
    _rules("integer").map(lambda rules: {"type": "array", "items": rules, "maxItems": 2}),
)


@st.composite
def objects(draw: st.DrawFn) -> Schema:
    properties = draw(st.dictionaries(st.sampled_from("abc"), FIELD, max_size=3))
    required = [name for name in properties if draw(st.booleans())]
    return {"type": "object", "properties": properties, "required": required}


@st.composite
def evolutions(draw: st.DrawFn) -> tuple[Schema, Schema]:
    """A schema and what may have become of it, mostly near enough for the comparison to let it pass."""
    old = draw(objects())
    new = copy.deepcopy(old)
    for name, rules in draw(objects())["properties"].items():
        if draw(st.booleans()):
            new["properties"][name] = rules
    new["required"] = [name for name in new["properties"] if draw(st.integers(0, 3)) == 0 or name in old["required"]]
    return old, new


VALUE = st.one_of(st.sampled_from(STRINGS), st.sampled_from(NUMBERS), st.none(), st.lists(st.sampled_from(NUMBERS)))


@settings(deadline=None)
@given(evolutions(), st.fixed_dictionaries(dict.fromkeys("abc", VALUE)))
def test_when_nothing_is_found_each_side_reads_what_the_other_writes(
    pair: tuple[Schema, Schema], values: dict[str, Any]
) -> None:
    assume(compare("test/Thing.v1", *pair) == [])
    for writer, reader in (pair, pair[::-1]):
        written = {name: values[name] for name in writer["properties"]}
        if Draft202012Validator(writer).is_valid(written):
            assert Draft202012Validator(reader).is_valid(written)


@settings(deadline=None)
@given(objects())
def test_what_did_not_change_is_never_found(schema: Schema) -> None:
    assert compare("test/Thing.v1", schema, copy.deepcopy(schema)) == []
