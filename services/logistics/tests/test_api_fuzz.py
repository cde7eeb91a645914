"""Whatever is sent, the API never answers that it is at fault."""

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case

from oms_events.runtime.http import build_app
from oms_events.runtime.lifecycle import Runtime
from oms_events.runtime.settings import Settings
from oms_logistics.service import service

API = schemathesis.openapi.from_dict(build_app(Runtime(service, Settings())).openapi())


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=API.as_strategy())
async def test_no_request_breaks_the_service(scenario, case: Case):
    request = case.as_transport_kwargs(base_url="http://service.test")
    request.pop("cookies", None)
    answer = await scenario.client.request(**request)
    assert answer.status_code < 500, answer.text
