"""One campaign: a system, a load, one fault after the other, and at the end the audit."""

import asyncio
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from signal import SIGTERM

from oms_events.runtime import crash_points
from oms_local.run_folder import throw_away_folder
from oms_sample.book import Book
from oms_sample.cli import SLICE
from oms_sample.client import Doors, Refused, Unavailable
from oms_sample.endpoints import Endpoints
from oms_sample.play import Settings, Stage, prepare

from . import auditor, invariants, schedule
from .faults import KINDS, Kind, NotStruck, fill_disk
from .invariants import Violation
from .load import Portions
from .recovery import NotRecovered, Promised, until_quiet, until_recovered
from .rig import EVERY_SERVICE, WITH_DATABASE, Rig, running_rig

Report = Callable[[str], None]

ROOT = Path(__file__).parents[2]
PATIENCE_S = 300.0
"""How long the players put up with a gateway that does not answer: longer than any fault may last."""
BATCH = 4
"""Entries of the book that go out together: small, so that a fault meets orders at every stage of their way."""
RATE = 6.0
"""Orders a second while a portion lasts."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to play. The seed decides the faults, their targets and their order; the moments are real time's."""

    seed: int
    faults: int = 30
    orders: int = 1_500
    kinds: Sequence[Kind] = KINDS
    logs: Path | None = None
    """Where the logs of all processes are kept; they are thrown away otherwise."""


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault as it went. Times are seconds: since the begin of the campaign, and until all was as before."""

    kind: str
    target: str
    at: float
    lasted_s: float
    recovery_s: float


@dataclass(slots=True)
class Outcome:
    """What came of a campaign. `manual_steps` counts what an operator had to do beyond ending the fault itself."""

    seed: int
    orders_played: int = 0
    faults: list[Struck] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    manual_steps: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    """Services that ended by themselves of an error: no fault is a reason for that."""
    failures: list[str] = field(default_factory=list)
    """Why the campaign itself did not do what was planned."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Kinds that could not be tried on this machine, and why."""
    orders_by_state: Mapping[str, int] = field(default_factory=dict)
    events: int = 0
    duration_s: float = 0.0
    stalled: bool = False

    @property
    def sound(self) -> bool:
        return not (self.violations or self.manual_steps or self.crashes or self.failures or self.stalled)

    def count(self, harm: str) -> int:
        return sum(violation.harm == harm for violation in self.violations)

    def document(self) -> dict[str, object]:
        """For a file."""
        return {
            "seed": self.seed,
            "sound": self.sound,
            "orders_played": self.orders_played,
            "events": self.events,
            "faults": [asdict(fault) for fault in self.faults],
            "faults_by_kind": dict(sorted(Counter(fault.kind for fault in self.faults).items())),
            "kinds_left_out": self.left_out,
            "lost": self.count("lost"),
            "doubled": self.count("doubled"),
            "oversold": self.count("oversold"),
            "stuck": self.count("stuck") + self.stalled,
            "unsound": self.count("unsound"),
            "manual_steps": len(self.manual_steps),
            "manual_steps_taken": self.manual_steps,
            "crashes": self.crashes,
            "failures": self.failures,
            "violations": [str(violation) for violation in self.violations],
            "orders_by_state": self.orders_by_state,
            "recovery_s_max": max((fault.recovery_s for fault in self.faults), default=0.0),
            "duration_s": self.duration_s,
        }


async def run(plan: Plan, *, cache: Path = ROOT / ".cache", report: Report = print) -> Outcome:
    """Play a plan on a system of its own. Raises LaunchError, and what the players raise when the doors stay shut."""
    kinds, left_out = _possible(plan.kinds)
    planned = schedule.draw(plan.seed, plan.faults, kinds)
    report(f"seed {plan.seed}: {plan.faults} faults, {plan.orders:,} orders")
    for kind, why in left_out.items():
        report(f"NOT TRIED: {kind}: {why}")
    load = Portions(RATE, plan.orders / sum(fault.kind.portions for fault in planned))
    disk = any(fault.kind.inject is fill_disk for fault in planned)
    began = time.monotonic()
    crashes: list[str] = []

    def listen(line: str) -> None:
        if _is_crash(line):
            crashes.append(line)
        report(line)

    with throw_away_folder() as folder:
        try:
            async with running_rig(folder.path, cache, listen, load, small=disk) as rig:
                outcome = await _Campaign(plan, rig, report).play(planned)
        finally:
            if plan.logs is not None:
                shutil.copytree(folder.logs, plan.logs, dirs_exist_ok=True)
    outcome.crashes, outcome.left_out = crashes, left_out
    outcome.duration_s = round(time.monotonic() - began, 1)
    return outcome


def _possible(kinds: Sequence[Kind]) -> tuple[list[Kind], dict[str, str]]:
    """The kinds that can be injected on this machine, and why the others cannot."""
    left_out = {kind.name: why for kind in kinds if (why := kind.obstacle()) is not None}
    return [kind for kind in kinds if kind.name not in left_out], left_out


def _is_crash(line: str) -> bool:
    """Whether the launcher says that a service ended of an error. A code of 0 is a stop, 137 a crash point's."""
    said = re.match(r"(\w+) ended with code (\d+)", line)
    return said is not None and said[1] in EVERY_SERVICE and int(said[2]) not in {0, crash_points.EXIT_CODE}


class _Campaign:
    def __init__(self, plan: Plan, rig: Rig, report: Report) -> None:
        self._plan = plan
        self._rig = rig
        self._report = report
        self._outcome = Outcome(plan.seed)
        self._promised: Promised = auditor.promised_inputs(ROOT / "services", WITH_DATABASE)
        self._began = time.monotonic()

    async def play(self, planned: Sequence[schedule.Planned]) -> Outcome:
        """Load and faults side by side, then the audit."""
        async with Doors(Endpoints.of(self._rig.system), PATIENCE_S) as doors:
            settings = Settings(seed=self._plan.seed, batch=BATCH)
            stage = await prepare(doors, Book(SLICE, self._plan.orders), settings, self._report, self._rig.load)
            try:
                await self._side_by_side(stage, planned)
            except* (Refused, Unavailable) as group:
                self._outcome.failures += [f"the players gave up: {one}" for one in group.exceptions]
        await self._audit(stage)
        return self._outcome

    async def _side_by_side(self, stage: Stage, planned: Sequence[schedule.Planned]) -> None:
        async with asyncio.TaskGroup() as group:
            playing = group.create_task(stage.play())
            for number, fault in enumerate(planned, 1):
                self._rig.load.give_one()
                await asyncio.sleep(fault.after_s)
                await self._strike(number, fault)
            self._rig.load.give_all()
            self._outcome.stalled = (await playing).stalled

    async def _strike(self, number: int, fault: schedule.Planned) -> None:
        at = time.monotonic()
        self._report(f"{number:>3} {fault.kind.name}: {fault.target}")
        try:
            await fault.kind.inject(self._rig, fault.target, Random(fault.seed))
        except (NotStruck, TimeoutError) as failure:
            self._outcome.failures.append(f"{fault.kind.name} of {fault.target} did not strike: {failure!r}")
        ended = time.monotonic()
        recovery_s = await self._recover()
        struck = Struck(
            fault.kind.name, fault.target, round(at - self._began, 1), round(ended - at, 1), round(recovery_s, 1)
        )
        self._outcome.faults.append(struck)
        self._report(f"    lasted {struck.lasted_s:.1f} s, recovered in {struck.recovery_s:.1f} s")

    async def _recover(self) -> float:
        began = time.monotonic()
        try:
            return await until_recovered(self._rig, self._promised)
        except NotRecovered as failure:
            self._report(f"    {failure}")
            self._outcome.manual_steps.append(f"every service restarted: {failure}")
        for service in EVERY_SERVICE:
            await self._rig.system.kill(service, SIGTERM)
        await until_recovered(self._rig, self._promised)
        return time.monotonic() - began

    async def _audit(self, stage: Stage) -> None:
        await until_quiet(self._rig, self._promised)
        urls = {service: self._rig.database_url(service) for service in WITH_DATABASE}
        evidence = await auditor.gather(
            self._rig.system.bootstrap, urls, ROOT / "services", stage.played.journal.ordered
        )
        self._outcome.violations = invariants.judge(evidence)
        self._outcome.orders_played = len(evidence.accepted)
        self._outcome.events = len(evidence.published)
        self._outcome.orders_by_state = dict(Counter(row["state"] for row in evidence.books.orders))
