"""Templates, and what all of them may use."""

import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment

from oms_console.gateway import Gap
from oms_console.i18n import LANGUAGES
from oms_console.roles import Role
from oms_console.visit import THEMES, TOKEN_FIELD, Visit
from oms_events.templates import environment

NAVIGATION = (
    ("/", "overview"),
    ("/orders", "orders"),
    ("/holds", "holds"),
    ("/stock", "stock"),
    ("/settlement", "settlement"),
    ("/profit", "profit"),
    ("/dead-letters", "dead_letters"),
)
ZONES = (
    "UTC",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Asia/Singapore",
    "Asia/Kolkata",
    "Europe/London",
    "Europe/Berlin",
    "America/New_York",
    "America/Chicago",
    "America/Los_Angeles",
    "America/Sao_Paulo",
    "Australia/Sydney",
)
"""Zones offered; any other of the IANA database can be the default."""


@cache
def static_address(name: str) -> str:
    """The address of an asset, which changes with its content, so that browsers may keep it for ever."""
    content = files("oms_console").joinpath("static", name).read_bytes()
    return f"/static/{name}?v={hashlib.sha256(content).hexdigest()[:12]}"


@cache
def _templates() -> Environment:
    """The templates, all compiled before the first person waits for one."""
    templates = environment("oms_console")
    templates.globals.update(
        static=static_address,
        NAVIGATION=NAVIGATION,
        ZONES=ZONES,
        Role=Role,
        LANGUAGES=LANGUAGES,
        THEMES=THEMES,
        TOKEN_FIELD=TOKEN_FIELD,
    )
    templates.tests["gap"] = lambda value: isinstance(value, Gap)
    for name in templates.list_templates():
        templates.get_template(name)
    return templates


class Templates:
    """Fills templates for a visit."""

    def __init__(self) -> None:
        self._templates = _templates()

    def render(self, template: str, *, visit: Visit, **context: Any) -> str:  # noqa: ANN401 - for the template
        """The page as text."""
        tongue = visit.tongue
        return self._templates.get_template(template).render(
            visit=visit,
            t=tongue.say,
            word=tongue.word,
            number=tongue.number,
            money=tongue.money,
            percent=tongue.percent,
            time=tongue.time,
            short_time=tongue.short_time,
            span=tongue.span,
            **context,
        )
