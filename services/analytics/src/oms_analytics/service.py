"""Table of contents of the analytics service. It publishes nothing: it says what became of what others said."""

from oms_analytics.adapters.gauges import WAITING, waiting
from oms_analytics.app.catalog import on_cost_set, on_product_defined, on_rate_card_set, on_sku_defined
from oms_analytics.app.facts import FACTS
from oms_analytics.app.handlers import note
from oms_analytics.app.working_out import keep_up
from oms_analytics.entrypoints.api import router
from oms_events.contracts.catalog import CostSet, ProductDefined, SkuDefined
from oms_events.contracts.settlement import RateCardSet
from oms_events.runtime.service import Service, gauge, on, step_by_step

service = Service(
    "analytics",
    consumes=[
        on(ProductDefined, on_product_defined, projection=True),
        on(SkuDefined, on_sku_defined, projection=True),
        on(CostSet, on_cost_set, projection=True),
        on(RateCardSet, on_rate_card_set, projection=True),
        # A set of facts may be told all of it again.
        *(on(event, note, projection=True) for event in FACTS),
    ],
    long_jobs=[step_by_step(1.0, keep_up)],
    gauges=[gauge(WAITING, waiting)],
    api=router,
)
