"""Who is alive: heartbeats written, and read as online or not.

A heartbeat's key lives as long as its bucket's time to live (30 s), so a key that exists means a peel that is alive.
"""

from __future__ import annotations

import datetime
import time
from typing import Callable, Dict, FrozenSet, List, Optional, Tuple

import basket
from basket.bus import bulk
from basket.bus.bucket import Bucket
from basket.bus.record import Record, moment
from basket.codec import encode
from basket.errors import BucketMissingError, PermissionDeniedError
from basket.query import Alive

HEARTBEAT_LIFE = 30.0
"""Seconds for which a heartbeat says that its peel is alive. The bucket drops it then, without telling anybody."""

PROTOCOL = 1
"""Version of what peels say to each other, as told in a heartbeat."""

NOBODY_KNOWS = (BucketMissingError, PermissionDeniedError)
"""Why it may be unknown for good who is alive: values are answered without it then."""

FEW = 64
"""Up to so many peels are asked for by name; for more the whole list is fetched."""

LIST_AGE = 5.0
"""Seconds for which the list of more than a few peels serves the next queries. A heartbeat is only written every 10 s and lives
for 30."""


def heartbeat(now: datetime.datetime) -> bytes:
    """The bytes of one heartbeat: time, version of this software, version of the protocol."""
    return encode({"ts": now, "version": basket.__version__, "protocol": PROTOCOL})


class Presence:
    """Reads the heartbeat bucket. Any thread; every method takes a deadline on ``time.monotonic()``."""

    def __init__(self, bucket: Bucket, clock: Callable[[], float] = time.monotonic) -> None:
        self._bucket = bucket
        self._clock = clock
        self._list: FrozenSet[str] = frozenset()
        self._listed_at = float("-inf")

    def of(self, peel_ids: List[str], *, deadline: float, fresh: bool = False) -> Alive:
        """Tells of each id whether that peel is alive; None for all where nobody may know (no bucket, no permission).

        ``fresh`` refuses a list that is some seconds old.
        """
        if len(peel_ids) > FEW:
            return self.listed(deadline=deadline, fresh=fresh)
        try:
            return frozenset(bulk.read_keys(self._bucket, peel_ids, bulk.as_stored, deadline=deadline)).__contains__
        except NOBODY_KNOWS:
            if fresh:
                raise
            return _unknown

    def beside(
        self, wanted: List[Tuple[Bucket, str]], peel_ids: List[str], *, deadline: float, insist: bool
    ) -> Tuple[List[Record], Alive]:
        """The ``wanted`` values that are there, and who of ``peel_ids`` is alive, in one exchange. As ``of`` where nobody may
        know of heartbeats, unless one has to ``insist``."""
        beats = [(self._bucket, peel_id) for peel_id in peel_ids]
        try:
            found = bulk.read_few([*wanted, *beats], deadline=deadline)
        except NOBODY_KNOWS:
            if insist:
                raise
            found = bulk.read_few(wanted, deadline=deadline)
            return [record for record in found if record is not None], _unknown
        alive = frozenset(peel_id for peel_id, record in zip(peel_ids, found[len(wanted) :]) if record is not None)
        return [record for record in found[: len(wanted)] if record is not None], alive.__contains__

    def last_seen(self, *, deadline: float) -> Optional[Dict[str, datetime.datetime]]:
        """The time of the last heartbeat of every peel that is alive; None where nobody may know."""
        try:
            return bulk.read(self._bucket, "*", lambda peel_id, record: moment(record.stamp), deadline=deadline)
        except NOBODY_KNOWS:
            return None

    def listed(self, *, deadline: float, fresh: bool = False) -> Alive:
        """As ``of``, of peels that are not known yet, which may be all."""
        if fresh or len(self._list) <= FEW or self._clock() - self._listed_at > LIST_AGE:
            begun = self._clock()
            try:
                # Names only, for a fraction of what their values cost. What is deleted by hand, which we never do, stays in it as
                # a marker until that expires like a heartbeat.
                self._list = frozenset(self._bucket.subjects("*", deadline=deadline))
            except NOBODY_KNOWS:
                if fresh:
                    raise
                return _unknown
            self._listed_at = begun
        return self._list.__contains__


def _unknown(peel_id: str) -> Optional[bool]:
    return None
