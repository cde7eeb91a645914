"""An order that cannot be routed waits: for how long, and when to say so."""

from dataclasses import dataclass
from datetime import timedelta

from oms_fulfilment.domain.demand import Demand

_FIRST_S, _SECOND_S, _LONGEST_S = 1, 5, 300


@dataclass(frozen=True, slots=True)
class Wait:
    """The demand that waits, until it is tried again; `tell` when the failure is news."""

    demand: Demand
    lasts: timedelta
    tell: bool


def postpone(demand: Demand, reason: str, lacking: tuple[str, ...]) -> Wait:
    """One more try came to nothing.

    The first failure is kept quiet: stock news may just be slower than the order, and a cold start must not flood
    people with holds. After that every new reason is told once.
    """
    failures = demand.failures + 1
    tell = failures > 1 and reason != demand.told
    told = reason if tell else demand.told
    waiting = demand._replace(failures=failures, failure=reason, told=told, lacking=tuple(sorted(lacking)))
    return Wait(waiting, _backoff(failures), tell)


def refused(demand: Demand) -> Demand:
    """Inventory could not give what a plan asked for."""
    return demand._replace(failures=demand.failures + 1)


def tried_again(demand: Demand) -> Demand:
    """Time has passed: nodes that inventory refused may have stock again, those that warehouses refused stay out."""
    kept = tuple(exclusion for exclusion in demand.excluded if exclusion.by == "warehouse")
    return demand._replace(excluded=kept) if kept != demand.excluded else demand


def wanted_anew(demand: Demand) -> Demand:
    """A warehouse gave units back: a new search, with a patience of its own."""
    return demand._replace(failures=0) if demand.failures else demand


def _backoff(failures: int) -> timedelta:
    if failures == 1:
        return timedelta(seconds=_FIRST_S)
    return timedelta(seconds=min(_LONGEST_S, _SECOND_S * 2 ** min(failures - 2, 10)))
