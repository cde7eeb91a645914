"""The orders of one transaction: what is expected of them, what came, what became of each difference, what is posted.

Standings change first, one fact after the other; then every component that money or a person touched is judged once,
and what follows is published, posted and saved.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from oms_events.contracts.settlement import (
    AccrualPosted,
    ComponentAmount,
    DifferenceAttributed,
    DifferenceResolved,
    StatementLineMatched,
    WriteOffPosted,
)
from oms_events.envelope import EventMeta
from oms_events.runtime.together import together
from oms_events.runtime.work import Work
from oms_events.values import derived_id, derived_text
from oms_settlement.adapters import differences, orders, statements, terms
from oms_settlement.adapters.differences import Difference, Spender, WriteOff, difference_id
from oms_settlement.adapters.orders import Name, Order, Totals
from oms_settlement.adapters.terms import Policy, Terms
from oms_settlement.app.ledger import Ledger
from oms_settlement.domain import chart, reconciliation
from oms_settlement.domain.journal import entry
from oms_settlement.domain.position import Step
from oms_settlement.domain.reconciliation import Finding, Reason, Stage, Standing

ROUNDING = "rounding"
SYSTEM = "system"
_TOLD_AT_A_TIME = 100


class Cause(NamedTuple):
    """What made something happen, and the day it is booked on."""

    meta: EventMeta
    at: datetime


class Question(NamedTuple):
    """A component that must be judged: how it stood before, and what made us ask."""

    order: Order
    component: str
    before: Standing
    cause: Cause


class Decision(NamedTuple):
    """Who decided, under which limit, and why."""

    by: str
    rule: str
    note: str = ""


class Judged(NamedTuple):
    """A component and the difference there is now."""

    question: Question
    finding: Finding | None
    known: Difference | None


class Books:
    """What a handler, a command or a job writes in."""

    def __init__(self, work: Work, known_terms: Terms, known: Mapping[UUID, Order]) -> None:
        self.work = work
        self.terms = known_terms
        self.orders = dict(known)
        self.totals = Totals()
        self.ledger = Ledger()
        self.changed: dict[UUID, Order] = {}
        self.cleared_lines = 0
        self.parts: set[tuple[UUID, str]] = set()
        """Components that a statement told within the line of another one, which counts for both."""
        self._overdue: set[UUID] = set()
        self._questions: dict[tuple[UUID, str], Question] = {}
        self._differences: dict[UUID, Difference] = {}
        self._write_offs: list[WriteOff] = []
        self._spent: dict[Spender, int] = defaultdict(int)
        self._statement_ids: dict[int, UUID] = {}
        self._matched: dict[tuple[UUID, int], list[Question]] = defaultdict(list)

    # --- what changes standings -----------------------------------------------------------------------------

    def accrue(self, order: Order, step: Step, cause: Cause) -> None:
        """Money is expected, or no longer."""
        name, at = named(order), cause.at
        for component, amount in step.expected.items():
            before = order.standing(component)
            after = before._replace(expected_minor=before.expected_minor + amount)
            self.change(order, component, after, cause)
        order_id, slot = str(order.order_id), f"{step.basis}:{cause.meta.id}"
        if step.postings:
            entry_id = derived_text("accrual", order_id, slot, at=at)
            posted = entry(
                name.account,
                name.currency,
                entry_id,
                step.basis,
                booked_at=at,
                postings=step.postings,
                order_id=order_id,
            )
            self.ledger.post(posted, cause.meta)
        accrued = AccrualPosted(
            order_id=order.order_id,
            accrual_id=derived_id("accrual", order_id, slot, at=at),
            channel=name.channel,
            shop=name.shop,
            currency=name.currency,
            basis=step.basis,
            components=tuple(
                ComponentAmount(component=component, amount_minor=amount, rate_version=step.versions.get(component, ""))
                for component, amount in step.expected.items()
            ),
            accrued_at=at,
        )
        self.work.emit(accrued, cause=cause.meta)

    def change(self, order: Order, component: str, after: Standing, cause: Cause) -> None:
        """Let a component stand otherwise. It is judged at the end, once money came for it or a person touched it."""
        name = named(order)
        before = order.standing(component)
        self.totals.change(name.account, name.currency, component, before, after)
        order.components[component] = after
        self.changed[order.order_id] = order
        if before.disputed or after.touched:
            self._questions.setdefault((order.order_id, component), Question(order, component, before, cause))

    def call_overdue(self, order: Order, cause: Cause) -> None:
        """Nothing more is waited for: what did not come is missing."""
        self._overdue.add(order.order_id)
        order.due_at = None
        self.changed[order.order_id] = order
        for component, standing in order.components.items():
            question = Question(order, component, standing, cause)
            if standing.gap_minor and not standing.touched:
                self._questions.setdefault((order.order_id, component), question)

    # --- what follows ---------------------------------------------------------------------------------------

    async def judge(self) -> None:
        """Judge what changed, write off what rounding made, tell what is matched and what is different."""
        if not self._questions:
            return
        policy = await terms.policy(self.work.connection)
        disputed = {q.order.order_id for q in self._questions.values() if q.before.disputed}
        known = await differences.of_orders(self.work.connection, disputed) if disputed else {}
        await self._name_statements()
        rounding = []
        for key, question in self._questions.items():
            standing = question.order.components[question.component]
            if standing.gap_minor == 0 and not question.before.disputed:
                self._clear(question, standing)  # nearly all of them, so by the shortest way
                continue
            finding = self._finding(question, policy)
            judged = Judged(question, finding, known.get(key))
            if finding is not None and finding.reason is Reason.ROUNDING:
                rounding.append(judged)
            else:
                self._conclude(judged)
        await self._write_off_rounding(rounding, policy)
        for order in {q.order.order_id: q.order for q in self._questions.values()}.values():
            if not order.open:
                order.due_at = None

    async def _name_statements(self) -> None:
        """Of every component in question, the last statement that had a line of it."""
        numbers = {q.order.components[q.component].statement_no for q in self._questions.values()} - {0}
        self._statement_ids = await statements.ids_of(self.work.connection, numbers)

    async def save(self, *, whole: bool = True) -> None:
        """Judge, then write everything: orders, totals, differences, entries. `whole` writes what was heard, too."""
        await self.judge()
        writing = asyncio.create_task(self._write(whole=whole))
        try:
            await self._tell_matched()
        finally:
            await writing

    async def _write(self, *, whole: bool) -> None:
        changed = list(self.changed.values())
        for order in changed:
            order.version += 1
        connection = self.work.connection
        if whole:
            await orders.save(connection, changed)
        async with together(connection) as writing:
            if not whole:
                await orders.save_standings(writing, changed)
            await self.totals.save(writing)
            await differences.save(writing, list(self._differences.values()))
            await differences.add_write_offs(writing, self._write_offs)
            await differences.spend(writing, self._spent)
        await self.ledger.save(self.work)

    def _finding(self, question: Question, policy: Policy) -> Finding | None:
        facts, rounding = question.order.facts, policy.document.rounding
        stage = Stage(
            facts.paid_at is not None, bool(facts.dispatched), rounding.per_line_minor, rounding.per_order_minor
        )
        standing = question.order.standing(question.component)
        overdue = question.order.order_id in self._overdue or bool(question.before.disputed)
        return reconciliation.judge(question.component, standing, stage, overdue=overdue)

    def _conclude(self, judged: Judged) -> None:
        question, finding, known = judged
        standing = question.order.standing(question.component)
        if finding is not None:
            difference = self._difference(judged, finding, standing)
            if difference is not known:
                self.attribute(difference, question.cause)
            question.order.components[question.component] = standing._replace(disputed=1)
            return
        if known is not None and known.state == "open":
            self.resolve(known, SYSTEM, "what came later explains it", question.cause)
        self._clear(question, standing)

    def _clear(self, question: Question, standing: Standing) -> None:
        if standing.lines and not standing.written_off_minor:
            self._matched[question.order.order_id, standing.statement_no].append(question)
            if (question.order.order_id, question.component) not in self.parts:
                self.cleared_lines += standing.lines - question.before.lines

    def _difference(self, judged: Judged, finding: Finding, standing: Standing) -> Difference:
        """The difference as it is now; one that a person closed stays closed while nothing changes."""
        question, known = judged.question, judged.known
        order, name = question.order, named(question.order)
        expected = standing.expected_minor + standing.written_off_minor
        if known is not None and _says(known, expected, standing.settled_minor, finding):
            return known
        return Difference(
            difference_id(str(order.order_id), question.component),
            name.account,
            name.channel,
            name.shop,
            order.order_id,
            name.order_no,
            self._statement_ids.get(standing.statement_no),
            name.currency,
            question.component,
            str(finding.reason),
            expected,
            standing.settled_minor,
            standing.lines,
            finding.detail,
            "open",
            known.opened_at if known else question.cause.at,
            version=known.version + 1 if known else 1,
        )

    # --- differences ----------------------------------------------------------------------------------------

    def attribute(self, difference: Difference, cause: Cause) -> None:
        """Tell of a difference that is new or has changed."""
        self._differences[difference.difference_id] = difference
        attributed = DifferenceAttributed(
            match_key=difference.match_key,
            difference_id=difference.difference_id,
            order_id=difference.order_id,
            order_no=difference.order_no,
            account=difference.account,
            channel=difference.channel,
            shop=difference.shop,
            statement_id=difference.statement_id,
            currency=difference.currency,
            component=difference.component,
            reason=difference.reason,
            expected_minor=difference.expected_minor,
            settled_minor=difference.settled_minor,
            detail=difference.detail,
            attributed_at=self.work.now,
        )
        self.work.emit(attributed, cause=cause.meta)

    def resolve(self, difference: Difference, by: str, note: str, cause: Cause) -> None:
        """Close a difference without giving up money."""
        difference.state, difference.closed_at, difference.closed_by, difference.note = "resolved", cause.at, by, note
        difference.version += 1
        self._differences[difference.difference_id] = difference
        resolved = DifferenceResolved(
            match_key=difference.match_key,
            difference_id=difference.difference_id,
            order_id=difference.order_id,
            account=difference.account,
            channel=difference.channel,
            shop=difference.shop,
            currency=difference.currency,
            component=difference.component,
            reason=difference.reason,
            by=by,
            note=note,
            resolved_at=self.work.now,
        )
        self.work.emit(resolved, cause=cause.meta)

    def write_off(self, difference: Difference, decision: Decision, spender: Spender, cause: Cause) -> WriteOff:
        """Accept a difference as it is: the gap goes to the account for small differences."""
        gap = difference.gap_minor
        difference.state, difference.closed_at, difference.closed_by = "written_off", cause.at, decision.by
        difference.note, difference.rule = decision.note, decision.rule
        difference.version += 1
        self._differences[difference.difference_id] = difference
        number = str(difference.version)
        made = WriteOff(
            derived_id("write-off", str(difference.difference_id), number, at=cause.at),
            difference.difference_id,
            gap,
            decision.rule,
            decision.by,
            decision.note,
            cause.at,
        )
        self._spent[spender] += abs(gap)
        self._post_write_off(difference, made, cause)
        return made

    def undo_write_off(
        self, difference: Difference, written_off: WriteOff, decision: Decision, cause: Cause
    ) -> WriteOff:
        """Open a difference again; the entry is reversed by another."""
        difference.state, difference.closed_at, difference.closed_by = "open", None, None
        difference.note, difference.rule = None, None
        difference.version += 1
        self._differences[difference.difference_id] = difference
        undone = WriteOff(
            derived_id("write-off", str(difference.difference_id), str(difference.version), at=cause.at),
            difference.difference_id,
            -written_off.amount_minor,
            decision.rule,
            decision.by,
            decision.note,
            cause.at,
            written_off.write_off_id,
        )
        self._post_write_off(difference, undone, cause)
        return undone

    def _post_write_off(self, difference: Difference, made: WriteOff, cause: Cause) -> None:
        self._write_offs.append(made)
        waits_on = self._waits_on(difference)
        posted = entry(
            difference.account,
            difference.currency,
            str(made.write_off_id),
            "write_off" if made.reverses is None else "write_off_undone",
            booked_at=made.posted_at,
            postings={
                (waits_on, difference.component): made.amount_minor,
                (chart.ROUNDING, difference.component): -made.amount_minor,
            },
            order_id=str(difference.order_id) if difference.order_id else None,
            statement_id=str(difference.statement_id) if difference.statement_id else None,
            reverses=str(made.reverses) if made.reverses else None,
        )
        self.ledger.post(posted, cause.meta)
        told = WriteOffPosted(
            match_key=difference.match_key,
            write_off_id=made.write_off_id,
            difference_id=difference.difference_id,
            order_id=difference.order_id,
            account=difference.account,
            channel=difference.channel,
            shop=difference.shop,
            currency=difference.currency,
            component=difference.component,
            amount_minor=made.amount_minor,
            reason=difference.reason,
            rule=made.rule,
            by=made.by,
            reverses=made.reverses,
            posted_at=self.work.now,
        )
        self.work.emit(told, cause=cause.meta)

    def _waits_on(self, difference: Difference) -> str:
        if difference.order_id is not None and difference.reason != Reason.FX_SETTLEMENT:
            return chart.control_of(difference.component)
        return chart.suspense_of(difference.settled_minor)

    async def _write_off_rounding(self, judged: Iterable[Judged], policy: Policy) -> None:
        """By rule, as far as the day's limit of the account goes; what goes beyond it stays open."""
        cases = [(one, self._spender(one.question)) for one in judged]
        spent = await differences.spent(self.work.connection, {spender for _, spender in cases})
        limit, rule = policy.document.rounding.per_day_minor, f"rounding@{policy.version}"
        for one, spender in cases:
            question = one.question
            standing = question.order.standing(question.component)
            assert one.finding is not None
            difference = self._difference(one, one.finding, standing)
            if difference.state != "open":
                continue
            left = limit - spent.get(spender, 0) - self._spent[spender]
            if abs(standing.gap_minor) > left:
                difference.detail = f"the limit rounding.per_day_minor@{policy.version} is used up"
            if difference is not one.known:
                self.attribute(difference, question.cause)
            gone = standing._replace(disputed=1)
            if abs(standing.gap_minor) <= left:
                self.write_off(difference, Decision(SYSTEM, rule), spender, question.cause)
                gone = gone._replace(written_off_minor=standing.written_off_minor + standing.gap_minor)
                name = named(question.order)
                self.totals.change(name.account, name.currency, question.component, standing, gone)
                self.cleared_lines += standing.lines - question.before.lines
            question.order.components[question.component] = gone

    def _spender(self, question: Question) -> Spender:
        name = named(question.order)
        return Spender(name.account, name.currency, ROUNDING, question.cause.at.date())

    async def _tell_matched(self) -> None:
        """One event per order and statement, a few at a time: the database, which writes meanwhile, must not wait."""
        for place, ((_, statement_no), questions) in enumerate(self._matched.items()):
            if place % _TOLD_AT_A_TIME == 0:
                await asyncio.sleep(0)
            self._tell_order_matched(self._statement_ids[statement_no], questions)

    def _tell_order_matched(self, statement_id: UUID, questions: list[Question]) -> None:
        first = questions[0]
        order, name = first.order, named(first.order)
        # As plain parts: one validation of the whole event is cheaper than one of each part.
        matched = StatementLineMatched.model_validate(
            {
                "match_key": str(order.order_id),
                "order_id": order.order_id,
                "account": name.account,
                "channel": name.channel,
                "shop": name.shop,
                "statement_id": statement_id,
                "currency": name.currency,
                "components": tuple([_settled(question) for question in questions]),
                "settled_at": first.cause.at,
            }
        )
        self.work.emit(matched, cause=first.cause.meta)


def _settled(question: Question) -> dict[str, object]:
    standing = question.order.components[question.component]
    return {
        "component": question.component,
        "expected_minor": standing.expected_minor,
        "settled_minor": standing.settled_minor,
    }


def _says(known: Difference, expected: int, settled: int, finding: Finding) -> bool:
    """That a difference says this already, or was closed by a person who knew."""
    same = (known.expected_minor, known.settled_minor) == (expected, settled)
    return same and (known.state != "open" or known.reason == finding.reason)


def named(order: Order) -> Name:
    """Whose order it is. Raises ValueError for one that was not heard of itself."""
    if order.name is None:
        raise ValueError(f"order {order.order_id} has money and no name")
    return order.name
