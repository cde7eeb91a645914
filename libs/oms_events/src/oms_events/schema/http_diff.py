"""What a change of the HTTP API would break for those who call it.

Policy: callers wrote their code from the released document. What they send must go on being taken, so what a request
may hold may only grow; what they read must go on being there, so what an answer promises may only grow. Readers
ignore fields and expect values that they do not know.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import Enum
from typing import Any

from oms_events.schema.diff import Finding
from oms_events.schema.references import Schema, resolved

Document = Mapping[str, Any]

METHODS = ("get", "post", "put", "patch", "delete")

_ASK = "callers that send what was promised would be refused or misunderstood"
_ANSWER = "callers rely on it"
_LOWER_BOUNDS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")


class Side(Enum):
    """Who writes what a schema describes."""

    ASKED = "asked"
    ANSWERED = "answered"


@dataclass(frozen=True)
class _Place:
    """A place in an operation, with the documents that references lead into."""

    subject: str
    path: str
    side: Side
    old_root: Document
    new_root: Document
    seen: frozenset[tuple[int, int]] = frozenset()

    def at(self, step: str) -> "_Place":
        return replace(self, path=f"{self.path}.{step}".lstrip("."))

    def entered(self, old: Schema, new: Schema) -> "_Place":
        return replace(self, seen=self.seen | {(id(old), id(new))})

    def finding(self, what: str) -> Finding:
        return Finding(self.subject, self.path, what, _ASK if self.side is Side.ASKED else _ANSWER)


def compare_http(old: Document, new: Document, *, today: date) -> list[Finding]:
    """Every incompatible change between two OpenAPI documents."""
    findings = set()
    for path, operations in old["paths"].items():
        for method in operations.keys() & set(METHODS):
            before, after = operations[method], new["paths"].get(path, {}).get(method)
            subject = f"{method.upper()} {path}"
            if after is None:
                findings |= set(_gone(subject, before, path in new["paths"], today))
            else:
                findings |= set(_operation(_Place(subject, "", Side.ASKED, old, new), before, after))
    return sorted(findings)


def _gone(subject: str, before: Schema, path_stays: bool, today: date) -> Iterator[Finding]:
    """An operation may go when a release announced it and its last day is over."""
    what = "method removed" if path_stays else "path removed"
    sunset = before.get("x-sunset") if before.get("deprecated") else None
    if sunset is None:
        yield Finding(subject, "", what, "callers rely on it: a release must mark it deprecated first, with a sunset")
    elif date.fromisoformat(sunset) > today:
        yield Finding(subject, "", what, f"callers were promised it until {sunset}")


def _operation(place: _Place, old: Schema, new: Schema) -> Iterator[Finding]:
    for role in sorted(set(old.get("x-roles", ())) - set(new.get("x-roles", ()))):
        yield place.at("roles").finding(f"role {role} may no longer use it")
    yield from _parameters(place, old, new)
    yield from _body(place.at("body"), old.get("requestBody"), new.get("requestBody"))
    yield from _answers(replace(place, side=Side.ANSWERED), old["responses"], new["responses"])


def _parameters(place: _Place, old: Schema, new: Schema) -> Iterator[Finding]:
    before, after = _parameters_by_name(old), _parameters_by_name(new)
    for kind, name in sorted(before.keys() | after.keys()):
        here = place.at(f"{kind} {name}")
        was, now = before.get((kind, name)), after.get((kind, name))
        if now is None:
            yield here.finding("parameter removed")
        elif was is None:
            if now.get("required"):
                yield here.finding("parameter added as required")
        else:
            if now.get("required") and not was.get("required"):
                yield here.finding("parameter became required")
            yield from _schema(here, was.get("schema", {}), now.get("schema", {}))


def _parameters_by_name(operation: Schema) -> dict[tuple[str, str], Schema]:
    return {(parameter["in"], parameter["name"]): parameter for parameter in operation.get("parameters", ())}


def _body(place: _Place, old: Schema | None, new: Schema | None) -> Iterator[Finding]:
    if old is None:
        if new is not None and new.get("required"):
            yield place.finding("body added as required")
    elif new is None:
        yield place.finding("body removed")
    else:
        if new.get("required") and not old.get("required"):
            yield place.finding("body became required")
        yield from _contents(place, old.get("content", {}), new.get("content", {}))


def _answers(place: _Place, old: Mapping[str, Schema], new: Mapping[str, Schema]) -> Iterator[Finding]:
    for status, answer in old.items():
        here = place.at(f"answer {status}")
        if status not in new:
            yield here.finding("answer removed")
        else:
            yield from _contents(here, answer.get("content", {}), new[status].get("content", {}))


def _contents(place: _Place, old: Mapping[str, Schema], new: Mapping[str, Schema]) -> Iterator[Finding]:
    for media_type, content in old.items():
        if media_type not in new:
            yield place.finding(f"media type {media_type} removed")
        else:
            yield from _schema(place, content.get("schema", {}), new[media_type].get("schema", {}))


# --- schemas --------------------------------------------------------------------------------------------------------


def _schema(place: _Place, old: Schema, new: Schema) -> Iterator[Finding]:
    old, new = resolved(place.old_root, old), resolved(place.new_root, new)
    if (id(old), id(new)) in place.seen:
        return  # a schema that contains itself
    place = place.entered(old, new)
    olds, news = _alternatives(place.old_root, old), _alternatives(place.new_root, new)
    if len(olds) == len(news) == 1:
        yield from _one(place, olds[0], news[0])
    elif place.side is Side.ASKED:
        yield from _each_fits(place, olds, news, _one, "no longer taken")
    else:
        yield from _each_fits(place, news, olds, lambda here, now, was: _one(here, was, now), "is new")


def _each_fits(
    place: _Place,
    given: Sequence[Schema],
    taking: Sequence[Schema],
    fit: Callable[[_Place, Schema, Schema], Iterator[Finding]],
    said: str,
) -> Iterator[Finding]:
    """Each of the given alternatives must be one that the other side takes."""
    for one in given:
        misfits = [list(fit(place, one, other)) for other in taking]
        if all(misfits):
            # Of one alternative that changed, the change itself says more than that the alternative went.
            alike = [found for found, other in zip(misfits, taking, strict=True) if _kind(other) == _kind(one)]
            yield from min(alike, key=len) if alike else [place.finding(f"{_kind(one)} {said}")]


def _kind(schema: Schema) -> str:
    if "const" in schema:
        return f"constant {schema['const']!r}"
    return str(schema.get("title") or schema.get("type") or "anything")


def _alternatives(root: Document, schema: Schema) -> list[Schema]:
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return [leaf for part in schema[word] for leaf in _alternatives(root, resolved(root, part))]
    types = schema.get("type")
    return [{**schema, "type": one} for one in types] if isinstance(types, list) else [schema]


def _one(place: _Place, old: Schema, new: Schema) -> Iterator[Finding]:
    # What is written must be within what is read: a caller writes by the old document, the system by the new one.
    written, read = (old, new) if place.side is Side.ASKED else (new, old)
    yield from _type(place, old, new, written, read)
    if place.side is Side.ASKED:
        yield from _values(place, old, new)
        yield from _bounds(place, old, new)
        if old.get("default") != new.get("default") and "default" in old:
            yield place.finding(f"default changed from {old['default']!r} to {new.get('default')!r}")
    yield from _properties(place, old, new)
    yield from _nested(place, old, new)


def _type(place: _Place, old: Schema, new: Schema, written: Schema, read: Schema) -> Iterator[Finding]:
    wide, narrow = read.get("type"), written.get("type")
    if wide is not None and wide != narrow and (narrow, wide) != ("integer", "number"):
        yield place.finding(f"type changed from {old.get('type', 'any')} to {new.get('type', 'any')}")
    for word in ("format", "pattern") if place.side is Side.ASKED else ("format",):
        if read.get(word) is not None and read.get(word) != written.get(word):
            yield place.finding(f"{word} changed from {old.get(word, 'none')} to {new.get(word, 'none')}")


def _values(place: _Place, old: Schema, new: Schema) -> Iterator[Finding]:
    before, after = _listed(old), _listed(new)
    if after is None:
        return
    if before is None:
        yield place.finding("list of values added")
    elif lost := sorted(before - after):
        yield place.finding(f"value removed: {', '.join(lost)}")


def _listed(schema: Schema) -> set[str] | None:
    if "const" in schema:
        return {str(schema["const"])}
    return {str(value) for value in schema["enum"]} if "enum" in schema else None


def _bounds(place: _Place, old: Schema, new: Schema) -> Iterator[Finding]:
    for words, tighter in ((_LOWER_BOUNDS, 1), (_UPPER_BOUNDS, -1)):
        for word in words:
            before, after = old.get(word), new.get(word)
            if after is not None and (before is None or (after - before) * tighter > 0):
                yield place.finding(f"{word} changed from {'none' if before is None else before} to {after}")


def _properties(place: _Place, old: Schema, new: Schema) -> Iterator[Finding]:
    before, after = old.get("properties", {}), new.get("properties", {})
    was_required, is_required = set(old.get("required", ())), set(new.get("required", ()))
    for name in sorted(before.keys() - after.keys()):
        yield place.at(name).finding("field removed or renamed")
    if place.side is Side.ASKED:
        for name in sorted(is_required - was_required):
            yield place.at(name).finding("field became required" if name in before else "field added as required")
    else:
        for name in sorted((was_required - is_required) & after.keys()):
            yield place.at(name).finding("field may now be missing")
    for name in sorted(before.keys() & after.keys()):
        yield from _schema(place.at(name), before[name], after[name])


def _nested(place: _Place, old: Schema, new: Schema) -> Iterator[Finding]:
    for word, step in (("items", "[]"), ("additionalProperties", "{}")):
        before, after = old.get(word), new.get(word)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _schema(place.at(step), before, after)
        elif _closed(before, after, place.side):
            yield place.at(step).finding(f"{word} changed")
    for word in ("allOf", "prefixItems"):
        olds, news = old.get(word, []), new.get(word, [])
        if len(olds) != len(news):
            yield place.finding(f"{word} has {len(news)} parts, had {len(olds)}")
        for number, (was, now) in enumerate(zip(olds, news, strict=False)):
            yield from _schema(place.at(f"{word}[{number}]"), was, now)


def _closed(before: object, after: object, side: Side) -> bool:
    """True when a schema for members went or came on the side that cannot bear it; none and True are alike."""
    before, after = (None if word is True else word for word in (before, after))
    return after not in (None, before) if side is Side.ASKED else before not in (None, after, False)
