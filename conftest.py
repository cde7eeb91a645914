"""Fixtures for every test in the repository; broker and database come from the plugin that oms_local brings."""

import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import settings

pytest_plugins = ["oms_events.testing.fixtures"]

# A busy machine is no failure of a property.
settings.register_profile("oms", deadline=None, print_blob=True)
settings.load_profile("oms")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever asks for the platform, by whatever fixture, needs a real PostgreSQL or Kafka."""
    for item in items:
        if "platform" in getattr(item, "fixturenames", ()):
            item.add_marker("integration")


@pytest.fixture(autouse=True)
def _logs_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test that sets up logs, as every command does, sets them up for itself alone: they go to a stream that is
    closed at its end, and the tests behind it would fail at their first word."""
    asked: list[object] = []

    def configure(**options: Any) -> None:  # noqa: ANN401 - structlog's own
        asked.append(options)
        set_up(**options | {"cache_logger_on_first_use": False})

    set_up = structlog.configure
    monkeypatch.setattr(structlog, "configure", configure)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    yield
    if asked:
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
        for handler in [h for h in logging.root.handlers if type(h) is logging.StreamHandler]:
            logging.root.removeHandler(handler)
