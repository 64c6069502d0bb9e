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
from typing import Any, Dict, Iterable, List, Optional, Sequence

from basket.bus import translate
from basket.bus.bucket import NO_RESPONDERS, NOT_FOUND, Bucket
from basket.bus.consumer import consumer_request
from basket.bus.record import Record, delivery, from_delivery, from_direct
from basket.bus.replies import BatchWaiter, header, status
from basket.bus.wire import Headers
from basket.errors import BasketTimeoutError, BucketMissingError, JetStreamError

MOST_SUBJECTS = 1000
"""Subjects in one ``multi_last``; the server stops at 1,024."""

MOST_FILTERS = 100
"""Patterns of one consumer."""

PAGE_BYTES = 32 << 20
"""Bytes in one page of a batch: what is held twice for a moment while it is taken apart."""

BATCHED_SINCE = (2, 11)
END_OF_BATCH = 204

HISTORY_WORTH = 1.5
"""Stored messages per key from which on a consumer, which sends only the last of each, is the cheaper way."""


def read(bucket: Bucket, patterns: Sequence[str], *, deadline: float) -> List[Record]:
    """The last value of every key that matches one of the patterns (``*`` one part, ``>`` the rest), markers left out."""
    found: Dict[str, Record] = {}
    for pattern in patterns:
        for record in _one(bucket, bucket.spec.prefix + pattern, deadline):
            known = found.get(record.subject)
            if known is None or known.revision < record.revision:
                found[record.subject] = record
    return [record for record in found.values() if not record.deleted]


def read_keys(bucket: Bucket, keys: Iterable[str], *, deadline: float) -> List[Record]:
    """The values of exactly these keys; those that are not there are left out."""
    subjects = [bucket.spec.prefix + key for key in dict.fromkeys(keys)]
    found: List[Record] = []
    for start in range(0, len(subjects), MOST_SUBJECTS):
        part = subjects[start : start + MOST_SUBJECTS]
        records = _multi_last(bucket, part, deadline) if _batches(bucket) else None
        found.extend(_singly(bucket, part, deadline) if records is None else records)
    return [record for record in found if not record.deleted]


def _batches(bucket: Bucket) -> bool:
    return bucket.direct and bucket.link.server_version >= BATCHED_SINCE


def _ask(bucket: Bucket, body: Dict[str, object], deadline: float) -> Optional[BatchWaiter]:
    """One batch; None where this server or bucket cannot do it."""
    data = json.dumps(body).encode()
    for _ in bucket.attempts(deadline):
        if not _batches(bucket):
            return None
        answer = bucket.link.batch(f"$JS.API.DIRECT.GET.{bucket.spec.stream}", data, deadline=deadline)
        if answer.single:  # a server that ignored what it does not know
            return None
        if answer.end == NO_RESPONDERS:
            bucket.absent(deadline=deadline, make=False)
            continue
        bucket.seen()
        if answer.end not in (END_OF_BATCH, NOT_FOUND):
            raise JetStreamError(f"bucket {bucket.spec.name!r}: a batched read was answered with status {answer.end}")
        return answer
    raise bucket.unanswered()


def _multi_last(bucket: Bucket, subjects: List[str], deadline: float) -> Optional[List[Record]]:
    answer = _ask(bucket, {"multi_last": subjects}, deadline)
    return None if answer is None else _records(answer)


def _records(answer: BatchWaiter) -> List[Record]:
    return [record for record in (from_direct(headers, value) for headers, value in answer.messages) if record is not None]


def _one(bucket: Bucket, subject: str, deadline: float) -> List[Record]:
    if _batches(bucket) and not _mostly_history(bucket, deadline):
        records = _by_pattern(bucket, subject, deadline)
        if records is not None:
            return records
    return consume(bucket, [subject], deadline=deadline)


def _mostly_history(bucket: Bucket, deadline: float) -> bool:
    if bucket.spec.history == 1:
        return False
    try:
        state = bucket.info(deadline=deadline).get("state", {})
    except BucketMissingError:
        bucket.absent(deadline=deadline, make=False)
        return False
    return bool(state.get("messages", 0) > HISTORY_WORTH * max(1, state.get("num_subjects", 0)))


def _by_pattern(bucket: Bucket, subject: str, deadline: float) -> Optional[List[Record]]:
    records: List[Record] = []
    start = 1
    while True:
        body = {"seq": start, "next_by_subj": subject, "batch": 1_000_000, "max_bytes": PAGE_BYTES}
        answer = _ask(bucket, body, deadline)
        if answer is None:
            return None
        page = _records(answer)
        records.extend(page)
        # The closing status says how many are left: a page ends where the size, or the server's own bound, is reached.
        if not page or header(answer.end_headers, "Nats-Num-Pending") in (None, "0"):
            return records
        start = page[-1].revision + 1


def _singly(bucket: Bucket, subjects: List[str], deadline: float) -> List[Record]:
    """One request a key, all on their way at once: what a server before 2.11 offers for a list of keys."""
    found: List[Record] = []
    stream = bucket.spec.stream
    for _ in bucket.attempts(deadline):
        if not bucket.direct:
            stored = (bucket.last(subject[len(bucket.spec.prefix) :], deadline=deadline) for subject in subjects)
            return [record for record in stored if record is not None]
        asked = [f"$JS.API.DIRECT.GET.{stream}.{subject}" for subject in subjects]
        answers = bucket.link.request_many(asked, [b""] * len(asked), deadline=deadline)
        for error in answers.errors.values():
            raise error
        codes = [status(reply.headers) if not reply.data else 0 for reply in answers.replies.values()]
        if NO_RESPONDERS in codes:
            bucket.absent(deadline=deadline, make=False)
            continue
        bucket.seen()
        for code, reply in zip(codes, answers.replies.values()):
            record = from_direct(*reply) if code in (0, 100) else None
            if record is not None:
                found.append(record)
        return found
    raise bucket.unanswered()


def live_keys(bucket: Bucket, patterns: Sequence[str], *, deadline: float) -> List[str]:
    """The keys, without their values, that match a pattern and are not deleted. Patterns must not overlap."""
    prefix = bucket.spec.prefix
    found: List[str] = []
    for start in range(0, len(patterns), MOST_FILTERS):
        subjects = [prefix + pattern for pattern in patterns[start : start + MOST_FILTERS]]
        records = consume(bucket, subjects, deadline=deadline, headers_only=True)
        found.extend(record.subject[len(prefix) :] for record in records if not record.deleted)
    return found


def consume(bucket: Bucket, subjects: List[str], *, deadline: float, headers_only: bool = False) -> List[Record]:
    """Through a consumer that delivers the last message of each matching subject, and is removed at the end."""
    records: List[Record] = []
    done = threading.Event()

    def receive(about: bytes, reply: bytes, headers: Headers, data: bytes) -> None:
        if not data and status(headers) == 100:  # idle heartbeat, or the server asks whether we keep up
            if reply:
                bucket.link.send(reply.decode(), b"")
            return
        record = from_delivery(about, reply, headers, data)
        place = delivery(reply)
        if record is not None and place is not None:
            records.append(record)
            if place.pending == 0:
                done.set()

    name = uuid.uuid4().hex[:16]
    inbox, leave = bucket.link.open_inbox(receive, deadline=deadline)
    try:
        answer = _create_consumer(bucket, name, inbox, subjects, headers_only, deadline)
        try:
            if int(answer.get("num_pending", 0)) > 0 and not done.wait(max(0.0, deadline - time.monotonic())):
                raise BasketTimeoutError(f"bucket {bucket.spec.name!r}: {len(records)} values came, then none until the deadline")
        finally:
            bucket.link.send(f"$JS.API.CONSUMER.DELETE.{bucket.spec.stream}.{name}", b"")
    finally:
        leave()
    return list(records)


def _create_consumer(
    bucket: Bucket, name: str, inbox: str, subjects: List[str], headers_only: bool, deadline: float
) -> Dict[str, Any]:
    asked, body = consumer_request(
        bucket.spec.stream, name, inbox, subjects, heartbeat=5.0, inactive=30.0, headers_only=headers_only
    )
    for _ in bucket.attempts(deadline):
        reply = bucket.link.request(asked, body, deadline=deadline)
        if reply.status == NO_RESPONDERS:
            raise translate.no_jetstream()
        answer = reply.json()
        error = translate.api_error(answer, f"bucket {bucket.spec.name!r}")
        if error is None:
            bucket.seen()
            return answer
        if getattr(error, "code", None) != translate.STREAM_NOT_FOUND:
            raise error
        bucket.absent(deadline=deadline, make=False)
    raise bucket.unanswered()
