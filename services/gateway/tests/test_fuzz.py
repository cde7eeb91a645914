"""Whatever is sent to a door, the answer is no 5xx, and what is accepted can be decoded."""

import json
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oms_events.codec import decode
from oms_gateway.doors import DOORS, Door
from oms_gateway.keys import Role
from oms_gateway.openapi import merge

from .conftest import House
from .test_intake import JSON, NDJSON

_SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.filter_too_much]


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)


_any_json = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), _nested, max_leaves=20)
_api = schemathesis.openapi.from_dict(merge({}))


def _documents(door: Door[Any]) -> st.SearchStrategy[Any]:
    """Documents of the door's published schema, and of none."""
    return _api[door.path]["POST"].as_strategy().map(lambda case: case.body) | _any_json


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
@pytest.mark.parametrize("form", ["single", "array", "lines"])
async def test_no_document_breaks_a_door(house: House, door: Door[Any], form: str) -> None:
    auth = house.auth(door.role)

    @settings(max_examples=25, deadline=None, suppress_health_check=_SLOW_IS_FINE, database=None)
    @given(st.lists(_documents(door), min_size=1, max_size=3))
    def collect(documents: list[Any]) -> None:
        bodies.append(documents)

    bodies: list[list[Any]] = []
    collect()
    for documents in bodies:
        if form == "single":
            path, headers, text = door.path, JSON, json.dumps(documents[0])
        elif form == "array":
            path, headers, text = f"{door.path}:batch", JSON, json.dumps(documents)
        else:
            path, headers, text = f"{door.path}:batch", NDJSON, "\n".join(json.dumps(one) for one in documents)
        answer = await house.client.post(path, content=text.encode(), headers=headers, auth=auth)
        assert answer.status_code in {202, 400, 413, 422}, (text, answer.text)
    for record in house.sink.records:
        decode(record)


async def test_no_bytes_break_a_door(house: House) -> None:
    auth, bodies = house.auth(Role.CHANNEL), list[bytes]()

    @settings(max_examples=60, deadline=None, database=None)
    @given(st.binary(max_size=200))
    def collect(body: bytes) -> None:
        bodies.append(body)

    collect()
    for body in bodies:
        for path, headers in (("/v1/orders", JSON), ("/v1/orders:batch", JSON), ("/v1/orders:batch", NDJSON)):
            answer = await house.client.post(path, content=body, headers=headers, auth=auth)
            assert answer.status_code in {400, 422}
