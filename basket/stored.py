"""How much a Basket's server holds at all, and since when: what tells a basket that was wiped from one that was emptied.

A value that is deleted leaves a marker behind, which counts as a message. So buckets without any message are new ones.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, Optional

from basket.errors import BucketMissingError, PermissionDeniedError

if TYPE_CHECKING:
    from basket.bus.bucket import Bucket
    from basket.client import Basket


class Held(NamedTuple):
    """Of one bucket: ``created`` as the server says it (None where there is no bucket, or it may not be looked at), and how
    many ``messages`` (one where it may not be looked at)."""

    created: Optional[str]
    messages: int


class Stored(NamedTuple):
    values: Held
    facts: Held


def stored(basket: Basket, *, timeout: Optional[float] = None) -> Stored:
    """Two questions to the server. Blocks, any thread; raises what every query raises, but not for a missing bucket."""
    deadline = time.monotonic() + (basket.timeout if timeout is None else timeout)
    return Stored(_held(basket._basket, deadline), _held(basket._facts, deadline))


def _held(bucket: Bucket, deadline: float) -> Held:
    try:
        info = bucket.info(deadline=deadline)
    except BucketMissingError:
        return Held(None, 0)
    except PermissionDeniedError:
        return Held(None, 1)  # it is there, and what it holds is none of our business
    state = info.get("state") or {}
    return Held(str(info.get("created")), int(state.get("messages") or 0))
