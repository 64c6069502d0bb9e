"""The machines that are measured with: their values, facts and heartbeats, on a server of their own."""

from __future__ import annotations

import copy
import tempfile
from types import TracebackType
from typing import Any, Dict, List, Optional, Type

import basket
from basket.codec import encode
from basket.embedded import EmbeddedServer
from basket.facts import collect
from bench.raw import Raw

FUNCTION = "network.ip_addrs"
ROLES = ["webserver"] + ["database", "cache", "worker", "proxy", "monitoring"] * 4  # 1 of 21, about 5 %, is a webserver
FACTS_SIZE = 2000


def peel_id(number: int) -> str:
    return f"peel-{number:06d}"


def address(number: int) -> str:
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def documents(count: int) -> Dict[str, Dict[str, Any]]:
    """Facts as an agent here would collect them, with more of the same until they take 2 kB; peel id -> document."""
    base: Dict[str, Any] = collect({"labels": {}})
    while len(encode(base)) < FACTS_SIZE:
        base["labels"][f"label-{len(base['labels']):02d}"] = {"value": "something short", "since": 1_700_000_000}
    made: Dict[str, Dict[str, Any]] = {}
    for number in range(count):
        document = copy.copy(base)
        document["role"] = ROLES[number % len(ROLES)]
        document["network"] = {**base["network"], "hostname": peel_id(number), "ipv4": [address(number)]}
        made[peel_id(number)] = document
    return made


class Fleet:
    """``values`` peels that publish an address and are alive, ``with_facts`` of which have facts. ``basket``: our connection;
    ``raw``: nats-py's. Use it as a context."""

    def __init__(self, values: int, with_facts: int = 0, *, binary: Optional[str] = None) -> None:
        self.values = values
        self.with_facts = with_facts
        self._have_facts = 0
        self._binary = binary

    def __enter__(self) -> Fleet:
        self._directory = tempfile.TemporaryDirectory(prefix="basket-bench-")
        self.server = EmbeddedServer(self._directory.name, binary=self._binary).start()
        self.raw = Raw(self.server.url)
        self.basket = basket.connect(self.server.url, peel_id="asker", timeout=60.0)
        self.raw.make_lasting_heartbeats()
        self.basket.publish("custom.note", "the buckets are made by whoever needs them first")
        self.basket.publish_facts(next(iter(documents(1).values())))
        self.raw.fill("basket", {f"{peel_id(n)}.{FUNCTION}": address(n) for n in range(self.values)})
        self.raw.fill("peel-heartbeat", {peel_id(n): {"protocol": 1, "version": "1.0"} for n in range(self.values)})
        self.add_facts(self.with_facts)
        for name in ("basket", "facts", "peel-heartbeat"):
            self.raw.bucket(name)
        return self

    def add_facts(self, count: int) -> None:
        """Give facts to those of the first ``count`` peels that have none."""
        made: Dict[str, Any] = documents(count)
        self.raw.fill("facts", {one: made[one] for number, one in enumerate(made) if number >= self._have_facts})
        self._have_facts = count

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.basket.close()
        self.raw.close()
        self.server.stop()
        self._directory.cleanup()

    @property
    def version(self) -> str:
        return self.basket.status().server_version

    def ids(self, count: int) -> List[str]:
        """``count`` ids, spread over the fleet."""
        step = max(1, self.values // count)
        return [peel_id(n * step) for n in range(min(count, self.values))]
