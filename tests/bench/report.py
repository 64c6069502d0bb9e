"""Figures: pairs of measurements as ratios, held against goals, as a table and as JSON. Pure."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

RATIO, OURS = "ratio", "ours"


@dataclass(frozen=True)
class Goal:
    """At most ``limit``, of the median ratio or, where ``of`` is "ours", of our own median (in the figure's unit)."""

    limit: float
    of: str = RATIO


@dataclass(frozen=True)
class Figure:
    """One thing measured: ``ours[i]`` and ``raw[i]`` were taken one right after the other. ``raw`` may be empty. ``unit``
    is "s" (shown as us, ms or s), or a word such as "MB" that is shown as it is. ``against`` says what ``raw`` was."""

    name: str
    ours: Tuple[float, ...]
    raw: Tuple[float, ...] = ()
    against: str = ""
    unit: str = "s"
    goal: Optional[Goal] = None

    @property
    def ratios(self) -> List[float]:
        """Pair by pair: what disturbed the machine for a while disturbed both of a pair."""
        return [one / other for one, other in zip(self.ours, self.raw) if other]

    @property
    def ratio(self) -> Optional[float]:
        """The median of the pairs' ratios; None where there is nothing to compare with."""
        ratios = self.ratios
        return statistics.median(ratios) if ratios else None

    @property
    def passed(self) -> Optional[bool]:
        """Whether the goal is met; None without one."""
        if self.goal is None:
            return None
        measured = self.ratio if self.goal.of == RATIO else statistics.median(self.ours)
        return measured is not None and measured <= self.goal.limit


def amount(value: float, unit: str) -> str:
    """``0.00025`` of "s" as "250 us"."""
    if unit != "s":
        return f"{value:.3g} {unit}"
    for factor, name in ((1e6, "us"), (1e3, "ms")):
        if value * factor < 1000:
            return f"{value * factor:.3g} {name}"
    return f"{value:.3g} s"


def _goal(figure: Figure) -> str:
    goal = figure.goal
    if goal is None:
        return "-"
    return f"<= {goal.limit:g} x" if goal.of == RATIO else f"<= {amount(goal.limit, figure.unit)}"


def _row(figure: Figure) -> List[str]:
    ratios = figure.ratios
    return [
        figure.name,
        _goal(figure),
        "-" if figure.ratio is None else f"{figure.ratio:.3g} x",
        f"{min(ratios):.3g}..{max(ratios):.3g}" if ratios else "-",
        amount(statistics.median(figure.ours), figure.unit),
        amount(statistics.median(figure.raw), figure.unit) if figure.raw else "-",
        figure.against or "-",
        {True: "pass", False: "MISSED", None: "-"}[figure.passed],
    ]


HEAD = ["what", "goal", "ratio", "min..max", "ours", "raw", "raw is", ""]


def table(figures: Sequence[Figure]) -> str:
    """Aligned columns, a heading, one line a figure. Ours and raw are medians."""
    rows = [HEAD] + [_row(figure) for figure in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    aligned = [
        [cell.rjust(w) if 1 <= at <= 5 else cell.ljust(w) for at, (cell, w) in enumerate(zip(row, widths))] for row in rows
    ]
    return "\n".join("  ".join(row).rstrip() for row in aligned)


def missed(figures: Sequence[Figure]) -> List[str]:
    """The names of those that have a goal and do not meet it."""
    return [figure.name for figure in figures if figure.passed is False]


def as_json(figures: Sequence[Figure], about: Dict[str, Any], costs: Sequence[Dict[str, Any]] = ()) -> Dict[str, Any]:
    """Everything, every single sample too, ready for json.dump. ``costs`` are the points of the plot."""
    return {
        "about": about,
        "figures": [
            {
                "name": figure.name,
                "goal": None if figure.goal is None else {"limit": figure.goal.limit, "of": figure.goal.of},
                "passed": figure.passed,
                "ratio": figure.ratio,
                "ratios": figure.ratios,
                "unit": figure.unit,
                "ours": list(figure.ours),
                "raw": list(figure.raw),
                "against": figure.against,
            }
            for figure in figures
        ],
        "costs": list(costs),
    }
