"""One stored message of a bucket as the server tells it, and how it is read out of replies. Pure."""

from __future__ import annotations

import base64
import datetime
import re
from typing import Any, List, Mapping, NamedTuple, Optional, Tuple

from basket.bus.headers import Headers, header

_UTC = datetime.timezone.utc
_new = tuple.__new__

# What the server appends to a stored message on a direct get, always in this order (nats-server, ADR-31). It is looked for
# from the end: a writer may have stored headers of these names, and those stand before the server's own.
_DIRECT_START = b"\r\nNats-Subject: "
_DIRECT = re.compile(rb"\r\nNats-Subject: ([^\r]*)\r\nNats-Sequence: (\d+)\r\nNats-Time-Stamp: ([^\r]*)\r\n")

# A whole message of a batch behind what all their first lines begin with: its sizes, and headers that nobody but the server and
# agents of ours have written.
_IN_BATCH = re.compile(
    rb"(\d+) (\d+)\r\nNATS/1\.0\r\n(?:Nats-Expected-Last-Subject-Sequence: \d+\r\n)?Nats-Stream: [^\r]+\r\n"
    rb"Nats-Subject: ([^\r]+)\r\nNats-Sequence: (\d+)\r\nNats-Time-Stamp: ([^\r]+)\r\nNats-Num-Pending: \d+\r\n"
    rb"Nats-Last-Sequence: \d+\r\n(?:Nats-UpTo-Sequence: \d+\r\n)?\r\n"
)

_STAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?Z")


class Record(NamedTuple):
    """``subject`` includes the bucket's prefix; ``stamp`` is the server's time as it came (text, or nanoseconds)."""

    subject: str
    data: bytes
    revision: int
    stamp: Any
    deleted: bool


Plain = Tuple[str, bytes, int, Any, bool]
"""A Record, or its fields alone, which cost less to make and to keep: many thousands are only passed through."""


def from_direct(headers: Headers, data: bytes) -> Optional[Record]:
    """The record in one message of a direct get; None where it is none."""
    if isinstance(headers, bytes):
        at = headers.rfind(_DIRECT_START)
        found = _DIRECT.match(headers, at) if at >= 0 else None
        if found is not None:
            subject, revision, stamp = found.groups()
            # What makes it a marker stands before that run; most have nothing there that looks like it.
            marked = headers.find(b"KV-", 0, at) >= 0 or headers.find(b"Nats-Marker", 0, at) >= 0
            deleted = marked and _is_marker(headers)
            # Not through Record(...): its own __new__ is Python, and this runs once for each of many thousands.
            return _new(Record, (subject.decode("utf-8", "replace"), data, int(revision), stamp, deleted))
    name, sequence = header(headers, "Nats-Subject"), header(headers, "Nats-Sequence")
    if name is None or sequence is None or not sequence.isdecimal():
        return None
    return Record(name, data, int(sequence), header(headers, "Nats-Time-Stamp"), _is_marker(headers))


def take_direct_run(chunk: bytes, at: int, common: bytes, records: List[Plain]) -> int:
    """Add the records (their fields alone) of the whole messages of a direct get from ``at`` on, all of whose first lines begin
    with ``common``; the place behind the last. Anything but plain values ends it: ``from_direct`` knows them all."""
    skip, size = len(common), len(chunk)
    begins, match, add = chunk.startswith, _IN_BATCH.match, records.append
    while begins(common, at):
        found = match(chunk, at + skip)
        if found is None:
            break
        headers, whole, subject, revision, stamp = found.groups()
        body = found.end()
        start = at + skip + len(headers) + len(whole) + 3
        end = start + int(whole)
        # The sizes have the last word on where the headers end: a writer's own might hold what looks like an end.
        if start + int(headers) != body or end + 2 > size:
            break
        try:
            name = subject.decode()
        except UnicodeDecodeError:
            break
        add((name, chunk[body:end], int(revision), stamp, False))
        at = end + 2
    return at


def from_stored(message: Mapping[str, Any]) -> Record:
    """The record in the JSON answer of a stream's message get."""
    headers = base64.b64decode(message.get("hdrs") or "")
    data = base64.b64decode(message.get("data") or "")
    return Record(str(message["subject"]), data, int(message["seq"]), message.get("time"), _is_marker(headers))


def from_delivery(subject: bytes, reply: bytes, headers: Headers, data: bytes) -> Optional[Record]:
    """The record in a message that a consumer delivered; its place in the stream stands in the reply subject."""
    place = delivery(reply)
    if place is None:
        return None
    return Record(subject.decode("utf-8", "replace"), data, place.stream_sequence, place.nanoseconds, _is_marker(headers))


class Delivery(NamedTuple):
    """Where a delivered message stands: in the stream, among this consumer's deliveries, and how many are still to come."""

    stream_sequence: int
    consumer_sequence: int
    nanoseconds: int
    pending: int


def delivery(reply: bytes) -> Optional[Delivery]:
    """Read ``$JS.ACK…``, of 9 parts or, with domain and account (ADR-15), of 11 and more; None for anything else."""
    parts = reply.split(b".")
    if len(parts) < 9 or parts[:2] != [b"$JS", b"ACK"]:
        return None
    start = 5 if len(parts) < 11 else 7
    try:
        return Delivery(int(parts[start]), int(parts[start + 1]), int(parts[start + 2]), int(parts[start + 3]))
    except ValueError:
        return None


def _is_marker(headers: Headers) -> bool:
    """Whether the message says that its key was deleted, purged or has run out its time."""
    if not headers:
        return False
    operation = header(headers, "KV-Operation")
    return operation in ("DEL", "PURGE") or header(headers, "Nats-Marker-Reason") is not None


def moment(stamp: Any) -> datetime.datetime:
    """The server's time of a record as an aware datetime, UTC, to the microsecond."""
    if isinstance(stamp, int):
        seconds, rest = divmod(stamp, 1_000_000_000)
        return datetime.datetime.fromtimestamp(seconds, _UTC).replace(microsecond=rest // 1000)
    text = stamp.decode("ascii", "replace") if isinstance(stamp, bytes) else str(stamp)
    found = _STAMP.match(text)
    if found is None:
        return datetime.datetime.fromtimestamp(0, _UTC)
    year, month, day, hour, minute, second, fraction = found.groups()
    micro = int((fraction or "0")[:6].ljust(6, "0"))
    return datetime.datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), micro, _UTC)
