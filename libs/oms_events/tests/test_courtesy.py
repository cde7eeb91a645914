"""How long a process that steps back rests after a batch."""

from pathlib import Path

import pytest

from oms_events.runtime.courtesy import LONGEST_S, TIMES, Courtesy


@pytest.fixture
def schedstat(tmp_path: Path) -> Path:
    path = tmp_path / "schedstat"
    path.write_text("5000000000 1000000000 7\n")
    return path


def test_it_rests_as_long_as_it_waited_for_a_processor_some_times_over(schedstat: Path) -> None:
    courtesy = Courtesy(schedstat)
    schedstat.write_text("9000000000 1200000000 9\n")
    assert courtesy.rest_s() == pytest.approx(TIMES * 0.2)


def test_what_it_waited_is_counted_once(schedstat: Path) -> None:
    courtesy = Courtesy(schedstat)
    schedstat.write_text("9000000000 1200000000 9\n")
    courtesy.rest_s()
    assert courtesy.rest_s() == 0


def test_a_rest_has_an_end(schedstat: Path) -> None:
    courtesy = Courtesy(schedstat)
    schedstat.write_text("9000000000 90000000000 9\n")
    assert courtesy.rest_s() == LONGEST_S


def test_a_kernel_that_does_not_tell_means_no_rest(tmp_path: Path) -> None:
    assert Courtesy(tmp_path / "none").rest_s() == 0
