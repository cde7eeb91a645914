"""Alerts: Prometheus reads them, they fire when they should, they ask for what exists, and each has its page."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import MONITORING, ROOT, Promtool
from .exposition import exported
from .promql import asked

RULES = MONITORING / "prometheus" / "rules.yml"
CASES = sorted((MONITORING / "prometheus" / "tests").glob("*.yml"))


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def test_prometheus_reads_rules_and_configuration(promtool: Promtool) -> None:
    assert f"{len(alerts())} rules found" in promtool("check", "rules", RULES)
    promtool("check", "config", RULES.with_name("prometheus.yml"))


@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_only_then(promtool: Promtool, cases: Path) -> None:
    promtool("test", "rules", cases)


def test_every_alert_is_seen_firing_and_seen_silent() -> None:
    fired: set[str] = set()
    silent: set[str] = set()
    for path in CASES:
        for case in yaml.safe_load(path.read_text())["tests"]:
            for check in case["alert_rule_test"]:
                (fired if check["exp_alerts"] else silent).add(check["alertname"])
    names = {alert["alert"] for alert in alerts()}
    assert fired == names
    assert silent == names


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_asks_for_what_the_code_exports_and_names_its_page(alert: dict[str, Any]) -> None:
    known = exported()
    needs = list(asked(alert["expr"], ("oms_", "up", "process_")))
    assert needs
    for need in needs:
        assert need.labels <= known[need.metric], need
    assert (ROOT / alert["annotations"]["runbook_url"]).is_file()
    assert alert["labels"]["severity"] in {"page", "ticket"}
