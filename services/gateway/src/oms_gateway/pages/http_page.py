"""The page of the HTTP API: what the merged OpenAPI document says, for people."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oms_events.schema.sample import sample_value
from oms_gateway.doors import DOORS
from oms_gateway.pages.events_page import example_of
from oms_gateway.pages.render import Page, render
from oms_gateway.pages.shapes import Field, fields_of, rules_of, type_of

Json = Mapping[str, Any]

_METHODS = ("get", "post", "put", "patch", "delete")
_JSON = "application/json"

PROBLEMS: Mapping[int, tuple[str, str]] = {
    400: ("Bad request", "The body is no JSON; line and column are named."),
    401: ("Not authenticated", "A header is missing, the clock is off, or key and signature do not fit."),
    403: ("Not allowed", "The key's role may not do this, or its limits exclude what was named."),
    404: ("Not found", "It does not exist, or not for this key."),
    409: ("Conflict", "The state of the thing, or the use of an `Idempotency-Key`, excludes it."),
    413: ("Body too large", "More bytes than this door takes."),
    415: ("Unsupported media type", "The body is of no type that is taken here, or compressed."),
    422: ("Invalid input", "A rule is broken: `errors` names each field and rule."),
    429: ("Too many requests", "The key's rate is used up; `Retry-After` says for how long."),
    503: (
        "Not available for the moment",
        "The broker or the owning service is away. Sending the same again is harmless.",
    ),
}


@dataclass(frozen=True)
class Content:
    """A body or an answer of one media type."""

    title: str
    media_type: str
    says: str
    type: str
    fields: Sequence[Field]
    example: str


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    anchor: str
    method: str
    path: str
    summary: str
    says: str
    roles: Sequence[str]
    deprecated: bool
    sunset: str | None
    parameters: Sequence[tuple[str, Field]]
    bodies: Sequence[Content]
    answers: Sequence[Content]
    problems: Sequence[int]
    curl: str

    @property
    def words(self) -> str:
        """What a search looks through."""
        names = [field.name for _, field in self.parameters]
        for content in (*self.bodies, *self.answers):
            names += [word for field in content.fields for word in field.words()]
        return " ".join([self.method, self.path, self.summary, self.says, *self.roles, *names]).lower()


def http_page(text: bytes) -> Page:
    """The page of an OpenAPI document."""
    api: Json = json.loads(text)
    groups: dict[str, list[Operation]] = {tag["name"]: [] for tag in api.get("tags", ())}
    for path, operations in api["paths"].items():
        for method in (method for method in _METHODS if method in operations):
            tag = operations[method].get("tags", ["other"])[0]
            groups.setdefault(tag, []).append(_operation(api, path, method, operations[method]))
    shown = [(tag, operations) for tag, operations in groups.items() if operations]
    return render(
        "http.html",
        {
            "about": api["info"]["description"],
            "groups": shown,
            "count": sum(len(operations) for _, operations in shown),
            "problems": PROBLEMS,
        },
    )


def _operation(api: Json, path: str, method: str, said: Json) -> Operation:
    bodies = list(_contents(api, "Body", (said.get("requestBody") or {}).get("content", {}), _example_for(path)))
    answers = [
        content
        for status, answer in said.get("responses", {}).items()
        if not status.endswith("XX")
        for content in _contents(
            api, f"Answer {status}", answer.get("content", {}), None, answer.get("description", "")
        )
    ]
    summary, more = _told(said)
    return Operation(
        anchor=said["operationId"],
        method=method.upper(),
        path=path,
        summary=summary,
        says=more,
        roles=said.get("x-roles", ()),
        deprecated=said.get("deprecated", False),
        sunset=said.get("x-sunset"),
        parameters=[(parameter["in"], _parameter(api, parameter)) for parameter in said.get("parameters", ())],
        bodies=bodies,
        answers=answers,
        problems=_problems(path, method, said),
        curl=_curl(method, path, said, bodies),
    )


def _parameter(api: Json, said: Json) -> Field:
    schema = said.get("schema", {})
    words = said.get("description") or schema.get("description") or ""
    return Field(said["name"], type_of(api, schema), said.get("required", False), rules_of(schema), words)


def _contents(api: Json, title: str, content: Json, given: object, says: str = "") -> Iterator[Content]:
    for media_type, media in content.items():
        schema = media.get("schema", {})
        example = sample_value(api, schema, title) if given is None else given
        shown = json.dumps(example, indent=2, ensure_ascii=False) if media_type == _JSON else ""
        yield Content(title, media_type, says, type_of(api, schema), fields_of(api, schema), shown)


def _example_for(path: str) -> object:
    """The document that a door takes, as the event's committed example has it; None for what is no door."""
    for door in DOORS:
        if path in (door.path, f"{door.path}:batch") and (data := example_of(door.event.type)):
            document = next(value for value in data.values() if isinstance(value, dict))
            return [document] if path.endswith(":batch") else document
    return None


def _told(said: Json) -> tuple[str, str]:
    """The first sentence, and what else is said. A summary that was made of a function's name tells less than words."""
    parts = [part for part in said.get("description", "").split("\n\n") if not part.startswith("Roles: ")]
    if not parts:
        return said.get("summary", ""), ""
    first, dot, rest = parts[0].replace("\n", " ").partition(". ")
    return first.removesuffix("."), "\n\n".join(([rest] if dot else []) + parts[1:])


def _problems(path: str, method: str, said: Json) -> list[int]:
    """The statuses that a caller of this operation can meet."""
    found = {401, 403, 429, 503}
    if said.get("requestBody"):
        found |= {400, 413, 415, 422}
    if said.get("parameters"):
        found.add(422)
    if "{" in path:
        found.add(404)
    if method != "get":
        found.add(409)
    return sorted(found)


def _curl(method: str, path: str, said: Json, bodies: Sequence[Content]) -> str:
    required = [p for p in said.get("parameters", ()) if p["in"] == "query" and p.get("required")]
    query = "&".join(f"{p['name']}=..." for p in required)
    line = f"oms {method.upper()} '{path}{'?' + query if query else ''}'"
    body = next((content.example for content in bodies if content.example), "")
    if not bodies:
        return line
    if not body:
        return f"{line} @file {bodies[0].media_type}"
    compact = json.dumps(json.loads(body), ensure_ascii=False).replace("'", "'\\''")
    return f"{line} '{compact}'"
