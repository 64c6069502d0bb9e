"""Taking measurements in turn: ours, raw, ours, raw, so that a busy moment of the machine hits both alike."""

from __future__ import annotations

import gc
import time
from typing import Any, Callable, List, Tuple

Sample = Callable[[], float]
"""Takes one measurement; seconds (of one call, where it makes many)."""


def alternate(ours: Sample, raw: Sample, count: int) -> Tuple[Tuple[float, ...], Tuple[float, ...]]:
    """``count`` pairs, after one of each that does not count."""
    ours(), raw()
    taken: Tuple[List[float], List[float]] = ([], [])
    for _ in range(count):
        for samples, take in zip(taken, (ours, raw)):
            gc.collect()  # the garbage of one must not be collected in the time of the other
            samples.append(take())
    return tuple(taken[0]), tuple(taken[1])


def timed(work: Callable[[], Any], calls: int = 1) -> Sample:
    """Seconds that one call of ``work`` takes, over ``calls`` of them."""

    def sample() -> float:
        begun = time.perf_counter()
        for _ in range(calls):
            work()
        return (time.perf_counter() - begun) / calls

    return sample
