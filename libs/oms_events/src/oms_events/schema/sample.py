"""Plausible data for an event, to be edited into an example: every field filled, every rule of the schema kept."""

import re
from datetime import UTC, datetime
from typing import Any

from oms_events.registry import Event
from oms_events.schema.references import Schema, target
from oms_events.values import derived_text

_AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
_BY_NAME: dict[str, str] = {
    "channel": "web",
    "shop": "main",
    "currency": "EUR",
    "country": "DE",
    "sku": "MUG-RED",
    "account": "web/main",
    "node": "BER-1",
    "carrier": "DHL",
}
_FITTING = ("A-1", "web/main", "DE", "A", "0" * 64, "0", "")
"""Texts to try where a name suggests none; the first that keeps the rules is taken."""


def sample(model: type[Event]) -> dict[str, Any]:
    """Data that the model reads."""
    schema = model.model_json_schema(mode="serialization")
    data: dict[str, Any] = sample_value(schema, schema, model.__name__)
    return data


def sample_value(root: Schema, schema: Schema, name: str) -> Any:  # noqa: ANN401 - JSON is any shape
    """A value that a schema allows; its references lead into `root`, its name suggests what to say."""
    if "$ref" in schema:
        return sample_value(root, target(root, schema["$ref"]), name)
    if "anyOf" in schema:
        return sample_value(root, schema["anyOf"][0], name)
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    return _MAKERS.get(schema.get("type", ""), _text)(root, schema, name)


def _object(root: Schema, schema: Schema, _: str) -> dict[str, Any]:
    return {field: sample_value(root, rules, field) for field, rules in schema.get("properties", {}).items()}


def _array(root: Schema, schema: Schema, name: str) -> list[Any]:
    return [sample_value(root, schema.get("items", {}), name) for _ in range(max(1, schema.get("minItems", 0)))]


def _number(_: Schema, schema: Schema, name: str) -> int:
    wanted = 1000 if name.endswith("_minor") else 1
    number: int = max(schema.get("minimum", wanted), min(wanted, schema.get("maximum", wanted)))
    return number


def _boolean(_: Schema, __: Schema, ___: str) -> bool:
    return True


def _text(_: Schema, schema: Schema, name: str) -> str:
    if schema.get("format") == "uuid":
        return derived_text("sample", name, at=_AT)
    if schema.get("format") == "date-time":
        return _AT.isoformat().replace("+00:00", "Z")
    said = name.replace("_", "-")
    candidates = (_BY_NAME.get(name, said), said, *_FITTING)
    return next((text for text in candidates if _fits(schema, text)), said)


def _fits(schema: Schema, text: str) -> bool:
    within = schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", len(text))
    return within and re.search(schema.get("pattern", ""), text) is not None


_MAKERS = {"object": _object, "array": _array, "integer": _number, "number": _number, "boolean": _boolean}
