"""What these credentials allow, tried: each thing that an agent and a query do, done once. Leaves no value behind."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Callable, Iterator, Optional, Tuple

from basket.checking.result import FAILED, OK, WARNING, Area, Result
from basket.checking.server import LIMITED
from basket.errors import BasketError, JetStreamError, PermissionDeniedError, ServerError

if TYPE_CHECKING:
    from basket.bus.bucket import Bucket
    from basket.client import Basket

PROBE = "check.probe"
"""The function that is published for a moment."""

STRANGER = "zester-basket-check"
"""A peel that nobody is: what happens when we write under another's id."""

NEVER = {"Nats-Expected-Last-Subject-Sequence": str(2**53 - 1)}
"""No key ever has this revision: the server refuses the write after it has looked at the grants, so nothing is stored."""

ADVICE = "zester-basket permissions PEEL prints what a peel needs, for the server's configuration"

Try = Tuple[str, Callable[[], object]]


def tried(one: Basket, *, reader: bool = False, reads: str = "") -> Iterator[Result]:
    """Write, read, watch, delete; facts, heartbeat; and that others' keys are closed.

    ``reader``: it is to write nothing. ``reads``: a function that it may read, where it may not read all; facts are beside
    the point then.
    """
    values, facts, beats = one.buckets
    me, function = one.peel_id, reads or PROBE
    writes: Tuple[Try, ...] = (
        ("write own values", lambda: one.publish(PROBE, "written by zester-basket check, soon gone")),
        ("write own facts", lambda: _refused_write(one, facts, me)),
        ("write own heartbeat", lambda: _refused_write(one, beats, me)),
    )
    looks: Tuple[Try, ...] = (
        ("read single values", lambda: one.value(me, function, None)),
        ("read many values", lambda: one.get("*", function, scope="")),
        ("watch values", lambda: one.watch(me, function, scope="").stop()),
    )
    by_fact: Tuple[Try, ...] = (("read facts", lambda: one.peels(f"{me} and G@check.probe:x", scope="")),)
    good = []
    for name, attempt in (*(() if reader else writes), *looks, *(() if reads else by_fact)):
        problem = _try(name, attempt)
        if problem is None:
            good.append(name)
            continue
        yield problem
        if one.state != "connected":
            return  # everything else would fail for that
    if "write own values" in good:
        problem = _try("delete own values", lambda: one.delete(PROBE))
        if problem is None:
            good.append("delete own values")
        else:
            yield problem
    if good:
        yield Result(Area.SERVER, "grants", OK, "may " + ", ".join(good))
    yield from _closed(one, values)


def _try(name: str, attempt: Callable[[], object]) -> Optional[Result]:
    """None where it works, or else what went wrong."""
    try:
        attempt()
    except PermissionDeniedError as error:
        return Result(Area.SERVER, "grants", FAILED, f"may not {name}: {error}", f"{ADVICE}; {LIMITED}")
    except ServerError as error:
        denied = error.__cause__ if isinstance(error.__cause__, PermissionDeniedError) else None
        what = f"may not {name}" if denied else f"cannot {name}"
        return Result(Area.SERVER, "grants", FAILED, f"{what}: {error}", f"{ADVICE}; {LIMITED}" if denied else "")
    except BasketError as error:
        return Result(Area.SERVER, "grants", FAILED, f"cannot {name}: {error}")
    return None


def _refused_write(one: Basket, bucket: Bucket, key: str) -> None:
    """A write that is refused for its condition, which is looked at after the grants. Raises whatever else refuses it."""
    from basket.bus.guarded import WRONG_SEQUENCE

    try:
        bucket.put(key, b"\xc0", deadline=time.monotonic() + one.timeout, headers=NEVER)
    except JetStreamError as error:
        if error.code not in WRONG_SEQUENCE:
            raise


def _closed(one: Basket, values: Bucket) -> Iterator[Result]:
    """Whether others' keys are out of our reach. Where the server asks nobody who they are, that has been said already."""
    client = values.link.client
    if client is None or not client.asks_who:
        return
    try:
        _refused_write(one, values, f"{STRANGER}.{PROBE}")
    except PermissionDeniedError:
        yield Result(Area.SERVER, "grants", OK, "may not write other peels' values, as it should be")
    except BasketError:
        return  # it says nothing about grants, and what is wrong has been told above
    else:
        yield Result(Area.SERVER, "grants", WARNING, "may write other peels' values too: more than a peel needs", ADVICE)
