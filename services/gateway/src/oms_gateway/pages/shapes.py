"""JSON Schema as fields that a person reads: name, type, rules, meaning."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from oms_events.schema.references import Schema, resolved

_DEEPEST = 4
_RANGES = (
    ("", "minimum", "maximum"),
    ("length ", "minLength", "maxLength"),
    ("items ", "minItems", "maxItems"),
)
_PATTERNS = {
    r"^[^\x00-\x1F\x7F]*$": "no control characters",
    r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*$": "no control characters but line breaks and tabs",
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$": "letters, digits, . _ -",
    r"^[A-Z]{2}$": "two capital letters",
    r"^[0-9a-f]{64}$": "64 hex digits",
}


@dataclass(frozen=True)
class Field:
    """One field, with the fields of the object that it holds."""

    name: str
    type: str
    required: bool
    rules: str
    says: str
    fields: tuple["Field", ...] = ()

    def words(self) -> Iterator[str]:
        """What a search for the field looks at."""
        yield self.name
        for inner in self.fields:
            yield from inner.words()


def fields_of(root: Schema, schema: Schema, depth: int = 0) -> tuple[Field, ...]:
    """Fields of the object that a schema is, or holds: in a list, or as a choice with null."""
    found = _object(root, schema)
    if depth > _DEEPEST:  # a schema that contains itself ends somewhere
        return ()
    required = set(found.get("required", ()))
    return tuple(
        Field(
            name,
            type_of(root, rules),
            name in required,
            rules_of(resolved(root, rules)),
            rules.get("description") or "",
            fields_of(root, rules, depth + 1),
        )
        for name, rules in found.get("properties", {}).items()
    )


def type_of(root: Schema, schema: Schema) -> str:
    """The type in words."""
    found = resolved(root, schema)
    for word in ("anyOf", "oneOf"):
        if word in found:
            return " or ".join(dict.fromkeys(type_of(root, choice) for choice in found[word]))
    if "enum" in found:
        return " | ".join(json.dumps(value) for value in found["enum"])
    if "const" in found:
        return json.dumps(found["const"])
    if found.get("type") == "array":
        return f"list of {type_of(root, found.get('items', {}))}"
    if "properties" in found:
        return str(found.get("title") or "object")
    return str(found.get("format") or found.get("type") or "anything")


def rules_of(schema: Schema) -> str:
    """Bounds, patterns and defaults in words, of a choice with null those of the other."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null"]
    ruled = {**choices[0], **schema} if len(choices) == 1 else schema
    said = [words + span for words, low, high in _RANGES if (span := _span(ruled.get(low), ruled.get(high)))]
    if "exclusiveMinimum" in ruled:
        said.append(f"more than {ruled['exclusiveMinimum']:,}")
    if "pattern" in ruled:
        said.append(_PATTERNS.get(ruled["pattern"], f"matches {ruled['pattern']}"))
    if ruled.get("default") not in (None, "", [], {}):
        said.append(f"default {json.dumps(ruled['default'])}")
    return "; ".join(said)


def _span(low: float | None, high: float | None) -> str:
    if low is not None and low == high:
        return f"{low:,}"
    if low is not None and high is not None:
        return f"{low:,} to {high:,}"
    if low is not None:
        return f"at least {low:,}"
    return f"at most {high:,}" if high is not None else ""


def _object(root: Schema, schema: Schema) -> Schema:
    found = resolved(root, schema)
    if "items" in found:
        return _object(root, found["items"])
    for choice in (*found.get("anyOf", ()), *found.get("oneOf", ())):
        inner = _object(root, choice)
        if "properties" in inner:
            return inner
    return found
