"""The committed HTTP APIs are what the code says, and OpenAPI by its own rules."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from tests.services import DECLARED

from oms_gateway.routes import SERVICES as PROXIED

from . import openapi

Json = dict[str, Any]

FILES = [*(name for name in DECLARED if name != "console"), "oms"]
"""One document per service with an API, and the whole as callers meet it."""


def committed(name: str) -> Json:
    document: Json = json.loads((openapi.FOLDER / f"{name}.json").read_text("utf-8"))
    return document


def test_committed_files_are_what_the_code_would_generate() -> None:
    assert openapi.drifted_all() == [], "run `make openapi`"


def test_there_is_one_file_per_service_and_one_of_all() -> None:
    assert {path.stem for path in openapi.FOLDER.glob("*.json")} == set(FILES)


def test_drift_is_seen_and_mended(tmp_path: Path) -> None:
    openapi.write(tmp_path)
    (tmp_path / "catalog.json").unlink()
    (tmp_path / "orders.json").write_text("{}")
    (tmp_path / "gone.json").write_text("{}")
    assert openapi.drifted(tmp_path) == ["catalog.json", "gone.json", "orders.json"]
    assert openapi.write(tmp_path) == ["catalog.json", "gone.json", "orders.json"]
    assert openapi.drifted(tmp_path) == []


@pytest.mark.parametrize("name", FILES)
def test_a_document_is_valid_openapi(name: str) -> None:
    problems = [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in validator(committed(name)).iter_errors()]
    assert problems == []


def validator(document: Json) -> OpenAPIV31SpecValidator:
    return OpenAPIV31SpecValidator(document)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda api: api["info"].pop("title"),
        lambda api: api["paths"]["/v1/orders"]["post"].update(responses={"accepted": {}}),
        lambda api: api["paths"]["/v1/orders"]["post"]["parameters"][0].update({"in": "nowhere"}),
        lambda api: api["paths"]["/v1/orders/{order_id}"]["get"].update(parameters=[]),
        lambda api: api["paths"]["/v1/orders"].update(post=["anything"]),
        lambda api: api["components"]["schemas"]["ChannelOrder"].update(type="thing"),
    ],
)
def test_the_validator_sees_what_is_wrong(spoil: Callable[[Json], Any]) -> None:
    document = copy.deepcopy(committed("oms"))
    spoil(document)
    assert not validator(document).is_valid()


@pytest.mark.parametrize("name", FILES)
def test_every_reference_leads_somewhere(name: str) -> None:
    document = committed(name)
    for reference in set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(document))):
        node: Any = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


@pytest.mark.parametrize("name", FILES)
def test_every_operation_has_an_id_of_its_own_and_says_what_it_does(name: str) -> None:
    operations = [operation for path in committed(name)["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    assert all(operation.get("description") or operation.get("summary") for operation in operations)


def test_the_whole_names_who_may_use_each_operation() -> None:
    for path, operations in committed("oms")["paths"].items():
        for method, operation in operations.items():
            assert "operator" in operation["x-roles"], f"{method} {path}"


def test_the_whole_shows_every_service_that_the_gateway_passes_on_to() -> None:
    shown = {op["tags"][0] for operations in committed("oms")["paths"].values() for op in operations.values()}
    assert shown == {"intake", *PROXIED}
