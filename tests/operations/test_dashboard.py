"""The dashboard: Grafana can load it, Prometheus understands its queries, and they ask for what the code exports."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import MONITORING, Promtool
from .exposition import exported
from .promql import asked

DASHBOARD: dict[str, Any] = json.loads((MONITORING / "grafana" / "oms-runtime.json").read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
ROWS = [
    "Flow",
    "Lag and age",
    "Outbox and relay",
    "Dead letters",
    "Latency by stage",
    "Batch size",
    "Retries",
    "Orders on their way",
    "Money",
    "Gateway",
    "HTTP",
    "Processes",
]
_WIDTH = 24


def queries() -> Iterator[tuple[str, str]]:
    """Title and PromQL of every query, with Grafana's variables filled in."""
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m").replace("$group", ".*")


def test_the_document_is_what_grafana_loads() -> None:
    assert DASHBOARD["schemaVersion"] >= 39
    assert DASHBOARD["uid"] == "oms-runtime"
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    assert [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"] == ROWS


def test_panels_do_not_overlap_and_say_what_they_show() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= _WIDTH
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    for panel in PANELS:
        assert panel["description"], panel["title"]
        assert panel["targets"], panel["title"]


def test_every_query_goes_to_the_chosen_prometheus() -> None:
    sources = [part["datasource"]["uid"] for panel in PANELS for part in (panel, *panel["targets"])]
    assert set(sources) == {"${datasource}"}


def test_prometheus_understands_every_query(promtool: Promtool, tmp_path: Path) -> None:
    rules = [{"record": f"panel:query:{number}", "expr": expr} for number, (_, expr) in enumerate(queries())]
    assert len(rules) >= len(PANELS)
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", path)


@pytest.mark.parametrize(("title", "expr"), list(queries()))
def test_a_query_asks_for_what_the_code_exports(title: str, expr: str) -> None:
    known = exported()
    needs = list(asked(expr, ("oms_", "up", "process_")))
    assert needs, title
    for need in needs:
        assert need.labels <= known[need.metric], need


def test_no_metric_is_left_out() -> None:
    """What the code exports and nobody shows is not worth its cost."""
    shown = {need.metric for _, expr in queries() for need in asked(expr, ("oms_",))}
    stems = {metric.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for metric in shown}
    exports = {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name in exported()}
    assert {name for name in exports if name.startswith("oms_")} <= stems
