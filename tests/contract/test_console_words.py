"""The console's words: every code of the services has one in both languages, and no word is there for nothing."""

import inspect
import json
import re
from collections.abc import Collection, Iterator, Mapping
from importlib.resources import files
from typing import Any, get_args

import pytest
from tests.services import ROOT

from oms_console import codes, templates
from oms_console.entrypoints.app import PAGES
from oms_console.i18n import LANGUAGES, catalog
from oms_console.pages import order, profit
from oms_console.roles import Role
from oms_console.visit import THEMES
from oms_inventory.domain.stock import Reason as Movement
from oms_orders.app import commands, facts, handlers, intake
from oms_orders.domain.holds import HOLD_KINDS
from oms_orders.service import service as orders
from oms_settlement.domain import chart
from oms_settlement.domain.reconciliation import Reason as Difference
from oms_settlement.domain.statements.statement import COMPONENTS

SCHEMAS: Mapping[str, Any] = json.loads((ROOT / "contracts" / "openapi" / "oms.json").read_text("utf-8"))["components"][
    "schemas"
]


def codes_of(schema: str, field: str) -> Collection[str]:
    """What a field of the API may say."""
    said = SCHEMAS[schema]["properties"][field]
    found: list[str] = said.get("enum") or said["items"]["enum"]
    return found


def of_the_timeline() -> set[str]:
    """What an order's timeline tells: events heard, commands, and the decisions they led to."""
    kinds = {one.event.__name__ for one in orders.consumes if not one.projection}
    kinds |= {event.__name__ for event in orders.produces}
    sources = "".join(inspect.getsource(module) for module in (commands, handlers))
    return kinds | set(re.findall(r'book\.record\([^"]*"(\w+)"', sources))


SPOKEN: Mapping[str, Collection[str]] = {
    "state": codes_of("orders.OrderHead", "state"),
    "payment": codes_of("orders.OrderHead", "payment_state"),
    "fulfilment": codes_of("orders.OrderHead", "fulfilment_state"),
    "after_sales": codes_of("orders.OrderHead", "after_sales_state"),
    "hold": HOLD_KINDS,
    "hold_state": codes_of("orders.HoldView", "state"),
    "block": codes_of("orders.HoldView", "blocks"),
    "event": of_the_timeline(),
    "parcel": codes_of("logistics.ParcelView", "status"),
    "movement": get_args(Movement),
    "statement": codes_of("settlement.StatementView", "state"),
    "statement.state": codes_of("settlement.StatementView", "state"),
    "line": codes_of("settlement.StatementLineView", "state"),
    "expectation": codes_of("settlement.ExpectationView", "state"),
    "difference": codes_of("settlement.DifferenceView", "state"),
    "reason": list(Difference),
    "component": COMPONENTS | set(profit.COMPONENTS) | {"profit_minor"},
    "ledger": chart.NAMES,
    "format": codes_of("settlement.AccountDocument", "format"),
    "letter": codes_of("orders.DeadLetterView", "state"),
    "by": codes_of("analytics.ProfitView", "by"),
    "version": codes_of("analytics.ProfitView", "version"),
}
"""Codes of the services by the kind of word that stands for them."""
OWN: Mapping[str, Collection[str]] = {
    "role": list(Role),
    "theme": THEMES,
    "sort": codes.PROFIT_SORTS,
    "nav": [key for _, key in templates.NAVIGATION],
    "hold": order.BLOCKS,
}
"""Codes of the console itself."""


def _sources() -> Iterator[str]:
    for folder in ("", "drawing", "entrypoints", "pages", "templates"):
        for path in files("oms_console").joinpath(folder).iterdir():
            if path.name.endswith((".py", ".html")):
                yield path.read_text("utf-8")


SOURCES = "\n".join(_sources())
SAID = {
    *re.findall(r'"([\w-]+)"', SOURCES),
    *re.findall(r"status = (\d+)", SOURCES),
    # members of the timeline's details
    *re.findall(r'"(\w+)"', "".join(inspect.getsource(module) for module in (commands, facts, handlers, intake))),
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", SPOKEN)
def test_every_code_has_a_word(kind: str, language: str) -> None:
    assert {code for code in SPOKEN[kind] if f"{kind}.{code}" not in catalog(language)} == set()


@pytest.mark.parametrize(
    ("listed", "spoken"),
    [
        (codes.ORDER_STATES, SPOKEN["state"]),
        (codes.HOLD_CODES, HOLD_KINDS),
        (codes.HOLD_STATES, SPOKEN["hold_state"]),
        (codes.BLOCKS, SPOKEN["block"]),
        (codes.DIFFERENCE_STATES, SPOKEN["difference"]),
        (codes.STATEMENT_FORMATS, SPOKEN["format"]),
        (codes.PROFIT_BY, SPOKEN["by"]),
        (codes.PROFIT_VERSIONS, SPOKEN["version"]),
    ],
)
def test_what_the_console_lists_is_what_the_services_speak(listed: tuple[str, ...], spoken: Collection[str]) -> None:
    assert sorted(listed) == sorted(spoken)


def test_no_word_is_there_for_nothing() -> None:
    """A key is named as a whole, or put together of a kind and a code that somebody speaks."""
    assert {key for key in catalog("en") if not _is_asked_for(key)} == set()


def test_every_page_has_a_path_of_its_own() -> None:
    assert len({(page.method, page.path) for page in PAGES}) == len(PAGES)


def _is_asked_for(key: str) -> bool:
    whole = re.sub(r"\.(about|title|text|one)$", "", key)
    if f'"{key}"' in SOURCES or f'"{whole}"' in SOURCES:
        return True
    dots = [place for place, character in enumerate(whole) if character == "."]
    return any(_is_spoken(whole[:dot], whole[dot + 1 :]) for dot in dots)


def _is_spoken(kind: str, code: str) -> bool:
    if spoken := {*SPOKEN.get(kind, ()), *OWN.get(kind, ())}:
        return code in spoken
    put_together = any(form in SOURCES for form in (f'"{kind}"', f'"{kind}." ~', f'"{kind}.{{'))
    return put_together and code in SAID
