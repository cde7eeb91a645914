"""References within a JSON document: `{"$ref": "#/components/schemas/Line"}`."""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]


def target(root: Schema, reference: str) -> Schema:
    """What a reference into its own document leads to: a JSON pointer (RFC 6901). Raises KeyError."""
    found = root
    for step in reference.removeprefix("#/").split("/"):
        found = found[step.replace("~1", "/").replace("~0", "~")]
    return found


def resolved(root: Schema, schema: Schema) -> Schema:
    """The schema that a reference leads to; what stands beside the reference counts before it. Raises KeyError."""
    while "$ref" in schema:
        beside = {word: rule for word, rule in schema.items() if word != "$ref"}
        schema = {**target(root, schema["$ref"]), **beside}
    return schema
