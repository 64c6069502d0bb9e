"""Whether a rendering may be believed, given the last one: after the store was wiped, what is there now is not all there is.

A bucket that was made anew fills up again as its peels notice. Until it has had time for that, a list that has lost
members is not written; one that has become empty is not written however long it lasts, since nobody has left: whoever
leaves deletes, and that is done in a bucket that is still the same.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Callable, Dict, FrozenSet, NamedTuple, Optional, Tuple

from basket.errors import BucketMissingError, PermissionDeniedError, TooFewError
from basket.template.asking import Query
from basket.template.rendering import Attempt

if TYPE_CHECKING:
    from basket.bus.bucket import Bucket
    from basket.client import Basket

REFILL = 30.0
"""Seconds that peels have to notice that a store was wiped, and to write everything again. They need a few."""


class Held(NamedTuple):
    """Of one bucket: ``created`` as the server says it (None where there is no bucket, or it may not be looked at), and how
    many ``messages`` (one where it may not be looked at). What is deleted leaves a marker behind, which counts as one: so a
    bucket without any is a new one."""

    created: Optional[str]
    messages: int


class Stored(NamedTuple):
    """Of the values and of the facts."""

    values: Held
    facts: Held


def stored(basket: Basket) -> Stored:
    """Two questions to the server. Blocks, any thread; raises what every query raises, but not for a missing bucket."""
    deadline = time.monotonic() + basket.timeout
    values, facts, _ = basket.buckets
    return Stored(_held(values, deadline), _held(facts, deadline))


def _held(bucket: Bucket, deadline: float) -> Held:
    try:
        info = bucket.info(deadline=deadline)
    except BucketMissingError:
        return Held(None, 0)
    except PermissionDeniedError:
        return Held(None, 1)  # it is there, and what it holds is none of our business
    state = info.get("state") or {}
    return Held(str(info.get("created")), int(state.get("messages") or 0))


class Memory:
    """Of one template: who was in its lists when it was written last. For one thread."""

    def __init__(self, clock: Callable[[], float], stored: Callable[[], Stored]) -> None:
        self._clock = clock
        self._stored = stored
        self._peels: Dict[Query, FrozenSet[str]] = {}
        self._made: Optional[Tuple[Optional[str], Optional[str]]] = None  # values, facts
        self._now: Optional[Tuple[Optional[str], Optional[str]]] = None
        self._noticed: Optional[float] = None

    @property
    def doubting(self) -> bool:
        """Whether the store was wiped, and nothing has been written since."""
        return self._noticed is not None

    def doubt(self, attempt: Attempt) -> None:
        """TooFewError where this rendering must not replace the last one yet."""
        held = self._stored()
        self._now = (held.values.created, held.facts.created)
        if self._made is None or self._now == self._made:
            self._noticed = None
            return
        if self._noticed is None:
            self._noticed = self._clock()
        for query, before in self._peels.items():
            answer = attempt.answers.get(query)
            if answer is None or not before:
                continue
            lost = sorted(before - {entry.peel_id for entry in answer.entries})
            if not answer.entries:
                raise TooFewError(f"{query}: the store was wiped, and gives nothing since; it gave {len(before)} before")
            if lost and self._clock() - self._noticed < REFILL:
                some = ", ".join(lost[:3]) + (", ..." if len(lost) > 3 else "")
                raise TooFewError(f"{query}: the store was wiped, and is still without {len(lost)} of {len(before)}: {some}")

    def written(self, attempt: Attempt) -> None:
        """This rendering is what the file holds now."""
        self._peels = {query: frozenset(entry.peel_id for entry in answer.entries) for query, answer in attempt.answers.items()}
        self._made, self._noticed = self._now, None
