"""The metrics that the code exports, with their labels."""

from collections.abc import Mapping
from types import ModuleType

from prometheus_client import Counter, Histogram
from prometheus_client.metrics import MetricWrapperBase
from tests.services import SERVICES

from oms_events.runtime import telemetry
from oms_gateway import metrics as gateway_metrics

SCRAPED = frozenset({"job", "instance", "service"})
"""Labels that the scrape adds to every series, see `prometheus.yml`."""
OF_EVERY_PROCESS = {
    "up": SCRAPED,
    "process_start_time_seconds": SCRAPED,
    "process_cpu_seconds_total": SCRAPED,
    "process_resident_memory_bytes": SCRAPED,
}


_OF_SERVICES = [sampled.gauge for service in SERVICES for sampled in service.gauges]


def exported() -> Mapping[str, frozenset[str]]:
    """Names as Prometheus sees them, and what each can be told apart by."""
    found = dict(OF_EVERY_PROCESS)
    for metric in (*_metrics(telemetry), *_metrics(gateway_metrics), *_OF_SERVICES):
        labels = SCRAPED | frozenset(metric._labelnames)
        if isinstance(metric, Counter):
            found[f"{metric._name}_total"] = labels
        elif isinstance(metric, Histogram):
            found |= {f"{metric._name}_bucket": labels | {"le"}}
            found |= {f"{metric._name}_{part}": labels for part in ("sum", "count")}
        else:
            found[metric._name] = labels
    return found


def _metrics(module: ModuleType) -> list[MetricWrapperBase]:
    return [value for value in vars(module).values() if isinstance(value, MetricWrapperBase)]
