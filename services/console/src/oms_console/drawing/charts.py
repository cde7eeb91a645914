"""Geometry of the charts. Widths are shares of the picture in percent, so that a chart fits any screen; heights are
pixels, so that its text keeps its size."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

SERIES = 6
"""Colours that differ; a series beyond them begins again."""
_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar that lies: `share` of the longest. Its text stands beside it."""

    label: str
    value: int
    text: str
    share: float
    href: str = ""
    tone: str = ""

    @property
    def negative(self) -> bool:
        return self.value < 0


def bars(rows: Iterable[tuple[str, int, str]], *, href: Callable[[str], str] | None = None) -> list[Bar]:
    """Bars of (label, value, text), the longest filling the width."""
    known = list(rows)
    longest = max((abs(value) for _, value, _ in known), default=0) or 1
    return [
        Bar(label, value, text, round(100 * abs(value) / longest, 2), href(label) if href else "")
        for label, value, text in known
    ]


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a whole, side by side with the others."""

    label: str
    value: int
    text: str
    x: float
    width: float
    tone: str
    href: str = ""

    @property
    def roomy(self) -> bool:
        """Whether a number fits in."""
        return self.width >= 9


def segments(
    parts: Sequence[tuple[str, int, str, str]], *, whole: int | None = None, gap: float = 0.0
) -> list[Segment]:
    """Parts of (label, value, text, tone) side by side; empty ones are left out. `whole` is the full width."""
    shown = [part for part in parts if part[1] > 0]
    total = max(whole or 0, sum(part[1] for part in shown)) or 1
    starts = accumulate((part[1] for part in shown), initial=0)
    return [
        Segment(label, value, text, round(100 * start / total, 3), round(max(0.0, 100 * value / total - gap), 3), tone)
        for start, (label, value, text, tone) in zip(starts, shown, strict=False)
    ]


@dataclass(frozen=True, slots=True)
class Column:
    """A bar that stands, at `x` percent."""

    x: float
    width: float
    y: float
    height: float
    label: str
    text: str
    tick: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A line across, with what it stands for."""

    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Columns:
    """Values over time."""

    columns: tuple[Column, ...]
    grid: tuple[Grid, ...]
    height: int
    base: float


def columns(
    values: Sequence[tuple[str, int, str, str]], *, axis: Callable[[int], str], height: int = 168
) -> Columns | None:
    """Columns of (label, value, text, tick below it or ""); None when there is nothing to show."""
    if not values or not any(value for _, value, _, _ in values):
        return None
    top, base = 14.0, height - 24.0
    step = _step(max(value for _, value, _, _ in values))
    lines = max(1, -(-max(value for _, value, _, _ in values) // step))
    scale = (base - top) / (lines * step)
    slot = 100 / len(values)
    return Columns(
        tuple(
            Column(
                x=round(slot * place + slot * 0.14, 3),
                width=round(slot * 0.72, 3),
                y=round(base - value * scale, 2),
                height=round(value * scale, 2),
                label=label,
                text=text,
                tick=tick,
            )
            for place, (label, value, text, tick) in enumerate(values)
        ),
        tuple(Grid(round(base - line * step * scale, 2), axis(line * step)) for line in range(lines + 1)),
        height,
        base,
    )


def _step(highest: int) -> int:
    """A round distance between lines, for about four of them."""
    rough = max(1.0, highest / 4)
    magnitude = 10 ** (len(str(int(rough))) - 1)
    return next(int(magnitude * step) for step in _STEPS if magnitude * step >= rough and magnitude * step % 1 == 0)
