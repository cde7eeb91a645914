"""What a change of a contract would break.

Policy: producers emit every declared field and only those; readers ignore fields they do not know. So a field may be
added if it is optional, and what an existing field may hold is fixed in both directions:

- narrower, and today's code refuses records that are already in the topics;
- wider, and readers already running refuse records that today's code writes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from oms_events.schema.references import Schema, resolved

_OLD_RECORDS = "records already in the topics would be refused"
_OLD_READERS = "readers already running would refuse new records"

_LOWER_BOUNDS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_FIXED = ("type", "const", "pattern", "format", "multipleOf", "uniqueItems", "contentEncoding", "contentMediaType")
_STREAM = {"x-topic": "topic", "x-key": "key", "x-cleanup": "cleanup policy"}
_ABSENT = object()


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One incompatible change: of which event or operation, where, what it is and why it breaks someone."""

    subject: str
    path: str
    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.subject} {self.path or '(as a whole)'}: {self.what}; {self.why}"


@dataclass(frozen=True, slots=True)
class _Place:
    """A place in the old and the new schema of one event."""

    event: str
    path: str
    old_root: Schema
    new_root: Schema

    def at(self, step: str) -> "_Place":
        return _Place(self.event, f"{self.path}.{step}".lstrip("."), self.old_root, self.new_root)

    def finding(self, what: str, why: str) -> Finding:
        return Finding(self.event, self.path, what, why)


def compare_all(old: Mapping[str, Schema], new: Mapping[str, Schema]) -> list[Finding]:
    """Every incompatible change between two sets of schemas by event. A new event breaks nobody."""
    gone = [Finding(name, "", "event removed", _OLD_RECORDS) for name in old.keys() - new.keys()]
    changed = [finding for name in old.keys() & new.keys() for finding in compare(name, old[name], new[name])]
    return sorted(gone + changed)


def compare(event: str, old: Schema, new: Schema) -> list[Finding]:
    """Every incompatible change of one event's schema."""
    place = _Place(event, "", old, new)
    return sorted({*_stream(place, old, new), *_walk(place, old, new)})


def _stream(place: _Place, old: Schema, new: Schema) -> Iterator[Finding]:
    for keyword, name in _STREAM.items():
        before, after = old.get(keyword), new.get(keyword)
        if before != after:
            yield place.finding(f"{name} changed from {before} to {after}", "subscribers and ordering rely on it")


def _walk(place: _Place, old: Schema, new: Schema) -> Iterator[Finding]:
    old, new = resolved(place.old_root, old), resolved(place.new_root, new)
    yield from _fixed(place, old, new)
    yield from _enum(place, old, new)
    yield from _bounds(place, old, new)
    yield from _default(place, old, new)
    yield from _properties(place, old, new)
    yield from _nested(place, old, new)


def _fixed(place: _Place, old: Schema, new: Schema) -> Iterator[Finding]:
    for word in _FIXED:
        before, after = old.get(word), new.get(word)
        if before != after:
            why = _OLD_READERS if after is None else _OLD_RECORDS if before is None else _both()
            yield place.finding(f"{word} changed from {_said(before)} to {_said(after)}", why)


def _enum(place: _Place, old: Schema, new: Schema) -> Iterator[Finding]:
    before, after = _values(old), _values(new)
    if before is None or after is None:
        if before != after:
            why = _OLD_RECORDS if before is None else _OLD_READERS
            yield place.finding(f"list of values {'added' if before is None else 'dropped'}", why)
        return
    if lost := sorted(before - after):
        yield place.finding(f"value removed: {', '.join(lost)}", _OLD_RECORDS)
    if added := sorted(after - before):
        yield place.finding(f"value added: {', '.join(added)}", _OLD_READERS)


def _values(schema: Schema) -> set[str] | None:
    return {str(value) for value in schema["enum"]} if "enum" in schema else None


def _bounds(place: _Place, old: Schema, new: Schema) -> Iterator[Finding]:
    for words, narrower in ((_LOWER_BOUNDS, 1), (_UPPER_BOUNDS, -1)):
        for word in words:
            before, after = old.get(word), new.get(word)
            if before == after:
                continue
            tightened = before is None or (after is not None and (after - before) * narrower > 0)
            what = f"{word} changed from {_said(before)} to {_said(after)}"
            yield place.finding(what, _OLD_RECORDS if tightened else _OLD_READERS)


def _default(place: _Place, old: Schema, new: Schema) -> Iterator[Finding]:
    """A default may come; one that changes gives another meaning to records written before the field was there."""
    if "default" in old and "default" in new and old["default"] != new["default"]:
        what = f"default changed from {_said(old['default'])} to {_said(new['default'])}"
        yield place.finding(what, "records without the field would mean something else")


def _properties(place: _Place, old: Schema, new: Schema) -> Iterator[Finding]:
    before, after = old.get("properties", {}), new.get("properties", {})
    was_required, is_required = set(old.get("required", ())), set(new.get("required", ()))
    for name in before.keys() - after.keys():
        yield place.at(name).finding("removed or renamed", "readers rely on it")
    for name in after.keys() - before.keys():
        if name in is_required:
            yield place.at(name).finding("added as required", _OLD_RECORDS)
    for name in before.keys() & after.keys():
        if name in is_required - was_required:
            yield place.at(name).finding("optional became required", _OLD_RECORDS)
        yield from _walk(place.at(name), before[name], after[name])


def _nested(place: _Place, old: Schema, new: Schema) -> Iterator[Finding]:
    for word, step in (("items", "[]"), ("additionalProperties", "{}")):
        before, after = old.get(word, _ABSENT), new.get(word, _ABSENT)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _walk(place.at(step), before, after)
        elif before != after:
            yield place.at(step).finding(f"{word} changed", _both())
    for word in ("anyOf", "oneOf", "allOf", "prefixItems"):
        olds, news = old.get(word, []), new.get(word, [])
        if len(olds) != len(news):
            why = _OLD_RECORDS if len(olds) > len(news) else _OLD_READERS
            yield place.finding(f"{word} has {len(news)} alternatives, had {len(olds)}", why)
            continue
        for number, (before, after) in enumerate(zip(olds, news, strict=True)):
            yield from _walk(place.at(f"{word}[{number}]"), before, after)


def _both() -> str:
    return f"{_OLD_RECORDS}, and {_OLD_READERS}"


def _said(value: object) -> str:
    return "none" if value is None else repr(value)
