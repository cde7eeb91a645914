"""One OpenAPI document for the whole system: the doors, and what the services say of themselves."""

import asyncio
import json
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any

import httpx
from pydantic.json_schema import models_json_schema

from oms_events.runtime.problems import MEDIA_TYPE, ProblemDetails
from oms_events.schema.glossary import explain
from oms_events.signing import KEY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER
from oms_gateway import statements
from oms_gateway.doors import DOORS, Door
from oms_gateway.intake import BATCH_LIMIT, JSON, NDJSON, BatchReceipt, Receipt
from oms_gateway.keys import Role
from oms_gateway.pages.http_page import http_page
from oms_gateway.pages.render import Page
from oms_gateway.routes import ROUTES, Route, find
from oms_gateway.statements import StatementQuery

Json = dict[str, Any]

_FRESH_S = 30.0
_FETCH_TIMEOUT_S = 2.0
_METHODS = {"get", "post", "put", "delete"}
_REF = "#/components/schemas/"
_SECURITY: list[Json] = [{"key": [], "timestamp": [], "signature": []}]
_ABOUT = """\
Everything that enters is validated, appended to a durable topic, and answered with `202` and derived ids: sending the
same again is harmless. Reads and commands go to the service that owns them.

Every request is signed. The signed text has four lines: Unix time in seconds, method, path with query, SHA-256 of the
body in hex; the signature is `v1=` and its HMAC-SHA256 with the key's secret in hex. Times may differ by five minutes.
"""


class ApiDocument:
    """The merged document, made when somebody asks and kept for half a minute."""

    def __init__(self, client: httpx.AsyncClient, urls: Mapping[str, str]) -> None:
        self._client = client
        self._urls = urls
        self._making = asyncio.Lock()
        self._made_at = float("-inf")
        self._document = b""
        self._shown: tuple[bytes, Page] | None = None

    async def read(self) -> bytes:
        """The document as JSON. A service that does not answer is left out and named in the description."""
        async with self._making:
            if time.monotonic() - self._made_at > _FRESH_S:
                names = list(self._urls)
                found = await asyncio.gather(*(self._fetch(name) for name in names))
                self._document = json.dumps(merge(dict(zip(names, found, strict=True)))).encode()
                self._made_at = time.monotonic()
        return self._document

    async def page(self) -> Page:
        """The document as a page, made anew when it changed."""
        document = await self.read()
        async with self._making:
            if self._shown is None or self._shown[0] != document:
                self._shown = (document, await asyncio.to_thread(http_page, document))
            return self._shown[1]

    async def _fetch(self, service: str) -> Json | None:
        try:
            answer = await self._client.get(f"{self._urls[service]}/openapi.json", timeout=_FETCH_TIMEOUT_S)
            document = answer.raise_for_status().json()
        except (httpx.HTTPError, ValueError):
            return None
        return document if isinstance(document, dict) else None


def merge(documents: Mapping[str, Json | None]) -> Json:
    """The doors and the services' documents as one. None stands for a service that does not answer."""
    paths, schemas = _own_paths(), _own_schemas()
    for service, document in documents.items():
        if document is not None:
            schemas |= _renamed_schemas(service, document)
            for path, operations in _public_operations(service, document):
                paths.setdefault(path, {}).update(operations)
    missing = [service for service, document in documents.items() if document is None]
    about = _ABOUT + (f"\nNot available now, and left out here: {', '.join(missing)}.\n" if missing else "")
    return {
        "openapi": "3.1.0",
        "info": {"title": "OMS", "version": "1", "description": about},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "key": _header_scheme(KEY_HEADER, "The caller's key"),
                "timestamp": _header_scheme(TIMESTAMP_HEADER, "Unix time in seconds"),
                "signature": _header_scheme(SIGNATURE_HEADER, "`v1=` and the HMAC in hex"),
            },
        },
        "security": _SECURITY,
        "tags": [{"name": "intake", "description": "What enters the system"}, *({"name": name} for name in documents)],
    }


def _header_scheme(header: str, description: str) -> Json:
    return {"type": "apiKey", "in": "header", "name": header, "description": description}


# --- the doors ------------------------------------------------------------------------------------------------------


def _own_schemas() -> Json:
    parts = [door.part for door in DOORS]
    _, read = models_json_schema([(part, "validation") for part in parts], ref_template=_REF + "{model}")
    _, written = models_json_schema(
        [(model, "serialization") for model in (Receipt, BatchReceipt, ProblemDetails)], ref_template=_REF + "{model}"
    )
    for schema in read["$defs"].values():
        schema["additionalProperties"] = False  # contracts tolerate news from inside; from outside they are strict
    return {**explain(read)["$defs"], **written["$defs"]}


def _own_paths() -> Json:
    paths: Json = {}
    for door in DOORS:
        paths[door.path] = {"post": _single(door)}
        paths[f"{door.path}:batch"] = {"post": _batch(door)}
    paths[statements.PATH] = {"post": _statement()}
    return paths


def _statement() -> Json:
    schema = StatementQuery.model_json_schema()
    return {
        "tags": ["intake"],
        "operationId": f"receive-{statements.NAME}",
        "summary": "A platform's statement, as the file itself",
        "description": "The body is the file, streamed; 2 GiB at most unless set otherwise. "
        "`id` is the statement's: the same file for the same account has the same.\n\n" + _who(statements.ROLES),
        "x-roles": _roles(statements.ROLES),
        "parameters": [
            {"name": name, "in": "query", "required": name in schema["required"], "schema": field}
            for name, field in schema["properties"].items()
        ],
        "requestBody": {
            "required": True,
            "content": {
                content_type: {"schema": {"type": "string", "format": "binary"}}
                for content_type in sorted(statements.CONTENT_TYPES)
            },
        },
        "responses": {"202": _answer("Durably accepted", Receipt)} | _problems(),
    }


def _single(door: Door[Any]) -> Json:
    return _operation(
        door,
        name=f"receive-{door.name}",
        summary=door.says,
        content={JSON: {"schema": {"$ref": _REF + door.part.__name__}}},
        responses={"202": _answer("Durably accepted", Receipt)},
    )


def _batch(door: Door[Any]) -> Json:
    item = {"$ref": _REF + door.part.__name__}
    return _operation(
        door,
        name=f"receive-{door.name}-batch",
        summary=f"{door.says}: up to {BATCH_LIMIT} at once, each answered for itself",
        content={
            JSON: {"schema": {"type": "array", "items": item, "minItems": 1, "maxItems": BATCH_LIMIT}},
            NDJSON: {"schema": {"type": "string", "description": "One document a line"}},
        },
        responses={
            "202": _answer("At least one item durably accepted", BatchReceipt),
            "422": {
                "description": "Every item rejected, or no batch of the right size",
                "content": {
                    JSON: {"schema": {"$ref": _REF + BatchReceipt.__name__}},
                    MEDIA_TYPE: {"schema": {"$ref": _REF + ProblemDetails.__name__}},
                },
            },
        },
    )


def _operation(door: Door[Any], *, name: str, summary: str, content: Json, responses: Json) -> Json:
    return {
        "tags": ["intake"],
        "operationId": name,
        "summary": summary,
        "description": _who({door.role}),
        "x-roles": _roles({door.role}),
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "One per body: the same key with another body is answered 409",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255},
            }
        ],
        "requestBody": {"required": True, "content": content},
        "responses": responses | _problems(),
    }


def _answer(description: str, model: type[Receipt | BatchReceipt]) -> Json:
    return {"description": description, "content": {JSON: {"schema": {"$ref": _REF + model.__name__}}}}


def _problems() -> Json:
    content = {MEDIA_TYPE: {"schema": {"$ref": _REF + ProblemDetails.__name__}}}
    return {
        "4XX": {"description": "The request is at fault", "content": content},
        "5XX": {"description": "The system is at fault or not available", "content": content},
    }


def _who(roles: Iterable[Role]) -> str:
    return "Roles: " + ", ".join(_roles(roles)) + "."


def _roles(roles: Iterable[Role]) -> list[str]:
    return sorted({*roles, Role.OPERATOR})


# --- the services ---------------------------------------------------------------------------------------------------


def _renamed_schemas(service: str, document: Json) -> Json:
    schemas = document.get("components", {}).get("schemas", {})
    return {_renamed(service, name): _with_renamed_refs(service, schema) for name, schema in schemas.items()}


def _renamed(service: str, name: str) -> str:
    return f"{service}.{name}"


def _with_renamed_refs(service: str, node: Any) -> Any:  # noqa: ANN401 - JSON is any shape
    if isinstance(node, dict):
        return {
            name: _REF + _renamed(service, value.removeprefix(_REF))
            if name == "$ref" and isinstance(value, str) and value.startswith(_REF)
            else _with_renamed_refs(service, value)
            for name, value in node.items()
        }
    if isinstance(node, list):
        return [_with_renamed_refs(service, value) for value in node]
    return node


def _public_operations(service: str, document: Json) -> Iterable[tuple[str, Json]]:
    """What the table of routes lets through of a service's operations."""
    for path, operations in document.get("paths", {}).items():
        public = _public_path(service, path)
        for method in sorted(_METHODS & operations.keys()):
            route = find(method.upper(), public)
            if route is not None and route.service == service:
                yield public, {method: _public_operation(service, route, method, operations[method])}


def _public_path(service: str, path: str) -> str:
    for route in ROUTES:
        if route.service == service and route.target and re.match(re.escape(route.target) + r"(?=[/:]|\Z)", path):
            return route.path + path.removeprefix(route.target)
    return path


def _public_operation(service: str, route: Route, method: str, operation: Json) -> Json:
    renamed: Json = _with_renamed_refs(service, operation)
    name = operation.get("operationId", f"{method}-{route.path}")
    said = [operation.get("description", ""), _who(route.allowed(method.upper()))]
    return {
        **renamed,
        "tags": [service],
        "operationId": f"{service}-{name}",
        "description": "\n\n".join(filter(None, said)),
        "x-roles": _roles(route.allowed(method.upper())),
        # Every service answers errors alike, so they are described once.
        "responses": {code: answer for code, answer in renamed["responses"].items() if code[0] in "123"} | _problems(),
    }
