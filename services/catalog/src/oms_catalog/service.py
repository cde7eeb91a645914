"""The catalog's table of contents. It consumes nothing: what it knows, it is told through its API."""

from oms_catalog.entrypoints.api import router
from oms_events.contracts.catalog import (
    BasePriceSet,
    CostSet,
    ListingMapped,
    ListingUnmapped,
    ProductDefined,
    SkuDefined,
)
from oms_events.runtime.service import Service

service = Service(
    "catalog",
    produces=[ProductDefined, SkuDefined, ListingMapped, ListingUnmapped, BasePriceSet, CostSet],
    api=router,
)
