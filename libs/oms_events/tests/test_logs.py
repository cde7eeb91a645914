"""Log lines say what happened to which event, and never what an error's words quote."""

import json
import subprocess
import sys
import uuid
from datetime import UTC, datetime

from sqlalchemy.exc import IntegrityError

from oms_events.contracts.catalog import SkuDefined
from oms_events.contracts.orders import OrderCancelled
from oms_events.envelope import EventMeta, Received
from oms_events.registry import Event
from oms_events.runtime.logs import about, kind_of, places_of

SECRET = "Baker Street 221b"


def said_by(program: str) -> list[dict[str, str]]:
    """The log lines of a process that is configured as `orders`, then does what the program says."""
    prelude = (
        "import asyncio, logging, structlog\n"
        "from oms_events.runtime import logs\n"
        "logs.configure('orders', level='INFO', log_format='json')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", prelude + program], check=False, capture_output=True, text=True, timeout=30
    )
    assert SECRET not in done.stderr + done.stdout
    return [json.loads(line) for line in done.stderr.splitlines()]


def received(event: Event) -> Received[Event]:
    meta = EventMeta(str(uuid.UUID(int=7)), "/test", event.type, event.key(), datetime(2026, 3, 2, tzinfo=UTC), "7")
    return Received(meta, event)


class UniqueViolation(Exception):
    """As the driver calls it."""


def refused() -> IntegrityError:
    wrapped = Exception(f"Failing row contains {SECRET}")
    wrapped.__cause__ = UniqueViolation(SECRET)
    return IntegrityError("insert", {"city": SECRET}, wrapped)


def test_an_error_is_named_by_its_class_and_a_refusal_of_the_database_by_the_drivers() -> None:
    assert kind_of(ValueError(SECRET)) == "ValueError"
    assert kind_of(refused()) == "UniqueViolation"


def test_places_show_the_way_of_an_error_and_its_causes_without_their_words() -> None:
    try:
        try:
            raise refused()
        except IntegrityError as error:
            raise ExceptionGroup("several", [ValueError(SECRET)]) from error
    except ExceptionGroup as group:
        told = places_of(group)
    assert SECRET not in told
    assert "test_logs.py" in told
    kinds = [line for line in told.splitlines() if not line.startswith(" ")]
    assert kinds == ["UniqueViolation", "which led to:", "ExceptionGroup", "ValueError"]


def test_an_event_is_told_by_its_ids() -> None:
    cancelled = OrderCancelled(order_id=uuid.UUID(int=1), reason=SECRET)
    assert about(received(cancelled)) == {
        "event_type": "oms.orders.OrderCancelled.v1",
        "event_id": str(uuid.UUID(int=7)),
        "order_id": str(uuid.UUID(int=1)),
    }
    defined = SkuDefined(sku="MUG", product_code="M", title=SECRET)
    assert about(received(defined))["sku"] == "MUG"


def test_every_line_is_json_and_names_the_service() -> None:
    lines = said_by(
        "structlog.get_logger().warning('ours', order_id='o-1')\n"
        "logging.getLogger('aiokafka').warning('theirs %s', 5)\n"
        "logging.getLogger('aiokafka').info('too quiet')\n"
    )
    assert [(line["event"], line["service"], line["level"]) for line in lines] == [
        ("ours", "orders", "warning"),
        ("theirs 5", "orders", "warning"),
    ]
    assert lines[0]["order_id"] == "o-1"
    assert lines[1]["logger"] == "aiokafka"


def test_errors_lose_their_words_on_every_way_to_the_log() -> None:
    # Tracebacks quote the source, which must not hold it.
    raising = f"raise ValueError(bytes.fromhex('{SECRET.encode().hex()}').decode())"
    ours, theirs, forgotten, last = said_by(
        f"def fail():\n    {raising}\n"
        "try:\n    fail()\nexcept ValueError as error:\n"
        "    structlog.get_logger().error('ours', exc_info=error)\n"
        "    logging.getLogger('uvicorn.error').error('theirs', exc_info=error)\n"
        "async def later():\n    fail()\n"
        "async def main():\n    asyncio.create_task(later())\n    await asyncio.sleep(0.01)\n"
        "asyncio.run(main())\n"
        "fail()\n"
    )
    for line in (ours, theirs, forgotten, last):
        assert line["exception"].endswith("ValueError")
    assert forgotten["event"] == "Task exception was never retrieved"
    assert (last["event"], last["level"], last["error"]) == ("process ends", "critical", "ValueError")


def test_last_words_say_what_the_system_lacks() -> None:
    (taken,) = said_by("raise OSError('cannot listen on port 8083')")
    assert (taken["event"], taken["reason"]) == ("process ends", "cannot listen on port 8083")
    (missing,) = said_by(
        "from oms_events.runtime.kafka import TopicsMissing\nraise TopicsMissing('the broker lacks the topics a.v1')"
    )
    assert missing["reason"] == "the broker lacks the topics a.v1"
