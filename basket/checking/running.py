"""Each configured function run once, several at a time, every one ended at its timeout."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Iterator

from basket import functions as room
from basket.checking.result import FAILED, OK, WARNING, Area, Result
from basket.codec import encode
from basket.config import Config, Scheduled
from basket.errors import BasketError, FunctionError
from basket.visible import visible

AT_ONCE = 8
"""Functions that run at the same time."""

SHOWN = 60
"""Characters of a value."""


def functions(config: Config, limit: int) -> Iterator[Result]:
    """One result for each, in the order of their names. ``limit``: the most bytes that the server takes, 0 for not known."""
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="basket-check")
    try:
        running = [pool.submit(_run, scheduled, config, limit) for scheduled in config.basket.functions]
        for one in running:
            yield one.result()
    finally:
        # Left early, by Ctrl-C for one: what has not begun does not, and children are ended.
        for one in running:
            one.cancel()
        room.stop_all()
        pool.shutdown(wait=False)


def _run(scheduled: Scheduled, config: Config, limit: int) -> Result:
    name = scheduled.function.name
    begun = time.monotonic()
    try:
        value = room.run(scheduled.function, timeout=scheduled.timeout, custom_facts=config.facts.custom)
        size = len(encode(value))
    except FunctionError as error:
        return Result(Area.FUNCTION, "function", FAILED, str(error), f"try it alone: zester-basket functions {name}")
    except BasketError as error:
        return Result(Area.FUNCTION, "function", FAILED, f"{name}: {error}", "publish strings, numbers, lists and maps")
    took = time.monotonic() - begun
    if limit and size > limit:
        what = f"{name}: its value is {size} bytes, the server takes at most {limit}"
        return Result(Area.FUNCTION, "function", FAILED, what, "share less, or raise max_payload there")
    if took > scheduled.interval:
        what = f"{name}: took {took:.1f} s, and is to run every {scheduled.interval:g} s"
        return Result(Area.FUNCTION, "function", WARNING, what, "give it a longer interval")
    text = visible(value if isinstance(value, str) else repr(value))
    shown = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
    return Result(Area.FUNCTION, "function", OK, f"{name} = {shown} ({took * 1000:.0f} ms)")
