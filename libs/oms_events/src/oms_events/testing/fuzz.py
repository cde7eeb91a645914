"""Whatever an API is sent, it never answers that it is at fault itself."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Err
from schemathesis.schemas import APIOperation

from oms_events.runtime.http import build_app
from oms_events.testing.scenario import Scenario


async def fuzz(scenario: Scenario, *, known: Mapping[str, object], examples: int = 8) -> Counter[int]:
    """Send requests to every operation of a service: some that fit its published schema, some that do not.

    `known` names path parameters and values that exist; every second request uses them, or most would end at 404.
    Answers how often which status came back. Raises AssertionError, naming the request, for one of 500 or above.
    """
    api = schemathesis.openapi.from_dict(build_app(scenario.runtime).openapi())
    answers: Counter[int] = Counter()
    for result in api.get_all_operations():
        if isinstance(result, Err):
            raise AssertionError(f"the published schema is wrong: {result.err()}")
        for number, case in enumerate(_cases(result.ok(), examples)):
            if number % 2:
                case.path_parameters.update({name: known[name] for name in case.path_parameters if name in known})
            answer = await _send(case, scenario.client)
            if answer.status_code >= 500:
                raise AssertionError(f"{answer.status_code} to {case.as_curl_command()}: {answer.text}")
            answers[answer.status_code] += 1
    return answers


async def _send(case: Case[Any], client: httpx.AsyncClient) -> httpx.Response:
    request = case.as_transport_kwargs(base_url=str(client.base_url))
    request.pop("cookies")
    if isinstance(request.get("data"), bytes):
        request["content"] = request.pop("data")
    return await client.request(**request)


def _cases(operation: APIOperation[Any, Any, Any, Any], examples: int) -> list[Case[Any]]:
    """Fitting and unfitting requests, so many of each."""
    bounds = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    cases: list[Case[Any]] = []

    def collect(case: Case[Any]) -> None:
        cases.append(case)

    for mode in GenerationMode:
        with suppress(Unsatisfiable):  # a request without parameters cannot be wrong
            bounds(given(operation.as_strategy(generation_mode=mode))(collect))()
    return cases
