"""What came of a play, for a person and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from oms_sample.audit import Verdict
from oms_sample.hops import Spread, Tape
from oms_sample.play import Played

SHOWN = 10
"""Cases listed of each kind; the JSON has all of them."""
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

    @property
    def sound(self) -> bool:
        """Every invariant holds and everything that was accepted is accounted for."""
        return self.verdict.sound and not self.played.stalled

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
            "left_out": dict(played.survey.left_out),
            "noted": dict(played.survey.noted),
            "happened": dict(played.journal.happened),
            "synthesised": played.world.said(),
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
    console.rule("[bold]Invariants")
    console.print(_invariants(summary))
    _cases(console, "not accepted by the gateway", played.journal.rejected)
    _cases(console, "dead letter", verdict.dead_letters)
    _cases(console, "unexplained", verdict.unexplained)
    _cases(console, "lost", verdict.lost)
    _cases(console, "doubled", verdict.doubled)
    _cases(console, "oversold", verdict.oversold)
    _cases(console, "ledger difference", verdict.differences)
    _cases(console, "parcel no carrier was told of", played.dock.unannounced())
    seconds = played.ended_at - played.began_at
    console.print(
        f"{verdict.accepted:,} orders accepted, {summary.orders_per_s:,.1f} orders/s over {seconds:.1f} s "
        "from the first post to the last change."
    )


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
    if summary.played.stalled:
        table.add_row("the play came to its end", "[red]stalled")
    return table


def _cases(console: Console, what: str, cases: Sequence[str]) -> None:
    for case in cases[:SHOWN]:
        console.print(f"{what}: {case}", markup=False)
    if len(cases) > SHOWN:
        console.print(f"... and {len(cases) - SHOWN:,} more ({what}); --summary writes all of them")
