"""Cursors lead back to where a page ended; what the API never wrote is refused before any database sees it."""

import base64
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from oms_events.contracts.shared import Instant, Words
from oms_events.runtime.http import BY_ID, BY_NAME, BY_SERIAL, Serial, read_cursor, write_cursor
from oms_events.runtime.problems import Problem

WHOLE = TypeAdapter(tuple[Words, UUID, Serial, Instant])
NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=64)
HALF_PAST = timezone(timedelta(hours=5, minutes=30))
TIMES = st.datetimes(datetime(1970, 1, 1), timezones=st.sampled_from([UTC, HALF_PAST]))  # noqa: DTZ001


@given(NAMES, st.uuids(), st.integers(0, 2**63 - 1), TIMES)
def test_a_cursor_is_read_as_it_was_written(name: str, id_: UUID, number: int, at: datetime) -> None:
    cursor = write_cursor(name, id_, number, at)
    assert read_cursor(cursor, WHOLE) == (name, id_, number, at)
    assert cursor.isascii()
    assert "=" not in cursor


def test_without_a_cursor_it_is_the_first_page() -> None:
    assert read_cursor(None, BY_SERIAL) is None


@pytest.mark.parametrize(
    ("position", "written"),
    [
        (BY_SERIAL, b"[-1]"),
        (BY_SERIAL, b"[9223372036854775808]"),
        (BY_SERIAL, b"[1.5]"),
        (BY_SERIAL, b"[true]"),
        (BY_SERIAL, b'["1"]'),
        (BY_SERIAL, b"[1, 2]"),
        (BY_SERIAL, b"[]"),
        (BY_SERIAL, b"1"),
        (BY_SERIAL, b"no JSON"),
        (BY_SERIAL, b"\xff"),
        (BY_ID, b'["x"]'),
        (BY_ID, b"[5]"),
        (BY_NAME, b'["\\u0000"]'),
        (BY_NAME, b'["\\ud800"]'),
        (BY_NAME, b"[null]"),
        (TypeAdapter(tuple[Instant]), b'["2026-03-01T00:00:00"]'),
        (TypeAdapter(tuple[Instant]), b'["9999-12-31T23:59:59-12:00"]'),
        (TypeAdapter(tuple[Instant]), b"[1]"),
    ],
)
def test_what_no_page_ended_at_is_refused(position: TypeAdapter[object], written: bytes) -> None:
    with pytest.raises(Problem, match="use the next_cursor of the page before") as refused:
        read_cursor(base64.urlsafe_b64encode(written).decode(), position)
    assert refused.value.details.status == 422


@pytest.mark.parametrize("cursor", ["", "!!", "A", "ü"])
def test_what_is_no_cursor_at_all_is_refused(cursor: str) -> None:
    with pytest.raises(Problem, match="use the next_cursor"):
        read_cursor(cursor, BY_SERIAL)
