"""The orderly end, bounded in time: what hangs is left to the end of the process."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Callable, Sequence

from basket.agent.workers import start_thread
from basket.logs import Log

log = Log("basket.agent")

STOP_TIME, LAST_LOOK = 4.0, 0.3
"""Seconds for the steps, and for children that were started meanwhile."""


def end(steps: Sequence[Callable[[], object]]) -> None:
    """Do all ``steps``, and end the children, at the same time: a step that hangs takes nothing from the others."""
    from basket import functions

    together([*steps, functions.stop_all], STOP_TIME)
    together([functions.stop_all], LAST_LOOK)  # a function may have started a child in between


def together(steps: Sequence[Callable[[], object]], limit: float) -> None:
    """Do all of them at the same time, and wait ``limit`` seconds at most."""
    done = [threading.Event() for _ in steps]
    for number, step in enumerate(steps):
        start_thread(f"basket-stop-{number}", partial(_quietly, step, done[number]))
    deadline = time.monotonic() + limit
    for event in done:
        event.wait(max(0.0, deadline - time.monotonic()))


def _quietly(step: Callable[[], object], done: threading.Event) -> None:
    try:
        step()
    except Exception as error:
        log.debug("while stopping", error=f"{type(error).__name__}: {error}")
    finally:
        done.set()
