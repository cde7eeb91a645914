"""A seed stands for one schedule, and every kind gets its turn."""

import pytest

from .faults import KINDS
from .schedule import Planned, draw


def plain(planned: list[Planned]) -> list[tuple[str, str, float, int]]:
    return [(fault.kind.name, fault.target, fault.after_s, fault.seed) for fault in planned]


def test_the_same_seed_draws_the_same_faults() -> None:
    assert plain(draw(7, 40, KINDS)) == plain(draw(7, 40, KINDS))
    assert plain(draw(7, 40, KINDS)) != plain(draw(8, 40, KINDS))


def test_every_kind_comes_before_one_comes_again() -> None:
    kinds = [fault.kind.name for fault in draw(3, len(KINDS), KINDS)]
    assert sorted(kinds) == sorted(kind.name for kind in KINDS)


def test_what_changes_the_system_for_good_comes_once() -> None:
    kinds = [fault.kind.name for fault in draw(3, 3 * len(KINDS), KINDS)]
    for kind in KINDS:
        assert kinds.count(kind.name) == 1 if kind.once else kinds.count(kind.name) > 1


def test_every_target_is_one_that_the_kind_may_strike() -> None:
    assert all(fault.target in fault.kind.targets for fault in draw(5, 100, KINDS))


def test_kinds_that_come_once_cannot_fill_a_longer_schedule() -> None:
    with pytest.raises(ValueError, match="only once"):
        draw(1, 10, [kind for kind in KINDS if kind.once])
