"""The pages of the HTTP API and of the events: complete, true, in one piece, and nothing in them but text."""

import base64
import hashlib
import json
import os
import re
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel, Field

from oms_events.registry import events
from oms_events.runtime import problems
from oms_events.signing import sign
from oms_gateway.doors import DOORS
from oms_gateway.pages.events_page import document
from oms_gateway.pages.http_page import http_page
from oms_gateway.pages.shapes import fields_of, rules_of, type_of

from .conftest import House

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)> `<b>`"


class Thing(BaseModel):
    """A thing."""

    name: str = Field(description=HOSTILE)


@pytest.fixture
def upstream() -> FastAPI:
    app = FastAPI()

    @app.get("/v1/skus/{sku}", responses=problems.RESPONSES)
    async def show_sku(sku: str, q: str | None = None) -> Thing:
        """One SKU. The second sentence."""
        return Thing(name=sku)

    return app


@pytest.mark.parametrize("path", ["/docs", "/docs/events"])
async def test_a_page_is_in_one_piece_and_runs_only_what_it_brought(house: House, path: str) -> None:
    page = await house.client.get(path)
    assert page.status_code == 200
    assert re.findall(r"""(?:src|href)=["'](?!#|/docs|/openapi\.json|/asyncapi\.json)""", page.text) == []
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        [content] = re.findall(rf"<{tag}>(.*?)</{tag}>", page.text, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert not re.search(r"<[^>]+ (on\w+|style)=", page.text)


@pytest.mark.parametrize("path", ["/docs", "/docs/events"])
async def test_who_has_a_page_is_told_so(house: House, path: str) -> None:
    tag = (await house.client.get(path)).headers["etag"]
    assert (await house.client.get(path, headers={"if-none-match": tag})).status_code == 304
    assert (await house.client.get(path, headers={"if-none-match": '"other"'})).status_code == 200


async def test_a_page_is_compressed_for_who_takes_it(house: House) -> None:
    plain = await house.client.get("/docs/events", headers={"accept-encoding": "identity"})
    small = await house.client.get("/docs/events", headers={"accept-encoding": "gzip"})
    assert small.text == plain.text
    assert int(small.headers["content-length"]) < int(plain.headers["content-length"]) / 5


async def test_every_event_is_shown_with_fields_flow_and_examples(house: House) -> None:
    page = (await house.client.get("/docs/events")).text
    cards = dict(re.findall(r'<article class="card" id="([^"]+)".*?>(.*?)</article>', page, flags=re.DOTALL))
    assert len(cards) == len(events())
    for type_, model in events().items():
        _, _, name, version = type_.split(".")
        card = cards[f"{name}.{version}"]
        assert f"<code>{type_}</code>" in card
        for field in model.model_fields:
            assert f"<code>{field}</code>" in card
        message = document()["components"]["messages"][type_]
        assert ("not released" in card) != message["x-released"]
        for example in message["examples"]:
            assert f"Example: {example['name']}" in card


async def test_an_event_names_who_sends_and_who_reads_it(house: House) -> None:
    page = (await house.client.get("/docs/events")).text
    card = page.split('id="OrderPlaced.v1"')[1].split("</article>")[0]
    sent, read = (re.findall(r'chip">(\w+)<', part) for part in card.split("<dt>read by</dt>"))
    assert sent == ["orders"]
    assert "inventory" in read
    assert "orders" not in read


async def test_the_asyncapi_document_is_served(house: House) -> None:
    served = await house.client.get("/asyncapi.json")
    assert served.json()["asyncapi"] == "3.0.0"
    assert served.json()["components"]["messages"].keys() == events().keys()


async def test_every_operation_is_shown_with_what_a_caller_needs(house: House) -> None:
    api = (await house.client.get("/openapi.json")).json()
    page = (await house.client.get("/docs")).text
    for path, operations in api["paths"].items():
        for method, operation in operations.items():
            card = page.split(f'id="{operation["operationId"]}"')[1].split('<details class="card')[0]
            assert f"{method.upper()}</span>" in card
            assert f'<code class="path">{path}</code>' in card
            for role in operation["x-roles"]:
                assert f'chip">{role}<' in card
            for parameter in operation.get("parameters", []):
                assert f"<code>{parameter['name']}</code>" in card
            assert f"oms {method.upper()} " in card
            assert 'href="#problem-403"' in card


async def test_an_operation_is_told_in_the_words_of_its_service(house: House) -> None:
    page = (await house.client.get("/docs")).text
    card = page.split('<code class="path">/v1/skus/{sku}</code>')[1].split("</details>")[0]
    assert '<span class="summary">One SKU</span>' in card
    assert "<p>The second sentence.</p>" in card


async def test_what_a_service_says_of_itself_is_never_markup(house: House) -> None:
    page = (await house.client.get("/docs")).text
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "<code>&lt;b&gt;</code>" in page
    assert "<img" not in page
    assert page.count("<script>") == 1


def test_the_page_changes_with_its_document(house: House) -> None:
    api: dict[str, Any] = {
        "info": {"description": "A"},
        "paths": {
            "/v1/a": {"get": {"operationId": "a", "responses": {}, "deprecated": True, "x-sunset": "2027-01-01"}}
        },
    }
    first = http_page(json.dumps(api).encode())
    api["info"]["description"] = "B"
    second = http_page(json.dumps(api).encode())
    assert first.tag != second.tag
    assert "goes after 2027-01-01" in second.content.decode()


async def test_the_examples_of_doors_are_accepted_by_them(house: House) -> None:
    page = (await house.client.get("/docs")).text
    for door in DOORS:
        card = page.split(f'id="receive-{door.name}"')[1].split('<details class="card')[0]
        [line] = re.findall(r'aria-label="Example with curl">oms POST &#39;[^&]+&#39; &#39;(.*?)&#39;</pre>', card)
        door.part.model_validate_json(line.replace("&#34;", '"').replace("&amp;", "&"))


def test_the_function_to_paste_signs_as_the_gateway_wants_it(tmp_path: Path) -> None:
    script = files("oms_gateway.pages").joinpath("templates", "sign.sh").read_text()
    # Stands in the place of curl and tells what it was called with, one argument a line.
    (tmp_path / "curl").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "curl").chmod(0o755)
    body = '{"note": "Tee für zwei"}'
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "URL": "http://gateway.test",
        "OMS_KEY": "omk_1",
        "OMS_SECRET": "secret",
    }
    (tmp_path / "file.csv").write_text("a;b\n\n")
    file = f"@{tmp_path / 'file.csv'}"
    for arguments, sent in (
        (["POST", "/v1/orders", body], body),
        (["GET", "/v1/orders?limit=1"], ""),
        (["POST", "/v1/statements?shop=a", file, "text/csv"], "a;b\n\n"),
    ):
        called = subprocess.run(
            ["bash", "-c", f'{script}\noms "$@"', "bash", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        headers = dict(line.split(": ", 1) for line in called if line.startswith(("X-OMS", "Content-Type")))
        expected = sign("secret", int(headers["X-OMS-Timestamp"]), arguments[0], arguments[1], sent.encode())
        assert headers["X-OMS-Signature"] == expected
        assert headers["X-OMS-Key"] == "omk_1"
        assert f"http://gateway.test{arguments[1]}" in called
        assert headers.get("Content-Type") == (None if not sent else (*arguments, "application/json")[3])
        assert called[-1] == (arguments[2] if sent else f"X-OMS-Signature: {expected}")


SCHEMA = {
    "$defs": {
        "Part": {
            "title": "Part",
            "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 5}, "again": {"$ref": "#/$defs/Part"}},
            "required": ["n"],
        }
    },
    "properties": {
        "code": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": r"^[^\x00-\x1F\x7F]*$"},
        "at": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}], "default": None},
        "kind": {"enum": ["a", "b"], "default": "a"},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}, "maxItems": 2},
    },
    "required": ["code"],
}


def test_a_schema_is_told_in_words() -> None:
    fields = {field.name: field for field in fields_of(SCHEMA, SCHEMA)}
    assert fields["code"].rules == "length 1 to 64; no control characters"
    assert (fields["code"].required, fields["at"].required) == (True, False)
    assert fields["at"].type == "date-time or null"
    assert (fields["kind"].type, fields["kind"].rules) == ('"a" | "b"', 'default "a"')
    assert (fields["parts"].type, fields["parts"].rules) == ("list of Part", "items at most 2")
    assert [field.name for field in fields["parts"].fields] == ["n", "again"]
    assert rules_of({"minimum": 1000, "maximum": 1000}) == "1,000"
    assert type_of({}, {}) == "anything"


def test_a_schema_that_contains_itself_ends() -> None:
    [_, again] = fields_of(SCHEMA, {"$ref": "#/$defs/Part"})
    depth = 0
    while again.fields:
        again = again.fields[1]
        depth += 1
    assert 2 <= depth <= 6
