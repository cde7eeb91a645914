"""What a service's readme says of its events is what the service declares."""

import re
from collections.abc import Sequence

import pytest
from tests.services import DECLARED, ROOT

from oms_events.registry import Event


def table(readme: str, title: str) -> list[tuple[str, str]]:
    """Events and topics of the table under a title."""
    section = readme.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| *(\w+) *\| *(\S+) *\|$", section, flags=re.MULTILINE)
    assert rows[:1] == [("event", "topic")], f"no table of events under '{title}'"
    return rows[1:]


def rows_of(events: Sequence[type[Event]]) -> list[tuple[str, str]]:
    return [(event.__name__, event.topic.name) for event in events]


@pytest.mark.parametrize("service", DECLARED)
def test_the_readme_lists_the_events_in_and_out(service: str) -> None:
    readme = (ROOT / "services" / service / "README.md").read_text("utf-8")
    declared = DECLARED[service]
    assert sorted(table(readme, "Events in")) == sorted(rows_of(declared.consumes))
    assert sorted(table(readme, "Events out")) == sorted(rows_of(declared.produces))


def test_every_service_is_looked_at() -> None:
    assert {path.parent.name for path in (ROOT / "services").glob("*/pyproject.toml")} == DECLARED.keys()
