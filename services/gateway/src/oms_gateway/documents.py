"""JSON from outside, judged strictly: what is not plain JSON, and what is not of the contract, is refused by name."""

import json
from collections.abc import Sequence
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_json

from oms_events.contract import Contract
from oms_events.runtime.problems import FieldError, field_errors

M = TypeVar("M", bound=Contract)


class Malformed(ValueError):
    """The text is no JSON. The message says where, and never shows the text."""


class Refused(Exception):
    """A document breaks a rule. `status` is what the answer would be if it came alone."""

    def __init__(self, errors: Sequence[FieldError], *, status: int = 422) -> None:
        super().__init__(f"{errors[0].field}: {errors[0].detail}")
        self.errors = list(errors)
        self.status = status

    @classmethod
    def because(cls, field: str, rule: str, detail: str, *, status: int = 422) -> "Refused":
        """Refused for one reason."""
        return cls([FieldError(field=field, rule=rule, detail=detail)], status=status)


class _Forbidden:
    """Stands in a parsed document for what the parser would take and we do not."""

    def __init__(self, rule: str, detail: str) -> None:
        self.rule = rule
        self.detail = detail


def _unique(pairs: list[tuple[str, object]]) -> object:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    names = [name for name, _ in pairs]
    twice = next(name for name in names if names.count(name) > 1)
    # Readers disagree on which of the two counts, so two of them would see two different documents.
    return _Forbidden("duplicate_key", f"the key {_shown(twice)} stands twice in one object")


def _shown(name: str) -> str:
    return json.dumps(name[:64])


_decoder = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=lambda name: _Forbidden("not_json", f"{name} is no JSON number")
)


def parse(text: bytes) -> object:
    """The value of a JSON text. Raises Malformed, with line and column where they are known."""
    try:
        value: object = _decoder.decode(text.decode())
    except UnicodeDecodeError as error:
        raise Malformed(f"the text is not UTF-8: byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        raise Malformed(f"{error.msg}: line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise Malformed("the document is nested too deeply") from None
    except ValueError:
        raise Malformed("a number has too many digits") from None
    return value


def read(model: type[M], value: object) -> M:
    """A parsed document as a model. Raises Refused for unknown fields too: a misspelt name must not be lost.

    The way over bytes gives the strict rules of JSON: no number from a text, but times and UUIDs from one.
    """
    try:
        canonical = to_json(value)
    except PydanticSerializationError:
        raise _unwritable(value) from None
    try:
        return model.model_validate_json(canonical, strict=True, extra="forbid")
    except ValidationError as error:
        raise Refused(
            field_errors(error.errors(include_url=False, include_input=False, include_context=False))
        ) from None


def _unwritable(value: object) -> Refused:
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, _Forbidden):
            return Refused.because("body", part.rule, part.detail)
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
    return Refused.because("body", "not_unicode", "half of a surrogate pair, or too deep a nesting")
