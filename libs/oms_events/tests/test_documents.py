"""Documents in rows, which versions of a service before and after a deployment share."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec
import pytest
from pydantic import TypeAdapter

from oms_events.contracts.shared import Destination
from oms_events.runtime.documents import to_document


class Cell(NamedTuple):
    node: str
    day: date


ID = UUID("01932b6e-0c00-7000-8000-000000000000")
MOMENT = datetime(2026, 11, 28, 4, 0, 0, 123456, UTC)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"id": ID, "at": MOMENT, "none": None, "yes": True, "share": 0.1}, id="plain members"),
        pytest.param(MOMENT.replace(microsecond=0), id="a whole second"),
        pytest.param(MOMENT.astimezone(timezone(timedelta(hours=8))), id="a time elsewhere"),
        pytest.param((Cell("GB-LON", date(2026, 11, 28)),), id="named tuples"),
        pytest.param(Decimal("1.50"), id="a decimal"),
        pytest.param(Destination(country="CN", city='上海 "浦东" \\', receiver_token="t"), id="a part of a contract"),
    ],
)
def test_a_document_is_what_pydantic_writes_and_reads(value: object) -> None:
    kind = TypeAdapter[object](type(value))
    assert to_document(value) == kind.dump_json(value).decode()
    assert msgspec.json.decode(to_document(value), type=type(value)) == kind.validate_json(to_document(value))
