"""The README says what the service really consumes and publishes."""

import re
from pathlib import Path

from oms_orders.service import service

README = (Path(__file__).parents[1] / "README.md").read_text()


def documented(heading: str) -> set[tuple[str, str]]:
    section = README.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return set(re.findall(r"^\| (\w+) \| (oms\.[\w.-]+) \|$", section, re.MULTILINE))


def test_events_in() -> None:
    assert documented("Events in") == {(s.event.__name__, s.event.topic.name) for s in service.consumes}


def test_events_out() -> None:
    assert documented("Events out") == {(event.__name__, event.topic.name) for event in service.produces}
