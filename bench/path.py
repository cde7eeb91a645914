"""The whole path at full speed: from the first POST to the last order at the warehouse's door."""

from bench import load, results
from bench.bed import BATCH, SKUS, Bed
from bench.stages import Stages
from oms_events.contracts.fulfilment import ShipmentReleased


async def whole_path(bed: Bed, orders: int) -> results.Results:
    """Orders a second, and what they cost."""
    sent = load.synthetic("whole", orders, SKUS, batch=BATCH)
    stages, meter = await Stages.read(bed.metrics_urls), bed.meter()
    came, seconds = await bed.timed(sent, ShipmentReleased)
    cost = meter.per_order(came)
    return {
        "whole_path_orders_per_s": round(came / seconds, 1),
        "whole_path_orders": came,
        **{f"whole_path_{name}": value for name, value in cost.items()},
        **(await Stages.read(bed.metrics_urls)).since(stages),
    }
