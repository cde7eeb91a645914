"""The committed HTTP APIs are what the code says."""

import json
from pathlib import Path

import pytest

from . import openapi
from .services import DECLARED


def test_committed_files_are_what_the_code_would_generate() -> None:
    assert openapi.drifted() == [], "run `make openapi`"


def test_there_is_one_file_per_service() -> None:
    assert {path.stem for path in openapi.FOLDER.glob("*.json")} == DECLARED.keys()


def test_drift_is_seen_and_mended(tmp_path: Path) -> None:
    openapi.write(tmp_path)
    (tmp_path / "catalog.json").unlink()
    (tmp_path / "orders.json").write_text("{}")
    (tmp_path / "gone.json").write_text("{}")
    assert openapi.drifted(tmp_path) == ["catalog.json", "gone.json", "orders.json"]
    assert openapi.write(tmp_path) == ["catalog.json", "gone.json", "orders.json"]
    assert openapi.drifted(tmp_path) == []


@pytest.mark.parametrize("service", DECLARED)
def test_every_operation_has_an_id_of_its_own_and_says_what_it_does(service: str) -> None:
    document = json.loads((openapi.FOLDER / f"{service}.json").read_text("utf-8"))
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    assert all(operation.get("description") or operation.get("summary") for operation in operations)
