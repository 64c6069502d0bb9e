"""An ephemeral consumer that delivers the last value of each key, then what follows: the request that makes it, and what the
server says between deliveries. Pure."""

from __future__ import annotations

import json
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from basket.bus.headers import Headers, header, status


def consumer_request(
    stream: str,
    name: str,
    inbox: str,
    subjects: List[str],
    *,
    heartbeat: float,
    inactive: float,
    headers_only: bool = False,
) -> Tuple[str, bytes]:
    """Subject and body. ``heartbeat``: seconds between the server's words when there is nothing to deliver; ``inactive``:
    seconds without a listener after which the server removes the consumer by itself, should we die before we do it.

    A single filter stands in the subject of the request too: that is what permissions can limit.
    """
    single = len(subjects) == 1
    config: Dict[str, Any] = {
        "name": name,
        "deliver_subject": inbox,
        "deliver_policy": "last_per_subject",
        "ack_policy": "none",
        "replay_policy": "instant",
        "max_deliver": 1,
        "flow_control": True,
        "idle_heartbeat": int(heartbeat * 1e9),
        "inactive_threshold": int(inactive * 1e9),
        "headers_only": headers_only,
        "mem_storage": True,
        "num_replicas": 1,
    }
    config.update({"filter_subject": subjects[0]} if single else {"filter_subjects": subjects})
    subject = f"$JS.API.CONSUMER.CREATE.{stream}.{name}" + (f".{subjects[0]}" if single else "")
    return subject, json.dumps({"stream_name": stream, "config": config}).encode()


class Word(NamedTuple):
    """What the server says when it has nothing to deliver. ``last``: the number of its last delivery; ``stalled``: it waits for
    us. With a reply subject it asks whether we keep up."""

    last: Optional[int]
    stalled: bool


def word(headers: Headers, data: bytes) -> Optional[Word]:
    """The server's word in a message that is no delivery (whoever wrote a delivered one may have put the same there)."""
    if data or status(headers) != 100:
        return None
    last = header(headers, "Nats-Last-Consumer")
    return Word(int(last) if last is not None and last.isdigit() else None, header(headers, "Nats-Consumer-Stalled") is not None)
