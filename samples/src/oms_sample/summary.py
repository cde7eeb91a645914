"""What came of a play, for a person and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from oms_sample.audit import Verdict
from oms_sample.hops import Spread, Tape
from oms_sample.planted import WRITTEN_OFF
from oms_sample.play import Played
from oms_sample.settling import Settled

SHOWN = 10
"""Cases listed of each kind; the JSON has all of them."""
_LONGEST_SHOP = len("united-kingdom")
WHY = {
    "LISTING_UNMAPPED": "a listing stands for no SKU",
    "AMOUNT_MISMATCH": "the total does not add up",
    "BUYER_NOTE": "a buyer's note waits for an answer",
    "STOCK_SHORT": "not enough stock",
    "NO_ROUTE": "no warehouse can ship it",
    "NO_CARRIER": "no carrier serves it",
    "ORDER_CHANGED": "the channel changed it after it was placed",
    "awaiting_payment": "the buyer has not paid",
}


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU seconds spent and memory at the end in MiB, by process."""

    cpu_s: Mapping[str, float]
    rss_mb: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Summary:
    """All there is to say."""

    played: Played
    verdict: Verdict
    tape: Tape
    costs: Costs
    stock: Mapping[str, Any]
    """Totals by layer, as inventory sums them up."""
    settled: Settled | None = None
    """What came of the statements; None where none were written."""

    @property
    def sound(self) -> bool:
        """Every invariant holds and everything that was accepted is accounted for, to the cent."""
        return self.verdict.sound and not self.played.stalled and (self.settled is None or self.settled.sound)

    @property
    def orders_per_s(self) -> float:
        """Accepted orders over the time from the first post to the last change of any order."""
        took = self.played.ended_at - self.played.began_at
        return round(self.verdict.accepted / took, 1) if took > 0 else 0.0

    @property
    def cpu_us_per_order(self) -> dict[str, float]:
        accepted = max(1, self.verdict.accepted)
        return {name: round(1e6 * seconds / accepted, 1) for name, seconds in self.costs.cpu_s.items()}

    def as_json(self) -> dict[str, Any]:
        verdict, played, hops = self.verdict, self.played, self.tape.hops()
        whole = hops.get("ChannelOrderReceived -> ShipmentReleased")
        cases = {
            "rejected": played.journal.rejected,
            "unexplained": verdict.unexplained,
            "lost": verdict.lost,
            "doubled": verdict.doubled,
            "oversold": verdict.oversold,
            "ledger_differences": verdict.differences,
            "dead_letters": verdict.dead_letters,
        }
        return {
            "sound": self.sound,
            "stalled": played.stalled,
            "posted": played.journal.posted["orders"],
            "accepted": verdict.accepted,
            **{what: len(found) for what, found in cases.items()},
            "cases": cases,
            "states": {state: sum(reasons.values()) for state, reasons in verdict.states.items()},
            "reasons": verdict.states,
            "lines_shipped": played.standing.lines_shipped,
            "sent": dict(played.journal.posted),
            "stock": dict(self.stock),
            "orders_per_s": self.orders_per_s,
            "latency_ms": {
                "p50": whole.p50 if whole else None,
                "p99": whole.p99 if whole else None,
                "hops": {name: asdict(spread) for name, spread in hops.items()},
            },
            "cpu_us_per_order": self.cpu_us_per_order,
            "rss_mb": dict(self.costs.rss_mb),
            "settlement": None if self.settled is None else _settlement_json(self.settled),
            "left_out": dict(played.survey.left_out),
            "noted": dict(played.survey.noted),
            "happened": dict(played.journal.happened),
            "synthesised": played.world.said(),
        }


def _settlement_json(settled: Settled) -> dict[str, Any]:
    return {
        "took_s": round(settled.took_s, 1),
        "shops": [asdict(wallet) for wallet in settled.wallets],
        "planted": {
            kind: {"planted": one.planted, "found": one.found, "cleared": len(one.cleared), "reasons": one.reasons}
            for kind, one in settled.kinds.items()
        },
        "planted_errors_cleared": len(settled.cleared),
        "ledger": {"verified": not settled.faults, "entries": settled.entries},
        "cases": {
            "cleared": settled.cleared,
            "refused": settled.refused,
            "unplanted": settled.unplanted,
            "ledger_faults": settled.faults,
        },
        "profit_by_shop": settled.profit,
    }


def show(summary: Summary, console: Console) -> None:
    """Print it as tables."""
    played, verdict = summary.played, summary.verdict
    console.rule("[bold]What came of every order")
    console.print(_orders(verdict))
    console.print(f"Lines shipped: {played.standing.lines_shipped:,}")
    console.print(_counts("Stock, by layer (pieces)", summary.stock, "layer", "pieces"))
    console.print(_hops(summary.tape.hops()))
    console.print(_costs(summary))
    console.print(_counts("What was sent", played.journal.posted, "what", "times"))
    console.print(_counts("What happened on the way", played.journal.happened, "what", "times"))
    console.print(_counts("Rows of the book that were left out", played.survey.left_out, "why", "count"))
    console.print(_counts("Taken, and worth knowing", played.survey.noted, "what", "count"))
    console.print("[bold]Made up[/], because the book has none of it:")
    for said in played.world.said():
        console.print(f"  - {said}")
    if summary.settled is not None:
        _money(console, summary.settled)
    console.rule("[bold]Invariants")
    console.print(_invariants(summary))
    _cases(console, "not accepted by the gateway", played.journal.rejected)
    _cases(console, "dead letter", verdict.dead_letters)
    _cases(console, "unexplained", verdict.unexplained)
    _cases(console, "lost", verdict.lost)
    _cases(console, "doubled", verdict.doubled)
    _cases(console, "oversold", verdict.oversold)
    _cases(console, "ledger difference", verdict.differences)
    if summary.settled is not None:
        _cases(console, "planted error taken for settled", summary.settled.cleared)
        _cases(console, "statement refused", summary.settled.refused)
        _cases(console, "difference nobody planted", summary.settled.unplanted)
        _cases(console, "books", summary.settled.faults)
    _cases(console, "parcel no carrier was told of", played.dock.unannounced())
    seconds = played.ended_at - played.began_at
    console.print(
        f"{verdict.accepted:,} orders accepted, {summary.orders_per_s:,.1f} orders/s over {seconds:.1f} s "
        "from the first post to the last change."
    )


def _money(console: Console, settled: Settled) -> None:
    console.rule("[bold]Did every cent come?")
    console.print(_wallets(settled))
    console.print(_reasons(settled))
    console.print(_planted(settled))
    if settled.profit:
        console.print(_profit(settled))
    cleared = len(settled.cleared)
    console.print(f"Planted errors cleared: {f'[red]{cleared}' if cleared else '[green]0'}")


def _wallets(settled: Settled) -> Table:
    table = _amounts("Money by shop", "shop", "expected", "matched", "given up", "not due", "different")
    for wallet in settled.wallets:
        sums = (wallet.expected_minor, wallet.matched_minor, wallet.written_off_minor, wallet.not_due_minor)
        table.add_row(wallet.shop, *map(_pounds, sums), _pounds(sum(wallet.different.values())))
    return table


def _reasons(settled: Settled) -> Table:
    table = _amounts("Different, by reason: settled less expected", "shop", "reason", "difference")
    table.columns[1].justify = "left"
    for wallet in settled.wallets:
        for reason, amount in wallet.different.items():
            table.add_row(wallet.shop, reason, _pounds(amount))
    return table


def _amounts(title: str, what: str, *amounts: str) -> Table:
    table = Table(what, *amounts, title=title, title_justify="left")
    table.columns[0].min_width = _LONGEST_SHOP
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _planted(settled: Settled) -> Table:
    table = Table("planted", "times", "found", "cleared", "called", title="Planted in the statements")
    table.title_justify = "left"
    for column in table.columns[1:4]:
        column.justify = "right"
    for name, kind in sorted(settled.kinds.items()):
        cleared = f"[red]{len(kind.cleared)}" if kind.cleared else "[green]0"
        called = ", ".join(f"{reason} {count}" for reason, count in kind.reasons.most_common())
        said = f"{called} (written off by rule)" if name == WRITTEN_OFF else called
        table.add_row(name, str(kind.planted), str(kind.found), cleared, said)
    return table


def _profit(settled: Settled) -> Table:
    title = "Profit by shop, as far as statements have settled it"
    table = _amounts(title, "shop", "goods", "fees", "freight", "cost", "profit")
    for row in settled.profit:
        fees = row["commission_minor"] + row["payment_fee_minor"]
        sums = (row["goods_minor"], fees, row["freight_minor"], row["cost_of_goods_minor"], row["profit_minor"])
        table.add_row(row["shop"], *map(_pounds, sums))
    return table


def _pounds(minor: int) -> str:
    return f"{'-' if minor < 0 else ''}{abs(minor) // 100:,}.{abs(minor) % 100:02d}"


def _orders(verdict: Verdict) -> Table:
    table = Table("state", "why", "orders")
    table.columns[2].justify = "right"
    for state, reasons in verdict.states.items():
        for reason, count in reasons.items():
            why = "; ".join(WHY.get(code, code) for code in reason.split(", ")) if reason else ""
            table.add_row(state, why, f"{count:,}")
    table.add_section()
    table.add_row("[bold]all", "", f"[bold]{sum(sum(reasons.values()) for reasons in verdict.states.values()):,}")
    return table


def _counts(title: str, counts: Mapping[str, Any], what: str, unit: str) -> Table:
    table = Table(what, unit, title=title, title_justify="left")
    table.columns[1].justify = "right"
    for name, count in counts.items():
        if isinstance(count, int):
            table.add_row(name.replace("_", " "), f"{count:,}")
    return table


def _hops(hops: Mapping[str, Spread]) -> Table:
    table = Table("from -> to", "p50 ms", "p99 ms", "orders", title="Time per hop", title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, spread in hops.items():
        table.add_row(name, f"{spread.p50:,.0f}", f"{spread.p99:,.0f}", f"{spread.orders:,}")
    return table


def _costs(summary: Summary) -> Table:
    table = Table("process", "CPU us per order", "memory MiB", title="What it cost", title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, cost in summary.cpu_us_per_order.items():
        table.add_row(name, f"{cost:,.0f}", f"{summary.costs.rss_mb.get(name, 0):,.0f}")
    table.add_section()
    table.add_row(
        "[bold]all", f"{sum(summary.cpu_us_per_order.values()):,.0f}", f"{sum(summary.costs.rss_mb.values()):,.0f}"
    )
    return table


def _invariants(summary: Summary) -> Table:
    verdict = summary.verdict
    table = Table("must be so", "cases against it")
    table.columns[1].justify = "right"
    for rule, cases in (
        ("every accepted order is known to orders", verdict.lost),
        ("no line was shipped more than ordered", verdict.doubled),
        ("no warehouse had to ship what it did not have, no balance is below zero", verdict.oversold),
        ("every order ended, or waits for something that has a name", verdict.unexplained),
        ("every balance is the sum of its ledger", verdict.differences),
        ("no record was set aside as a dead letter", verdict.dead_letters),
    ):
        table.add_row(rule, f"[red]{len(cases):,}" if cases else "[green]0")
    for rule, against in _money_invariants(summary.settled):
        table.add_row(rule, f"[red]{len(against):,}" if against else "[green]0")
    if summary.played.stalled:
        table.add_row("the play came to its end", "[red]stalled")
    return table


def _money_invariants(settled: Settled | None) -> Sequence[tuple[str, Sequence[str]]]:
    if settled is None:
        return ()
    return (
        ("no planted error counts as settled", settled.cleared),
        ("every statement was taken", settled.refused),
        ("no money differs but where a difference was planted", settled.unplanted),
        (f"the books hold: {settled.entries:,} entries, their hashes and balances computed anew", settled.faults),
    )


def _cases(console: Console, what: str, cases: Sequence[str]) -> None:
    for case in cases[:SHOWN]:
        console.print(f"{what}: {case}", markup=False)
    if len(cases) > SHOWN:
        console.print(f"... and {len(cases) - SHOWN:,} more ({what}); --summary writes all of them")
