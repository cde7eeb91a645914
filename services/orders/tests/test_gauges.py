"""What of orders is counted for those who watch."""

from prometheus_client import REGISTRY

from oms_events.contracts.orders import HoldOpened, OrderPlaced
from oms_events.testing.scenario import Scenario, only
from oms_orders.adapters.gauges import OPEN_HOLDS

from . import examples


def shown() -> dict[str, float]:
    return {sample.labels["code"]: sample.value for metric in OPEN_HOLDS.collect() for sample in metric.samples}


async def test_open_holds_are_counted_by_code(scenario: Scenario) -> None:
    await scenario.sample_gauges()
    assert shown() == {}
    await scenario.given(examples.mapped("1"))
    await scenario.when(examples.told("A-1"), examples.told("A-2"))
    await scenario.sample_gauges()
    assert shown() == {"LISTING_UNMAPPED": 2}

    await scenario.when(examples.mapped("2"))
    await scenario.run_jobs()
    await scenario.sample_gauges()
    assert shown() == {}, "a code that nobody is held for any more is not told for ever"


async def test_committed_events_are_counted_by_type(scenario: Scenario) -> None:
    def emitted(type_: str) -> float:
        return REGISTRY.get_sample_value("oms_emitted_total", {"type": type_}) or 0.0

    before = emitted(OrderPlaced.type), emitted(HoldOpened.type)
    await scenario.given(examples.mapped("1"), examples.mapped("2"))
    events = await scenario.when(examples.told("A-1"), examples.told("A-2"))
    assert len(only(events, OrderPlaced)) == 2
    assert (emitted(OrderPlaced.type), emitted(HoldOpened.type)) == (before[0] + 2, before[1])
