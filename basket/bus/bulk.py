"""Many values of a bucket in as few exchanges as the server allows. Plain blocking code on a Bucket.

Three ways, all measured: a batched direct get by exact subjects (``multi_last``: at most 1,024), one by pattern
(``next_by_subj``: no limit, pages), and an ephemeral consumer that delivers the last value of each key: for servers before
2.11, for buckets without direct gets, and where a bucket's history would have us fetch mostly old values. See NATS ADR-31.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Set, Tuple, TypeVar

from basket.bus import translate
from basket.bus.bucket import Bucket
from basket.bus.consumer import consumer_request, word
from basket.bus.headers import NO_RESPONDERS, NOT_FOUND, Headers, header, status
from basket.bus.record import Plain, Record, delivery, from_delivery, from_direct, take_direct_run
from basket.bus.waiters import BatchWaiter
from basket.errors import BasketTimeoutError, BucketMissingError, JetStreamError, PermissionDeniedError

MOST_SUBJECTS = 1000
"""Subjects in one ``multi_last``; the server stops at 1,024."""

MOST_FILTERS = 100
"""Patterns of one consumer."""

PAGE_BYTES = 32 << 20
"""Bytes in one page of a batch: what is held twice for a moment while it is taken apart."""

HEARTBEAT = 1.0
"""Seconds without a delivery after which the server tells how far it came."""

SETTLE = 0.3
"""Seconds for which values that were there, and seem to have gone, may still come with their new ones."""

BATCHED_SINCE = (2, 11)
END_OF_BATCH = 204

T = TypeVar("T")

Each = Callable[[str, Record], Optional[T]]
"""Called with a key and its record."""

Make = Callable[[Sequence[Plain]], Dict[str, Optional[T]]]
"""Makes of some records whatever is wanted, by any name that is the same for the same key; None of what is not wanted, and of
markers of deletion."""

HISTORY_WORTH = 1.5
"""Stored messages per key from which on a consumer, which sends only the last of each, is the cheaper way."""


def as_stored(key: str, record: Record) -> Record:
    """The plainest ``each``."""
    return record


def read(bucket: Bucket, pattern: str, each: Each[T], *, deadline: float) -> Dict[str, T]:
    """What ``each`` makes of the last value of every key that matches the pattern (``*`` one part, ``>`` the rest), by key.
    Markers of deletion, and what it makes None of, are left out."""
    return read_parts(bucket, pattern, _keyed(bucket, each), deadline=deadline)


def read_parts(bucket: Bucket, pattern: str, make: Make[T], *, deadline: float) -> Dict[str, T]:
    """The same where there may be many thousands: ``make`` is called on this thread with part after part, in the order in which
    they were written, while the rest is still coming."""
    bucket.link.ready(deadline)  # what the server can do is known then
    subject = bucket.spec.prefix + pattern
    found = _by_pattern(bucket, subject, make, deadline) if _batches(bucket) and not _mostly_history(bucket, deadline) else None
    if found is None:
        bucket.require(deadline=deadline)
        there = _listed(bucket, pattern, deadline)
        records = consume(bucket, [subject], deadline=deadline)
        found = make(records + _passed_over(bucket, there, records, deadline))
    return _present(found)


def read_keys(bucket: Bucket, keys: Iterable[str], each: Each[T], *, deadline: float) -> Dict[str, T]:
    """As ``read``, of exactly these keys."""
    bucket.link.ready(deadline)
    make = _keyed(bucket, each)
    wanted = list(dict.fromkeys(keys))
    found: Dict[str, Optional[T]] = {}
    for start in range(0, len(wanted), MOST_SUBJECTS):
        left = _by_list(bucket, wanted[start : start + MOST_SUBJECTS], make, found, deadline)
        if left:  # what a server before 2.11 offers for a list of keys
            singly = read_few([(bucket, key) for key in left], deadline=deadline)
            found.update(make([record for record in singly if record is not None]))
    return _present(found)


def _by_list(bucket: Bucket, keys: List[str], make: Make[T], found: Dict[str, Optional[T]], deadline: float) -> List[str]:
    """Add what batches give for these keys to ``found``; the keys that have to be asked for in another way."""
    while _batches(bucket):
        answer = _ask(bucket, {"multi_last": [bucket.spec.prefix + key for key in keys]}, make, found, deadline)
        if answer is None:
            break
        if _is_whole(answer):
            return []
        # The server stops where an answer gets too large, and says how many are left.
        come = {record[0] for record in answer.taken}
        left = [key for key in keys if bucket.spec.prefix + key not in come]
        if len(left) == len(keys):
            raise JetStreamError(f"bucket {bucket.spec.name!r}: {len(left)} values are there, and none of them came")
        keys = left
    return keys


def _listed(bucket: Bucket, pattern: str, deadline: float) -> List[str]:
    if not bucket.hidden:
        try:
            return bucket.subjects(pattern, deadline=deadline)
        except PermissionDeniedError:  # as a reader of some functions only
            bucket.found_hidden()
    return []


def _keyed(bucket: Bucket, each: Each[T]) -> Make[T]:
    skip = len(bucket.spec.prefix)

    def make(records: Sequence[Plain]) -> Dict[str, Optional[T]]:
        return {record[0][skip:]: None if record[4] else each(record[0][skip:], Record._make(record)) for record in records}

    return make


def _present(found: Dict[str, Optional[T]]) -> Dict[str, T]:
    return {name: made for name, made in found.items() if made is not None}


def _batches(bucket: Bucket) -> bool:
    return bucket.direct and not bucket.limited and bucket.link.server_version >= BATCHED_SINCE


def _ask(
    bucket: Bucket, body: Dict[str, object], make: Make[T], found: Dict[str, Optional[T]], deadline: float
) -> Optional[BatchWaiter]:
    """One batch, what was made of it added to ``found``; None where this server or bucket cannot do it, or these credentials
    may not."""
    data = json.dumps(body).encode()
    subject = f"$JS.API.DIRECT.GET.{bucket.spec.stream}"
    mine: Dict[str, Optional[T]] = {}

    def waiter() -> BatchWaiter:
        mine.clear()  # asked on another connection, from the beginning
        return BatchWaiter(subject, from_direct, take_direct_run, lambda records: mine.update(make(records)))

    bucket.require(deadline=deadline)
    for _ in bucket.attempts(deadline):
        if not _batches(bucket):
            return None
        try:
            answer = bucket.link.batch(waiter, data, deadline=deadline)
        except PermissionDeniedError:
            bucket.found_limited()
            return None
        if answer.single:  # a server that ignored what it does not know
            return None
        if answer.end == NO_RESPONDERS:
            bucket.absent(deadline=deadline, make=False)
            continue
        bucket.seen()
        if answer.end not in (END_OF_BATCH, NOT_FOUND):
            raise JetStreamError(f"bucket {bucket.spec.name!r}: a batched read was answered with status {answer.end}")
        found.update(mine)
        return answer
    raise bucket.unanswered()


def _is_whole(answer: BatchWaiter) -> bool:
    """Whether the closing status says that nothing is left."""
    return header(answer.end_headers, "Nats-Num-Pending") in (None, "0")


def _passed_over(bucket: Bucket, there: Iterable[str], records: List[Record], deadline: float) -> List[Record]:
    """What a consumer did not deliver of the keys that were there before: of a key that is written again in the meantime the
    old value is gone, and the new one stands behind the end."""
    skip = len(bucket.spec.prefix)
    come = {record.subject[skip:] for record in records}
    missing = [(bucket, key) for key in there if key not in come]
    return [record for record in read_few(missing, deadline=deadline) if record is not None] if missing else []


def _mostly_history(bucket: Bucket, deadline: float) -> bool:
    if bucket.spec.history == 1:
        return False
    try:
        state = bucket.info(deadline=deadline).get("state", {})
    except BucketMissingError:
        bucket.absent(deadline=deadline, make=False)
        return False
    return bool(state.get("messages", 0) > HISTORY_WORTH * max(1, state.get("num_subjects", 0)))


def _by_pattern(bucket: Bucket, subject: str, make: Make[T], deadline: float) -> Optional[Dict[str, Optional[T]]]:
    found: Dict[str, Optional[T]] = {}
    start = 1
    while True:
        body = {"seq": start, "next_by_subj": subject, "batch": 1_000_000, "max_bytes": PAGE_BYTES}
        answer = _ask(bucket, body, make, found, deadline)
        if answer is None:
            return None
        page: List[Plain] = answer.taken
        # The closing status says how many are left: a page ends where the size, or the server's own bound, is reached.
        if not page or _is_whole(answer):
            return found
        start = page[-1][2] + 1


def read_few(wanted: Sequence[Tuple[Bucket, str]], *, deadline: float) -> List[Optional[Record]]:
    """The values of some keys, of several buckets even, each by a request of its own, all on their way at once; None where
    there is none. All buckets share one link."""
    found: List[Optional[Record]] = [None] * len(wanted)
    for bucket in {id(bucket): bucket for bucket, _ in wanted}.values():
        bucket.require(deadline=deadline)
    asked = [index for index, (bucket, _) in enumerate(wanted) if bucket.direct]
    unanswered = [index for index, (bucket, _) in enumerate(wanted) if not bucket.direct]
    if asked:
        subjects = [f"$JS.API.DIRECT.GET.{b.spec.stream}.{b.spec.prefix}{key}" for b, key in (wanted[i] for i in asked)]
        answers = wanted[0][0].link.request_many(subjects, [b""] * len(asked), deadline=deadline)
        if answers.errors:
            raise next(iter(answers.errors.values()))
        for place, reply in answers.replies.items():
            index = asked[place]
            code = 0 if reply.data else status(reply.headers)
            if code == NO_RESPONDERS:
                unanswered.append(index)
            elif code != NOT_FOUND:
                wanted[index][0].seen()
                found[index] = from_direct(*reply)
    for index in unanswered:
        bucket, key = wanted[index]
        found[index] = bucket.last(key, deadline=deadline)  # finds out why, and what else can be done
    return [None if record is None or record.deleted else record for record in found]


def live_keys(bucket: Bucket, patterns: Sequence[str], there: Iterable[str] = (), *, deadline: float) -> List[str]:
    """The keys, without their values, that match a pattern and are not deleted. Patterns must not overlap. ``there``: those
    that ``subjects`` has listed for them before."""
    prefix = bucket.spec.prefix
    records: List[Record] = []
    for start in range(0, len(patterns), MOST_FILTERS):
        subjects = [prefix + pattern for pattern in patterns[start : start + MOST_FILTERS]]
        records.extend(consume(bucket, subjects, deadline=deadline, headers_only=True))
    records.extend(_passed_over(bucket, there, records, deadline))
    return [record.subject[len(prefix) :] for record in records if not record.deleted]


def consume(bucket: Bucket, subjects: List[str], *, deadline: float, headers_only: bool = False) -> List[Record]:
    """Through a consumer that delivers the last message of each matching subject, and is removed at the end."""
    while True:
        records = _consume_once(bucket, subjects, headers_only, deadline)
        if records is not None:
            return records


def _consume_once(bucket: Bucket, subjects: List[str], headers_only: bool, deadline: float) -> Optional[List[Record]]:
    """None where the connection went meanwhile: all over again on the next one."""
    records: List[Record] = []
    near, done, lost = threading.Event(), threading.Event(), threading.Event()
    subjects_come: Set[bytes] = set()
    expected: List[float] = [float("inf")]
    pending = [0]

    def complete() -> bool:
        return not pending[0] and len(subjects_come) >= expected[0]

    def end() -> None:
        done.set()
        near.set()

    def gone() -> None:
        lost.set()
        end()

    def receive(about: bytes, reply: bytes, headers: Headers, data: bytes) -> None:
        place = delivery(reply)
        if place is None:
            told = word(headers, data)
            if told is not None and reply:
                bucket.link.send(reply.decode(), b"")
            elif told is not None and told.last == len(records) and not told.stalled:
                end()  # what was still to come has been removed meanwhile
            return
        record = from_delivery(about, reply, headers, data)
        if record is not None:
            records.append(record)
            subjects_come.add(about)
            # With busy writers it goes on without end, and each sign alone may deceive: of a key that is written anew the old
            # value is gone and the new one still to come while the server counts nothing pending; a new key counts like an old.
            pending[0] = place.pending
            if complete():
                end()
            elif not place.pending or len(subjects_come) >= expected[0]:
                near.set()

    name = uuid.uuid4().hex  # not to be guessed: who knows it may remove the consumer
    inbox, leave = bucket.link.open_inbox(receive, deadline=deadline, lost=gone)
    try:
        answer = _create_consumer(bucket, name, inbox, subjects, headers_only, deadline)
        expected[0] = int(answer.get("num_pending", 0)) + int((answer.get("delivered") or {}).get("consumer_seq", 0))
        try:
            if not complete():
                if not near.wait(max(0.0, deadline - time.monotonic())):
                    raise BasketTimeoutError(
                        f"bucket {bucket.spec.name!r}: only {len(records)} of {expected[0]} values came before the deadline"
                    )
                done.wait(SETTLE)
        finally:
            bucket.link.send(f"$JS.API.CONSUMER.DELETE.{bucket.spec.stream}.{name}", b"")
    finally:
        leave()
    return None if lost.is_set() else list(records)


def _create_consumer(
    bucket: Bucket, name: str, inbox: str, subjects: List[str], headers_only: bool, deadline: float
) -> Dict[str, Any]:
    asked, body = consumer_request(
        bucket.spec.stream, name, inbox, subjects, heartbeat=HEARTBEAT, inactive=30.0, headers_only=headers_only
    )
    for _ in bucket.attempts(deadline):
        reply = bucket.link.request(asked, body, deadline=deadline)
        try:
            answer = translate.checked(reply, bucket.spec.name)
        except BucketMissingError:
            bucket.absent(deadline=deadline, make=False)
            continue
        bucket.seen()
        return answer
    raise bucket.unanswered()
