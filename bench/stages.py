"""What each stage of handling an event costs, as the services count it themselves."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import httpx
from prometheus_client.parser import text_string_to_metric_families

from bench import results

_CPU = "oms_stage_cpu_seconds"
_RECORDS = "oms_consumer_records"


@dataclass(slots=True)
class Stages:
    """Counters of all services so far."""

    cpu: Counter[tuple[str, str]] = field(default_factory=Counter)
    """CPU seconds by consumer group and stage."""
    events: Counter[str] = field(default_factory=Counter)
    """Events applied, by consumer group."""

    @classmethod
    async def read(cls, urls: Iterable[str]) -> "Stages":
        """From the metrics of the processes at these base URLs."""
        stages = cls()
        async with httpx.AsyncClient(timeout=10, trust_env=False) as http:
            for url in urls:
                stages._count((await http.get(f"{url}/metrics")).raise_for_status().text)
        return stages

    def _count(self, text: str) -> None:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == f"{_CPU}_total":
                    self.cpu[sample.labels["group"], sample.labels["stage"]] += sample.value  # type: ignore[assignment]
                elif sample.name == f"{_RECORDS}_total" and sample.labels["outcome"] == "applied":
                    self.events[sample.labels["group"]] += int(sample.value)

    def since(self, before: "Stages") -> results.Results:
        """Microseconds of CPU per event applied, over all and by consumer group. Empty where services do not count."""
        cpu, events = self.cpu - before.cpu, self.events - before.events
        if not cpu or not events:
            return {}
        overall: Counter[str] = Counter()
        by_group: dict[str, dict[str, float]] = {}
        for (group, stage), seconds in sorted(cpu.items()):
            overall[stage] += seconds
            if events[group]:
                by_group.setdefault(group, {})[stage] = round(1e6 * seconds / events[group], 1)
        total = events.total()
        return {
            "stage_cpu_us_per_event": {stage: round(1e6 * seconds / total, 1) for stage, seconds in overall.items()},
            "stage_cpu_us_per_event_by_group": by_group,
            "stage_events": total,
        }
