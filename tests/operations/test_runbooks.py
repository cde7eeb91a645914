"""Runbooks: every page is found from the index and from its alerts, and its commands are ones that exist."""

import argparse
import asyncio
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from tests.services import SERVICES

from oms_events.runtime import cli, relay
from oms_events.runtime.service import Service
from oms_events.schema import cli as schema_cli
from oms_gateway.entrypoints import cli as gateway_cli
from oms_local import cli as local_cli

from .conftest import MONITORING, ROOT

FOLDER = ROOT / "docs" / "runbooks"
PAGES = sorted(FOLDER.glob("*.md"))
BY_NAME = {service.name: service for service in SERVICES}
PARSERS: Mapping[str, argparse.ArgumentParser] = {
    **{f"oms-{name}": cli._parser(service) for name, service in BY_NAME.items()},
    "oms-gateway": gateway_cli._parser(),
    "oms-events": schema_cli._parser(),
    "oms-local": local_cli._parser(),
}
_BLOCK = re.compile(r"^ *```(?P<kind>\w+)(?: (?P<of>\w+))?\n(?P<body>.*?)^ *```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(oms-[a-z]+ [^`]+)`")
_LINK = re.compile(r"\]\((?!http)([^)#]+)")
_PLACES = {"ID": "1"}


def blocks(page: Path, kind: str) -> Iterator[tuple[str, str]]:
    """What a page's code blocks of a kind are about, and what they say."""
    for found in _BLOCK.finditer(page.read_text()):
        if found["kind"] == kind:
            yield found["of"] or "", found["body"]


def commands(page: Path) -> Iterator[list[str]]:
    """Every call of one of our scripts, word by word."""
    lines = [line for _, body in blocks(page, "sh") for line in body.replace("\\\n", " ").splitlines()]
    for line in [*lines, *_INLINE.findall(page.read_text())]:
        for part in line.split(" | "):
            words = shlex.split(part.split(" #")[0])
            while words and "=" in words[0]:
                words.pop(0)
            if words and words[0] in PARSERS and "..." not in words:
                yield [_PLACES.get(word, word) for word in words]


def all_commands() -> list[list[str]]:
    return [command for page in PAGES for command in commands(page)]


def test_commands_are_found_at_all() -> None:
    named = {(command[0], command[1]) for command in all_commands()}
    assert {("oms-orders", "offsets"), ("oms-orders", "rebuild"), ("oms-orders", "dead-letters")} <= named


def understood(parser: argparse.ArgumentParser, words: list[str]) -> bool:
    """Whether a script takes these words; asking for its help is fine too."""
    try:
        parser.parse_args(words)
    except SystemExit as end:
        return end.code == 0
    return True


@pytest.mark.parametrize("command", all_commands(), ids=" ".join)
def test_a_command_is_one_that_exists(command: list[str]) -> None:
    script, *words = command
    assert understood(PARSERS[script], words)


@pytest.mark.parametrize("runbook", PAGES, ids=lambda runbook: runbook.stem)
async def test_sql_runs_on_the_databases_it_is_for(
    runbook: Path, migrated_database: Callable[[Service, Path], str]
) -> None:
    for of, body in blocks(runbook, "sql"):
        service = BY_NAME["orders" if of == "any" else of]
        migrations = ROOT / "services" / service.name / "migrations"
        # In a thread: Alembic runs an event loop of its own.
        engine = create_async_engine(await asyncio.to_thread(migrated_database, service, migrations))
        async with engine.connect() as connection:
            for statement in filter(str.strip, body.split(";")):
                await connection.execute(text(statement))
        await engine.dispose()


def test_the_relays_lock_is_the_one_to_look_for() -> None:
    assert f"objid = {relay._LOCK_ID}" in (FOLDER / "outbox-growing.md").read_text()


@pytest.mark.parametrize("runbook", PAGES, ids=lambda runbook: runbook.stem)
def test_links_lead_somewhere(runbook: Path) -> None:
    links = _LINK.findall(runbook.read_text())
    assert [link for link in links if not (runbook.parent / link).exists()] == []


def test_the_index_leads_to_every_page_and_from_every_alert_to_its_own() -> None:
    rows = re.findall(r"^\|(.+)\|.*\]\(([\w-]+\.md)\) \|$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert {page for _, page in rows} == {path.name for path in PAGES} - {"README.md"}
    index = {alert: page for alerts, page in rows for alert in re.findall(r"\bOms\w+", alerts)}
    rules = yaml.safe_load((MONITORING / "prometheus" / "rules.yml").read_text())
    named = {
        rule["alert"]: Path(rule["annotations"]["runbook_url"]).name
        for group in rules["groups"]
        for rule in group["rules"]
    }
    assert index == named
    for alert, page in named.items():
        assert alert in (FOLDER / page).read_text(), page
