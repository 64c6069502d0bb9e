"""From a put to our callback, beside a plain core subscription that sees the same put."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from typing import Any, Iterator, List

import msgpack

from bench.asking import Sizes
from bench.fleet import Fleet, peel_id
from bench.report import Figure, Goal

FUNCTION = "bench.change"
INTERVAL = 0.008
"""Seconds between puts: long enough for each to have arrived everywhere."""

# The third connection, in a process of its own: it must not take turns with the two that are measured. perf_counter is the
# same clock in every process here.
PUTTER = """
import asyncio, sys, time, msgpack, nats

async def main(url, key, interval):
    nc = await nats.connect(url)
    kv = await nc.jetstream().key_value("basket")
    for line in sys.stdin:
        for number in range(int(line)):
            await kv.put(key, msgpack.packb([number, time.perf_counter()]))
            await asyncio.sleep(interval)
    await nc.close()

asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
"""


def changes(fleet: Fleet, sizes: Sizes) -> Iterator[Figure]:
    """Medians of a batch of puts, batch by batch."""
    key = f"{peel_id(0)}.{FUNCTION}"
    argv = [sys.executable, "-c", PUTTER, fleet.server.url, key, str(INTERVAL)]
    raw = fleet.raw
    ours: List[float] = []
    theirs: List[float] = []
    ended = asyncio.Event()
    last = sizes.changes - 1

    async def seen_raw(message: Any) -> None:
        now = time.perf_counter()
        theirs.append(now - msgpack.unpackb(message.data)[1])

    def seen_ours(change: Any) -> None:
        now = time.perf_counter()
        number, put = change.value
        ours.append(now - put)
        if number == last:
            raw.loop.call_soon_threadsafe(ended.set)

    async def batch(putter: Any) -> None:
        ended.clear()
        ours.clear()
        theirs.clear()
        putter.stdin.write(f"{sizes.changes}\n")
        putter.stdin.flush()
        await asyncio.wait_for(ended.wait(), 30)

    medians: List[List[float]] = [[], []]
    subscription = raw.run(raw.nc.subscribe(f"$KV.basket.{key}", cb=seen_raw))
    with subprocess.Popen(argv, stdin=subprocess.PIPE, text=True) as putter, fleet.basket.watch(
        peel_id(0), FUNCTION, callback=seen_ours
    ):
        for _ in range(sizes.pairs + 1):
            raw.run(batch(putter))
            medians[0].append(statistics.median(ours))
            medians[1].append(statistics.median(theirs))
        putter.communicate()
    raw.run(subscription.unsubscribe())
    against = "core subscription, same put"
    yield Figure("change to callback, p50", tuple(medians[0][1:]), tuple(medians[1][1:]), against, goal=Goal(2.0))
