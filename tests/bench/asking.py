"""Pairs for reading, writing and the mirror: this package against what a script does with plain nats-py."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Callable, Iterator, List, Optional, Tuple

from basket.codec import encode
from bench.fleet import FUNCTION, Fleet, address, peel_id
from bench.pairs import Sample, alternate, timed
from bench.report import OURS, Figure, Goal

TARGET = "role:webserver"


@dataclass(frozen=True)
class Sizes:
    """How much is measured. ``pairs`` of everything; ``calls`` in a sample of something small; ``idle`` seconds."""

    pairs: int = 9
    calls: int = 500
    values: int = 10_000
    with_facts: int = 5_000
    listed: int = 100
    puts: int = 5_000
    threads: int = 16
    changes: int = 60
    idle: float = 15.0
    plot_to: int = 100_000
    sequential_to: int = 10_000


QUICK = Sizes(pairs=2, calls=20, values=200, with_facts=100, listed=10, puts=50, changes=5, idle=0.5, plot_to=100)

Measure = Tuple[str, Callable[[Fleet, Sizes], Iterator[Figure]]]


def one_value(fleet: Fleet, sizes: Sizes) -> Iterator[Figure]:
    who, key = peel_id(1), f"{peel_id(1)}.{FUNCTION}"
    kv, b = fleet.raw.bucket("basket"), fleet.basket
    raw = fleet.raw.timed(lambda: kv.get(key), sizes.calls)
    assert b.value(who, FUNCTION) == address(1)
    yield _pair("one value", timed(lambda: b.value(who, FUNCTION), sizes.calls), raw, sizes, "await kv.get", Goal(1.3))
    # One exchange, two values: the other says whether the peel is alive.
    yield _pair("one value and whether alive", timed(lambda: b.get(who, FUNCTION), sizes.calls), raw, sizes, "await kv.get")


def many_values(fleet: Fleet, sizes: Sizes) -> Iterator[Figure]:
    b = fleet.basket
    raw, against = _fetch(fleet, "basket", f"*.{FUNCTION}")
    assert len(b.get("*", FUNCTION)) == sizes.values
    goal = Goal(0.4) if _batches(fleet) else None
    yield _pair(f"{sizes.values:,} values", timed(lambda: b.get("*", FUNCTION)), raw, sizes, against, goal)
    alive = timed(lambda: b.get("*", FUNCTION, online_only=True))
    yield _pair(f"{sizes.values:,} values, only of those alive now", alive, raw, sizes, against)


def by_fact(fleet: Fleet, sizes: Sizes) -> Iterator[Figure]:
    b = fleet.basket
    raw, against = _fetch(fleet, "facts", "*")
    found = b.get(TARGET, FUNCTION)
    assert len(found) == -(-sizes.with_facts // 21)
    goal = Goal(0.8) if _batches(fleet) else None
    name = f"{TARGET}, {len(found)} of {sizes.with_facts:,} peels"
    yield _pair(name, timed(lambda: b.get(TARGET, FUNCTION)), raw, sizes, f"{against} of the facts", goal)


def listed(fleet: Fleet, sizes: Sizes) -> Iterator[Figure]:
    b = fleet.basket
    ids = fleet.ids(sizes.listed)
    target = "L@" + ",".join(ids)
    assert len(b.get(target, FUNCTION)) == len(ids)
    keys = [f"{who}.{FUNCTION}" for who in ids]
    raw = fleet.raw.timed(lambda: fleet.raw.sequential("basket", keys))
    yield _pair(f"{len(ids)} listed peels", timed(lambda: b.get(target, FUNCTION), 5), raw, sizes, "sequential kv.get", Goal(0.1))


def putting(fleet: Fleet, sizes: Sizes) -> Iterator[Figure]:
    values = {f"bulk.value-{n}": address(n) for n in range(sizes.puts)}
    subjects = {f"$KV.basket.other.bulk.value-{n}": encode(address(n)) for n in range(sizes.puts)}
    raw = fleet.raw.timed(lambda: fleet.raw.publish_all(subjects))
    ours = timed(lambda: fleet.basket.publish_many(values))
    yield _pair(f"{sizes.puts:,} puts", ours, raw, sizes, "js.publish_async", Goal(1.3))
    kv = fleet.raw.bucket("basket")
    one = timed(lambda: fleet.basket.publish("bulk.one", "value"), sizes.calls)
    await_put = fleet.raw.timed(lambda: kv.put("other.bulk.one", b"\xa5value"), sizes.calls)
    yield _pair("one put", one, await_put, sizes, "await kv.put")


def threads(fleet: Fleet, sizes: Sizes) -> Iterator[Figure]:
    """Seconds a call, with many threads and with one: what is compared is our own throughput."""
    calls = sizes.threads * max(10, sizes.calls // 4)

    def with_threads(count: int) -> Sample:
        def work(mine: int) -> None:
            for n in range(mine):
                fleet.basket.value(peel_id(n % sizes.values), FUNCTION)

        def sample() -> float:
            workers = [threading.Thread(target=work, args=(calls // count,)) for _ in range(count)]
            begun = time.perf_counter()
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            return (time.perf_counter() - begun) / calls

        return sample

    name = f"a value's time with {sizes.threads} threads"
    yield _pair(name, with_threads(sizes.threads), with_threads(1), sizes, "ours with 1 thread", Goal(1.0))


def mirrored(fleet: Fleet, sizes: Sizes) -> Iterator[Figure]:
    """Last, since everything is answered from memory from here on."""
    b = fleet.basket
    fleet.add_facts(sizes.values)
    raw, against = _fetch(fleet, "facts", "*")

    first: List[float] = []

    def afresh() -> float:
        with b.mirror():
            begun = time.perf_counter()
            found = b.get(TARGET, FUNCTION)
            first.append(time.perf_counter() - begun)
            assert len(found) == -(-sizes.values // 21)
        return first[-1]

    of = f"{TARGET} among {sizes.values:,}, mirror"
    yield _pair(f"{of}, first time", afresh, raw, _few(sizes), f"{against} of the facts")
    with b.mirror():
        yield _pair(of, timed(lambda: b.get(TARGET, FUNCTION)), raw, _few(sizes), f"{against} of the facts", Goal(0.020, OURS))
        kv, key = fleet.raw.bucket("basket"), f"{peel_id(1)}.{FUNCTION}"
        get = fleet.raw.timed(lambda: kv.get(key), sizes.calls)
        value = timed(lambda: b.value(peel_id(1), FUNCTION), sizes.calls)
        yield _pair("one value, mirror", value, get, sizes, "await kv.get", Goal(10e-6, OURS))


MEASURES: List[Measure] = [
    ("one", one_value),
    ("many", many_values),
    ("fact", by_fact),
    ("listed", listed),
    ("puts", putting),
    ("threads", threads),
]
"""Name and pairs; ``mirrored`` changes how all are answered, so it stands apart."""

ON_OLD_SERVERS = ("one", "many", "fact", "listed", "puts")


def _pair(name: str, ours: Sample, raw: Sample, sizes: Sizes, against: str, goal: Optional[Goal] = None) -> Figure:
    return Figure(name, *alternate(ours, raw, sizes.pairs), against, goal=goal)


def _few(sizes: Sizes) -> Sizes:
    """Fetching 20 MB through plain nats-py takes half a second."""
    return Sizes(pairs=max(2, min(sizes.pairs, 7)))


def _batches(fleet: Fleet) -> bool:
    return tuple(int(part) for part in fleet.version.split(".")[:2]) >= (2, 11)


def _fetch(fleet: Fleet, bucket: str, pattern: str) -> Tuple[Sample, str]:
    """What plain nats-py can do at its best on this server."""
    raw = fleet.raw
    if _batches(fleet):
        return raw.timed(lambda: raw.fetch(bucket, pattern)), "public batched get"
    return raw.timed(lambda: raw.watched(bucket, pattern)), "kv.watch"
