"""Writes to keys of our own that an older write of ours can never follow. Plain blocking code on a Bucket.

A write whose acknowledgement never came may still be under way: in the socket of a frozen server, in a cut-off part of a
cluster. Were it stored after a newer one, the older value would win, unnoticed. So every write names the revision that it
follows (``Nats-Expected-Last-Subject-Sequence``, checked by JetStream): once a newer one is stored, the older is refused.
"""

from __future__ import annotations

import re
from typing import Dict, Iterable, Mapping, Tuple

from basket.bus.bucket import DELETED, Bucket
from basket.errors import BasketError, JetStreamError

FOLLOWS = "Nats-Expected-Last-Subject-Sequence"

WRONG_SEQUENCE = (10071, 10164)
"""JetStream's error codes for a write that does not follow the one it names; only the first tells the actual number."""

ROUNDS = 20
"""Tries against somebody else who writes the same key all the time."""

HEADER_BYTES = 128
"""More than the headers of a guarded write take."""

_ACTUAL = re.compile(r"wrong last sequence: (\d+)")


class Guarded:
    """Remembers the last revision of each key it wrote. Any thread; every method until ``deadline`` (``time.monotonic()``),
    with the errors of Bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._last: Dict[str, int] = {}

    def put(self, key: str, data: bytes, *, deadline: float, deleted: bool = False) -> int:
        """Store a value, or a marker of deletion; its revision."""
        for _ in range(ROUNDS):
            try:
                revision = self._bucket.put(key, data, deadline=deadline, headers=self._headers(key, len(data), deleted))
            except JetStreamError as error:
                if error.code not in WRONG_SEQUENCE:
                    raise
                self._last[key] = self._actual(key, error, deadline)
                continue
            self._last[key] = revision
            return revision
        raise self._contended(key)

    def put_many(
        self, values: Mapping[str, bytes], *, deadline: float, deleted: bool = False
    ) -> Tuple[Dict[str, int], Dict[str, BasketError]]:
        """Store many, all on their way at once: revisions by key, and errors by key."""
        stored: Dict[str, int] = {}
        failed: Dict[str, BasketError] = {}
        todo = dict(values)

        def headers(key: str) -> Dict[str, str]:
            return self._headers(key, len(values[key]), deleted)

        for _ in range(ROUNDS):
            try:
                done, refused = self._bucket.put_many(todo, deadline=deadline, headers=headers)
            except BasketError as broken:
                if not stored and not failed:
                    raise
                failed.update(dict.fromkeys(todo, broken))  # the others are stored
                return stored, failed
            stored.update(done)
            self._last.update(done)
            todo = {}
            for key, error in refused.items():
                if isinstance(error, JetStreamError) and error.code in WRONG_SEQUENCE:
                    try:
                        self._last[key] = self._actual(key, error, deadline)
                        todo[key] = values[key]
                    except BasketError as unread:
                        failed[key] = unread
                else:
                    failed[key] = error
            if not todo:
                return stored, failed
        failed.update({key: self._contended(key) for key in todo})
        return stored, failed

    def delete(self, key: str, *, deadline: float) -> bool:
        """Mark a key deleted; False, and nothing written, where there was no value."""
        record = self._bucket.last(key, deadline=deadline)
        if record is None or record.deleted:
            return False
        self._last[key] = record.revision
        self.put(key, b"", deadline=deadline, deleted=True)
        return True

    def delete_many(self, keys: Iterable[str], *, deadline: float) -> Tuple[Dict[str, int], Dict[str, BasketError]]:
        """Mark many keys deleted, without looking whether they are there; answers as ``put_many``."""
        return self.put_many(dict.fromkeys(keys, b""), deadline=deadline, deleted=True)

    def _headers(self, key: str, size: int, deleted: bool) -> Dict[str, str]:
        if deleted:
            return {FOLLOWS: str(self._last.get(key, 0)), **DELETED}
        if size + HEADER_BYTES > self._bucket.link.max_payload:
            return {}  # the server counts headers too, and the value matters more
        # A key that we never wrote is taken to be new; where it is not, the refusal tells its revision: no read is needed.
        return {FOLLOWS: str(self._last.get(key, 0))}

    def _actual(self, key: str, error: JetStreamError, deadline: float) -> int:
        told = _ACTUAL.search(str(error))
        if told is not None:
            return int(told.group(1))
        record = self._bucket.last(key, deadline=deadline)
        return 0 if record is None else record.revision

    def _contended(self, key: str) -> JetStreamError:
        return JetStreamError(f"{key!r} is being written by somebody else all the time: do two hosts share one peel id?")
