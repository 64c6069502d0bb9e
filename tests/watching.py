"""What the tests of everything live share: waiting for a condition, counting what is left on the server, JetStream's API."""

from __future__ import annotations

import json
import time

from harness import ours as our_threads  # noqa: F401
from harness import wait_for


def until(condition, timeout=5.0, what="it"):
    return wait_for(condition, timeout, what, every=0.005)


def api(b, subject, body=None):
    """One request to JetStream's API, outside of what is tested."""
    data = b"" if body is None else json.dumps(body).encode()
    return json.loads(b._link.request(f"$JS.API.{subject}", data, deadline=time.monotonic() + 5).data)


def consumers(b, bucket="basket"):
    """How many consumers the server holds for a bucket."""
    return api(b, f"STREAM.INFO.KV_{bucket}")["state"]["consumer_count"]


def consumer_names(b, bucket="basket"):
    return [each["name"] for each in api(b, f"CONSUMER.LIST.KV_{bucket}", {"offset": 0})["consumers"] or []]


def empty(b):
    """All three buckets made anew, so that tests on one server do not see each other's peels."""
    for bucket in ("basket", "facts", "peel-heartbeat"):
        api(b, f"STREAM.DELETE.KV_{bucket}")


def raw(b, key, data, bucket="basket"):
    """Bytes as another implementation, or a broken one, may write them."""
    made = {"basket": b._basket, "facts": b._facts, "peel-heartbeat": b._heartbeats}[bucket]
    return made.put(key, data, deadline=time.monotonic() + 5)


def brief(change):
    """A change, or entry, as far as most tests care."""
    return (*(() if not hasattr(change, "kind") else (change.kind,)), change.peel_id, change.value)


class Heard:
    """A callback that remembers, and waits for what it is to hear."""

    def __init__(self):
        self.changes = []

    def __call__(self, change):
        self.changes.append(change)

    @property
    def brief(self):
        return [brief(change) for change in self.changes]

    def table(self):
        """What a consumer that believes every change would hold now."""
        held = {}
        for change in list(self.changes):
            if change.kind == "put":
                held[change.peel_id, change.function] = change.value
            else:
                held.pop((change.peel_id, change.function), None)
        return held

    def wait_for(self, count, timeout=5.0):
        until(lambda: len(self.changes) >= count, timeout, f"change {count}; heard {self.brief}")
        return self.brief
