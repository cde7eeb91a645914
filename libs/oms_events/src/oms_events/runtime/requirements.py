"""What a process needs to find when it starts: the tables of its own version, and its topics."""

import asyncio
import time
from pathlib import Path

import structlog

from oms_events.runtime import migrations
from oms_events.runtime.broker import Broker
from oms_events.runtime.kafka import TopicsMissing, require_topics
from oms_events.runtime.logs import kind_of
from oms_events.runtime.retry import is_transient
from oms_events.runtime.service import Service
from oms_events.runtime.settings import Settings

log = structlog.get_logger()

_LOOK_EVERY_S = 1.0
_ANSWER_S = 10.0


async def until_met(service: Service, settings: Settings, folder: Path, *, wait_s: float) -> bool:
    """Whether all is there, now or within the time given. What is missing is logged when it changes. Raises
    SettingRefused at once where no waiting helps."""
    broker = Broker.of(settings)
    give_up_at = time.monotonic() + wait_s
    said = None
    while (reason := await missing(service, settings, folder, broker)) is not None:
        if reason != said:
            log.warning("waiting", reason=reason)
            said = reason
        if time.monotonic() >= give_up_at:
            return False
        await asyncio.sleep(_LOOK_EVERY_S)
    return True


async def missing(service: Service, settings: Settings, folder: Path, broker: Broker) -> str | None:
    """What is not there yet, or None. Raises SettingRefused where the broker does not let us in."""
    try:
        async with asyncio.timeout(_ANSWER_S):
            behind = await migrations.behind(folder, settings.database_url.get_secret_value())
    except Exception as error:  # noqa: BLE001 - a database that is not made yet refuses in many ways
        return f"database: {kind_of(error)}"
    if behind is not None:
        return f"database: {behind}"
    try:
        async with asyncio.timeout(_ANSWER_S):
            await require_topics(broker, service.topic_names())
    except TopicsMissing as error:
        return str(error)
    except Exception as error:
        if not is_transient(error):
            raise
        return f"broker: {kind_of(error)}"
    return None
