"""Metrics of the gateway, all of them."""

from prometheus_client import Counter, Histogram

ITEMS = Counter("oms_gateway_items_total", "Documents at the doors", ["door", "outcome"])
REFUSED = Counter("oms_gateway_refused_total", "Requests that a door turned away as a whole", ["door", "status"])
APPEND_SECONDS = Histogram(
    "oms_gateway_append_seconds",
    "From the wish to append until the broker has it",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
PROXIED = Counter("oms_gateway_proxied_total", "Requests passed on", ["service", "status"])
