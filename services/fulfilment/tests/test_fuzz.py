"""Whatever the API is sent, it never fails on its own account."""

import json
from contextlib import suppress
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from oms_events.runtime.http import build_app
from oms_events.testing.scenario import Scenario

from .stories import open_nodes, plan, stock

_BOUNDS = settings(
    max_examples=25,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def _cases(operation: Any) -> list[Any]:
    cases: list[Any] = []

    def collect(case: Any) -> None:
        cases.append(case)

    for mode in schemathesis.GenerationMode:
        strategy = operation.as_strategy(generation_mode=mode)
        with suppress(Unsatisfiable):  # a request without parameters cannot be wrong
            _BOUNDS(given(strategy)(collect))()
    return cases


async def test_no_request_makes_the_service_fail(scenario: Scenario) -> None:
    await open_nodes(scenario)
    await scenario.given(stock("A", GB_LON=5))
    await plan(scenario, A=1)
    api = schemathesis.openapi.from_dict(build_app(scenario.runtime).openapi())
    answers: set[int] = set()
    for found in api.get_all_operations():
        operation = found.ok()
        for case in _cases(operation):
            body = case.body if isinstance(case.body, dict | list | str | int) else None
            response = await scenario.client.request(
                case.method,
                case.formatted_path,
                params={name: str(value) for name, value in (case.query or {}).items()},
                content=None if body is None else json.dumps(body).encode(),
                headers={"content-type": "application/json"},
            )
            assert response.status_code < 500, (case.method, case.formatted_path, case.query, body, response.text)
            answers.add(response.status_code)
    assert {200, 404, 422} <= answers
