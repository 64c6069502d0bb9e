"""What reading N values costs, for N from 10 on: ours, plain nats-py's batches, and one get after the other."""

from __future__ import annotations

import statistics
from typing import Any, Callable, Dict, List, Sequence

from bench.asking import Sizes
from bench.fleet import FUNCTION, Fleet, peel_id
from bench.pairs import alternate, timed

OURS, BATCHED, SEQUENTIAL = "b.get", "nats-py, public batched get", "nats-py, sequential kv.get"


def costs(sizes: Sizes, tell: Callable[[str], None]) -> List[Dict[str, Any]]:
    """Median seconds of each way for each N, each N on a server of its own."""
    points: List[Dict[str, Any]] = []
    count = 10
    while count <= sizes.plot_to:
        tell(f"cost of {count:,} values")
        with Fleet(count) as fleet:
            points.append(_at(fleet, count, sizes))
        count *= 10
    return points


def _at(fleet: Fleet, count: int, sizes: Sizes) -> Dict[str, Any]:
    raw = fleet.raw
    pairs = min(sizes.pairs, 3 if count > 10_000 else 5)
    get = timed(lambda: fleet.basket.get("*", FUNCTION))
    ours, batched = alternate(get, raw.timed(lambda: raw.fetch("basket", f"*.{FUNCTION}")), pairs)
    point = {"values": count, OURS: statistics.median(ours), BATCHED: statistics.median(batched)}
    if count <= sizes.sequential_to:
        keys = [f"{peel_id(n)}.{FUNCTION}" for n in range(count)]
        point[SEQUENTIAL] = raw.timed(lambda: raw.sequential("basket", keys))()
    return point


def plot(points: Sequence[Dict[str, Any]], path: str) -> bool:
    """Write the PNG; False where there is no matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5.5), layout="constrained")
    for name, mark in ((SEQUENTIAL, "s"), (BATCHED, "^"), (OURS, "o")):
        known = [point for point in points if name in point]
        axes.loglog([point["values"] for point in known], [point[name] * 1e3 for point in known], marker=mark, label=name)
    axes.set_xlabel("values read")
    axes.set_ylabel("milliseconds")
    axes.set_title("Reading N values, decoded")
    axes.grid(True, which="major", alpha=0.4)
    axes.legend()
    figure.savefig(path, format="png", dpi=120)
    pyplot.close(figure)
    return True
