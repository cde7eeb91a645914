"""Examples of events: data as consumers meet it, in files that never change once a release has them.

`contracts/examples/<service>/<Event>/v<n>/<name>.json`; `contracts/examples.sha256` lists those that may not change, in
the format of `sha256sum`.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from oms_events.codec import Record, Undecodable, decode, headers_of
from oms_events.envelope import EventMeta
from oms_events.registry import Event, events, model_of
from oms_events.schema.sample import sample
from oms_events.values import derived_text

EXAMPLES = "examples/*/*/*/*.json"
_LOCK = "examples.sha256"
_AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Example:
    """Data of one event, as committed."""

    type: str
    name: str
    path: str
    data: dict[str, Any]


class BadExample(ValueError):
    """An example that nobody could read, or that cannot be added. The message says why."""


def read(contracts: Path) -> list[Example]:
    """Every example below a contracts folder. Raises BadExample for a file that is no JSON object."""
    return [_read(contracts, path) for path in sorted(contracts.glob(EXAMPLES))]


def _read(contracts: Path, path: Path) -> Example:
    service, event, version, name = path.relative_to(contracts / "examples").with_suffix("").parts
    relative = path.relative_to(contracts).as_posix()
    try:
        data = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise BadExample(f"{relative} is no JSON: {error}") from None
    if not isinstance(data, dict):
        raise BadExample(f"{relative} is no JSON object")
    return Example(f"oms.{service}.{event}.{version}", name, relative, data)


def add(contracts: Path, type_: str, name: str, data: dict[str, Any] | None = None) -> Path:
    """Write an example: the given data, or plausible data to be edited. Raises BadExample; never overwrites."""
    model = events().get(type_)
    if model is None:
        raise BadExample(f"no event has the type {type_}")
    data = sample(model) if data is None else data
    _parse(model, data, name)
    path = contracts / "examples" / "/".join(type_.removeprefix("oms.").split(".")) / f"{name}.json"
    if path.exists():
        raise BadExample(f"{path} exists: an example never changes, give the new one another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return path


def _parse(model: type[Event], data: dict[str, Any], name: str) -> None:
    try:
        model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "data"
        raise BadExample(f"{model.type} {name}: {place}: {first['msg']}") from None


def record_of(example: Example) -> Record:
    """The example as a broker would deliver it. Raises BadExample when nobody declared its type, or it has no key."""
    model = events().get(example.type) or model_of(example.type)
    if model is None:
        raise BadExample(f"{example.path}: no event has the type {example.type}")
    if model.topic.key not in example.data:
        raise BadExample(f"{example.path}: {model.topic.key}, the key of {model.topic.name}, is missing")
    owner = model.topic.service.replace("intake", "gateway")
    key = str(example.data[model.topic.key])
    id_ = derived_text("example", example.type, example.name, at=_AT)
    meta = EventMeta(id_, f"/oms/{owner}", example.type, key, _AT, correlationid=id_)
    return Record(model.topic.name, key.encode(), json.dumps(example.data).encode(), headers_of(meta))


def lock(contracts: Path, covers: Callable[[str], bool]) -> list[str]:
    """Add to the list the examples of released events that it lacks. Lines that stand are never touched."""
    known = _locked(contracts)
    added = {
        example.path: _digest(contracts / example.path)
        for example in read(contracts)
        if example.path not in known and covers(example.type)
    }
    if added:
        lines = [f"{digest}  {path}\n" for path, digest in sorted((known | added).items())]
        (contracts / _LOCK).write_text("".join(lines), "utf-8")
    return sorted(added)


def problems(contracts: Path, covers: Callable[[str], bool]) -> Iterator[str]:
    """What is wrong with the examples: changed, deleted, unlisted, unreadable, or missing for a released event."""
    known = _locked(contracts)
    for path, digest in known.items():
        if not (contracts / path).is_file():
            yield f"{path} was deleted: an example that was released stays for ever"
        elif _digest(contracts / path) != digest:
            yield f"{path} was changed: an example that was released stays as it is; add another one"
    try:
        found = read(contracts)
    except BadExample as error:
        yield str(error)
        return
    yield from (f"{e.path} is not in {_LOCK}: run `oms-events export`" for e in found if _unlisted(e, known, covers))
    yield from _unreadable(found)
    yield from missing(contracts, covers)


def missing(contracts: Path, covers: Callable[[str], bool]) -> Iterator[str]:
    """Released events without an example."""
    seen = {example.type for example in read(contracts)}
    for type_ in events():
        if covers(type_) and type_ not in seen:
            yield f"{type_} has no example: `oms-events example {type_} NAME`"


def _unlisted(example: Example, known: dict[str, str], covers: Callable[[str], bool]) -> bool:
    return example.path not in known and covers(example.type)


def _unreadable(found: Iterable[Example]) -> Iterator[str]:
    for example in found:
        try:
            decode(record_of(example))
        except BadExample as error:
            yield str(error)
        except Undecodable as error:
            yield f"{example.path}: {error}"


def _locked(contracts: Path) -> dict[str, str]:
    path = contracts / _LOCK
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
