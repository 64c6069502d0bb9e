"""What a Basket gives back: values and their changes, what is known of a peel, how things stand. Immutable, no I/O."""

from __future__ import annotations

import datetime
from typing import Any, NamedTuple, Optional, Tuple

from basket.bus.record import Plain, moment
from basket.codec import decode
from basket.errors import BasketError, DecodeError

_new = tuple.__new__


class _Told:
    """What Entry and Change have in common."""

    __slots__ = ()

    @property
    def updated(self: Any) -> datetime.datetime:
        """When it was written, by the server's clock: an aware datetime in UTC. An unchanged value is not written again."""
        return moment(self.stamp)

    def __repr__(self: Any) -> str:
        without = "error" if self.error is None else "value"
        shown = {name: value for name, value in zip(self._fields, self) if name != without}
        parts = (f"updated={self.updated.isoformat()!r}" if name == "stamp" else f"{name}={shown[name]!r}" for name in shown)
        return f"{type(self).__name__}({', '.join(parts)})"


class _EntryFields(NamedTuple):
    peel_id: str
    function: str
    value: Any
    revision: int
    stamp: Any
    online: Optional[bool]
    error: Optional[str]


class Entry(_Told, _EntryFields):
    """One value that a peel publishes.

    ``peel_id``, ``function``; ``value`` as decoded, None where ``error`` says why it could not be; ``revision``, the number
    that JetStream gave this write; ``online``: whether the peel's heartbeat is alive, None where no heartbeats are known.
    Safe to share between threads.
    """

    __slots__ = ()


def entry(record: Plain, peel_id: str, function: str, online: Optional[bool]) -> Entry:
    """The Entry for a stored record; a value that cannot be decoded becomes its ``error`` and breaks nothing."""
    try:
        # Fields by number, and not through Entry(...): there may be thousands.
        return _new(Entry, (peel_id, function, decode(record[1]), record[2], record[3], online, None))
    except DecodeError as error:
        return Entry(peel_id, function, None, record[2], record[3], online, str(error))


class _ChangeFields(NamedTuple):
    kind: str
    peel_id: str
    function: str
    value: Any
    revision: int
    stamp: Any
    online: Optional[bool]
    error: Optional[str]


class Change(_Told, _ChangeFields):
    """``kind`` is "put", or "delete" where the value is gone or its peel no longer matches; then as Entry.

    Of a deletion ``value`` is None, ``revision`` and ``updated`` are those of the value that was delivered last.
    """

    __slots__ = ()


class Peel(NamedTuple):
    """What is known of a peel: ``os`` from its facts, ``online`` as in Entry, ``last_seen`` its last heartbeat while it is
    alive, else when it last wrote its facts, by the server's clock. Unknown parts are None."""

    peel_id: str
    os: Optional[str]
    online: Optional[bool]
    last_seen: Optional[datetime.datetime]


class MirrorStatus(NamedTuple):
    """``functions``: those covered, None for all; ``current``: whether it is complete and its connection up; ``values`` and
    ``peels`` it holds; ``reads``: how many times everything had to be read anew."""

    functions: Optional[Tuple[str, ...]]
    current: bool
    values: int
    peels: int
    reads: int


class Status(NamedTuple):
    """``state``: connected, suspended or closed; ``error``: why it is suspended; ``connections`` made so far;
    ``mirror``: None without one."""

    state: str
    error: Optional[BasketError]
    connections: int
    server_version: str
    mirror: Optional[MirrorStatus]
