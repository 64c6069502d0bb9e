"""What a query gives back: one value of one peel, and what is known of a peel. Immutable, no I/O."""

from __future__ import annotations

import datetime
from typing import Any, NamedTuple, Optional

from basket.bus.record import Record, moment
from basket.codec import decode
from basket.errors import DecodeError

_new = tuple.__new__


class _Fields(NamedTuple):
    peel_id: str
    function: str
    value: Any
    revision: int
    stamp: Any
    online: Optional[bool]
    error: Optional[str]


class Entry(_Fields):
    """One value that a peel publishes.

    ``peel_id``, ``function``; ``value`` as decoded, None where ``error`` says why it could not be; ``revision``, the number
    that JetStream gave this write; ``online``: whether the peel's heartbeat is alive, None where no heartbeats are known.
    Safe to share between threads.
    """

    __slots__ = ()

    @property
    def updated(self) -> datetime.datetime:
        """When it was written, by the server's clock: an aware datetime in UTC. An unchanged value is not written again."""
        return moment(self.stamp)

    def __repr__(self) -> str:
        content = f"error={self.error!r}" if self.error is not None else f"value={self.value!r}"
        return (
            f"Entry(peel_id={self.peel_id!r}, function={self.function!r}, {content}, revision={self.revision}, "
            f"updated={self.updated.isoformat()!r}, online={self.online})"
        )


class Peel(NamedTuple):
    """What is known of a peel: ``os`` from its facts, ``online`` as in Entry, ``last_seen`` its last heartbeat while it is
    alive, else when it last wrote its facts, by the server's clock. Unknown parts are None."""

    peel_id: str
    os: Optional[str]
    online: Optional[bool]
    last_seen: Optional[datetime.datetime]


def entry(record: Record, peel_id: str, function: str, online: Optional[bool]) -> Entry:
    """The Entry for a stored record; a value that cannot be decoded becomes its ``error`` and breaks nothing."""
    try:
        # Not through Entry(...), for what its __new__ costs where there are thousands; so does looking for fields by name.
        return _new(Entry, (peel_id, function, decode(record[1]), record[2], record[3], online, None))
    except DecodeError as error:
        return Entry(peel_id, function, None, record.revision, record.stamp, online, str(error))
