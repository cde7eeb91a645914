"""What of analytics is counted for those who watch."""

from oms_analytics.adapters.gauges import WAITING
from oms_events.testing.scenario import Scenario

from .stories import Story, cost


def shown() -> dict[str, float]:
    return {sample.labels["what"]: sample.value for metric in WAITING.collect() for sample in metric.samples}


async def test_what_waits_is_counted_until_it_is_worked_out(scenario: Scenario) -> None:
    await scenario.given(Story().placed(), Story().placed(), cost("MUG", 400))
    await scenario.sample_gauges()
    assert shown() == {"orders": 2, "prices": 1}
    await scenario.run_jobs()
    await scenario.sample_gauges()
    assert shown() == {"orders": 0, "prices": 0}
