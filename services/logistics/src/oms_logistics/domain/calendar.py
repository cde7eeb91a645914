"""When a carrier collects and delivers: cut-off, working days, transit days. From that follows the promise."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Promise:
    """`lead_days` counts working days from the day of the request to the delivery."""

    collected_on: date
    promised_at: datetime
    lead_days: int


@dataclass(frozen=True, slots=True)
class Calendar:
    """A service's days, in its own time zone. `weekdays` are ISO numbers, Monday is 1, at least one."""

    timezone: ZoneInfo
    cut_off: time
    deliver_by: time
    weekdays: frozenset[int]
    closed: frozenset[date] = frozenset()

    def works_on(self, day: date) -> bool:
        return day.isoweekday() in self.weekdays and day not in self.closed

    def on_or_after(self, day: date) -> date:
        """The first working day from `day` on."""
        while not self.works_on(day):
            day += _DAY
        return day

    def promise(self, now: datetime, transit_days: int) -> Promise:
        """What can be promised for a request made now. One made on a day off counts as made the next working day."""
        local = now.astimezone(self.timezone)
        today = local.date()
        opening = self.on_or_after(today)
        missed = opening == today and local.time() > self.cut_off
        collected_on = self.on_or_after(today + _DAY) if missed else opening
        day = collected_on
        for _ in range(transit_days):
            day = self.on_or_after(day + _DAY)
        promised_at = datetime.combine(day, self.deliver_by, tzinfo=self.timezone).astimezone(UTC)
        return Promise(collected_on, promised_at, transit_days + missed)
