"""One JetStream KV bucket: make it, read and write single keys, list keys. Plain blocking code on a Link.

The format is NATS's own key-value layout (ADR-8): stream ``KV_<bucket>``, subjects ``$KV.<bucket>.<key>``, a deletion is a
message with the header ``KV-Operation``. Reading many at once is in ``bulk``.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

from basket.bus import translate
from basket.bus.headers import NO_RESPONDERS, NOT_FOUND, Reply
from basket.bus.link import Link
from basket.bus.record import Record, from_direct, from_stored, moment
from basket.errors import (
    BasketError,
    BasketTimeoutError,
    BucketMissingError,
    JetStreamError,
    PermissionDeniedError,
    ValueTooLargeError,
)

log = logging.getLogger("basket.bus")

DELETED = {"KV-Operation": "DEL"}
CREATE_AGAIN = 4
"""How often a bucket that could not be made is tried again, within a third of a second."""

_WINDOW_COUNT, _WINDOW_BYTES = 2000, 4 << 20
"""Most puts, and most bytes, on their way at once."""


@dataclass(frozen=True)
class BucketSpec:
    """How a bucket is made when it is missing. ``ttl`` in seconds, 0 for none; ``history`` in values a key."""

    name: str
    description: str
    history: int = 1
    ttl: float = 0.0
    replicas: int = 1

    @property
    def stream(self) -> str:
        return f"KV_{self.name}"

    @property
    def prefix(self) -> str:
        return f"$KV.{self.name}."

    def stream_config(self) -> Dict[str, Any]:
        """The stream behind the bucket, the same as the other clients make, so that whoever is first makes it right."""
        ttl = int(self.ttl * 1e9)
        window = 120_000_000_000
        return {
            "name": self.stream,
            "description": self.description,
            "subjects": [f"{self.prefix}>"],
            "retention": "limits",
            "discard": "new",
            "storage": "file",
            "max_consumers": -1,
            "max_msgs": -1,
            "max_bytes": -1,
            "max_age": ttl,
            "max_msg_size": -1,
            "max_msgs_per_subject": self.history,
            "num_replicas": self.replicas,
            "duplicate_window": min(window, ttl) if ttl else window,
            "allow_rollup_hdrs": True,
            "deny_delete": True,
            "allow_direct": True,
        }


class Bucket:
    """All methods block, until ``deadline`` on ``time.monotonic()``, from any thread. Errors are those of ``Link.request``,
    JetStreamError where the server refuses, BucketMissingError where there is no bucket and none can be made."""

    def __init__(self, link: Link, spec: BucketSpec) -> None:
        self.link = link
        self.spec = spec
        self.direct = True
        """Whether direct gets are answered; learnt to be False from a bucket that somebody made without them."""
        self._seen = False
        self._limited_on = self._hidden_on = -1  # no epoch

    # -- the bucket itself ------------------------------------------------------------------------------------------------

    def api(self, verb: str, body: Optional[Mapping[str, Any]] = None, *, deadline: float) -> Dict[str, Any]:
        """Ask JetStream's API about this bucket's stream, e.g. ``STREAM.INFO``; gives its answer, raises its error."""
        data = json.dumps(body).encode() if body is not None else b""
        reply = self.link.request(f"$JS.API.{verb}.{self.spec.stream}", data, deadline=deadline)
        return translate.checked(reply, self.spec.name)

    def info(self, *, deadline: float) -> Dict[str, Any]:
        """The stream's configuration and state, as the server tells them."""
        return self.api("STREAM.INFO", deadline=deadline)

    def create(self, *, deadline: float) -> None:
        """Make the bucket. An existing one with other settings is left as it is."""
        try:
            self._create(deadline)
            log.info("bucket %r was missing and has been made", self.spec.name)
        except (JetStreamError, PermissionDeniedError) as error:
            code = getattr(error, "code", None)
            if code != translate.NAME_IN_USE:  # otherwise somebody was quicker, with another configuration
                advice = ""
                if isinstance(error, PermissionDeniedError):
                    advice = "; whoever runs the server makes it, with 'zester-basket permissions --protect'"
                raise BucketMissingError(
                    f"bucket {self.spec.name!r} does not exist and could not be made: {error}{advice}", code=code
                ) from error
        self._seen = True

    def _create(self, deadline: float) -> None:
        for attempt in self.attempts(deadline):
            try:
                self.api("STREAM.CREATE", self.spec.stream_config(), deadline=deadline)
                return
            except JetStreamError as error:
                # One of the same name was deleted a moment ago, and its files are still being removed.
                if error.code != translate.NOT_CREATED or attempt == CREATE_AGAIN:
                    raise
        raise self.unanswered()

    def require(self, *, deadline: float) -> None:
        """At this process's first use of it: make the bucket if it is missing. BucketMissingError where that cannot be done.

        A request for a missing bucket would say so as well, but only as long as nobody else listens: while an operator looks on
        with ``nats sub '>'``, it is heard, and never answered.
        """
        if self._seen or self.hidden:
            return
        try:
            config = self.info(deadline=deadline).get("config", {})
        except PermissionDeniedError:  # what it asks for next tells
            self.found_hidden()
            return
        except BucketMissingError:
            self.absent(deadline=deadline, make=False)
            return
        self._seen = True
        if not config.get("allow_direct"):
            self.direct = False

    @property
    def hidden(self) -> bool:
        """Whether we may not ask about the bucket itself, nor have its keys listed, as a reader of some functions only. The
        next connection may be allowed more."""
        return self._hidden_on == self.link.epoch

    def found_hidden(self) -> None:
        """The server has refused to tell of the bucket itself, or of its keys."""
        self._hidden_on = self.link.epoch

    def clock_ahead(self, *, deadline: float) -> float:
        """Seconds by which the server's clock is ahead of ours, to about half a round trip."""
        asked = time.time()
        try:
            told = self.info(deadline=deadline).get("ts")
        except PermissionDeniedError:  # a reader of some functions only has to trust its own clock
            return 0.0
        return moment(told).timestamp() - (asked + time.time()) / 2 if told else 0.0

    def absent(self, *, deadline: float, make: bool) -> None:
        """Nobody answered for this bucket: find out why, and mend it or raise.

        Made when it is missing at this process's first use of it, and whenever something is to be written; a bucket that
        vanished under a reader is an error, for an empty answer would hide the loss.
        """
        seen = self._seen  # before the look: another thread may be making it
        try:
            config = self.info(deadline=deadline).get("config", {})
        except BucketMissingError:
            if seen and not make:
                raise
            self.create(deadline=deadline)
            return
        except PermissionDeniedError as error:
            raise BucketMissingError(
                f"nobody answers for bucket {self.spec.name!r}: it does not exist, or was made without direct reads ({error})"
            ) from error
        self._seen = True
        if config.get("allow_direct"):
            # There now: another process has just made it, or its leader has just been elected.
            self.direct = True
        else:
            self.direct = False

    @property
    def limited(self) -> bool:
        """Whether our permissions tell functions apart. They see the subject of a request, not its body: what is wanted has to
        stand in the subject then, and that is one key or one pattern a request."""
        return self._limited_on == self.link.epoch

    def found_limited(self) -> None:
        """The server has refused a request that names what it wants in its body. The next connection may be allowed more."""
        self._limited_on = self.link.epoch

    def forbid_rollups(self, *, deadline: float) -> bool:
        """Have the server refuse messages that say by a header that they replace all others: no permission can forbid that
        to whoever may write a single key. True where that was allowed before."""
        try:
            config = self.info(deadline=deadline)["config"]
        except BucketMissingError:
            self.create(deadline=deadline)
            config = self.info(deadline=deadline)["config"]
        if not config.get("allow_rollup_hdrs"):
            return False
        self.api("STREAM.UPDATE", {**config, "allow_rollup_hdrs": False}, deadline=deadline)
        log.info("bucket %r refuses rollups from now on", self.spec.name)
        return True

    # -- single keys ------------------------------------------------------------------------------------------------------

    def get(self, key: str, *, deadline: float) -> Optional[Record]:
        """The last value of a key, None where there is none or it was deleted."""
        record = self.last(key, deadline=deadline)
        return None if record is None or record.deleted else record

    def last(self, key: str, *, deadline: float) -> Optional[Record]:
        """The last message of a key, deletion markers included."""
        subject = self.spec.prefix + key
        self.require(deadline=deadline)
        for _ in self.attempts(deadline):
            if not self.direct:
                return self._stored(subject, deadline)
            reply = self.link.request(f"$JS.API.DIRECT.GET.{self.spec.stream}.{subject}", deadline=deadline)
            code = reply.status
            if not code or reply.data:
                self._seen = True
                return from_direct(*reply)
            if code == NOT_FOUND:
                self._seen = True
                return None
            if code != NO_RESPONDERS:
                raise JetStreamError(f"bucket {self.spec.name!r}: reading {key!r} was answered with status {code}")
            self.absent(deadline=deadline, make=False)
        raise self.unanswered()

    def _stored(self, subject: str, deadline: float) -> Optional[Record]:
        try:
            answer = self.api("STREAM.MSG.GET", {"last_by_subj": subject}, deadline=deadline)
        except JetStreamError as error:
            if error.code == translate.NO_MESSAGE:
                return None
            raise
        return from_stored(answer["message"])

    def attempts(self, deadline: float) -> Iterator[int]:
        """Rounds of trying while ``absent`` finds reasons to: at least two, then until the deadline with a growing pause."""
        pause = 0.02
        for count in range(1000):
            yield count
            if count:
                if time.monotonic() + pause > deadline:
                    return
                self.link.pause(time.monotonic() + pause)
                pause = min(pause * 2, 0.5)

    def seen(self) -> None:
        """This bucket has answered: should it be missing later, it vanished."""
        self._seen = True

    def unanswered(self) -> JetStreamError:
        """The error for a bucket that is there while its requests go unheard."""
        return JetStreamError(f"bucket {self.spec.name!r} exists, but nobody answers for it: has its stream a leader?")

    def put(self, key: str, data: bytes, *, deadline: float, headers: Optional[Dict[str, str]] = None) -> int:
        """Store a value; its revision, once JetStream has acknowledged it. ValueTooLargeError, OutcomeUnknownError."""
        self.check_size(key, data)
        self.require(deadline=deadline)
        for _ in self.attempts(deadline):
            reply = self.link.request(self.spec.prefix + key, data, deadline=deadline, headers=headers, write=True)
            if reply.status != NO_RESPONDERS:
                return self._revision(key, len(data), reply, deadline)
            self.absent(deadline=deadline, make=True)
        raise self.unanswered()

    def check_size(self, key: str, data: bytes) -> None:
        """ValueTooLargeError before anything is sent: the server would cut the whole connection."""
        if len(data) > self.link.max_payload:
            raise translate.too_large(f"the value of {key!r}", len(data), self.link.max_payload)

    def _revision(self, key: str, size: int, reply: Reply, deadline: float) -> int:
        answer = reply.json()
        error = translate.api_error(answer, f"bucket {self.spec.name!r}: writing {key!r}")
        if error is not None:
            if error.code == translate.MESSAGE_TOO_LARGE:
                limit = int(self.info(deadline=deadline).get("config", {}).get("max_msg_size") or 0)
                raise ValueTooLargeError(
                    f"the value of {key!r} is {size} bytes, bucket {self.spec.name!r} takes at most {limit}: share less, or "
                    f"raise max_msg_size of {self.spec.stream}",
                    size=size,
                    limit=limit,
                ) from error
            raise error
        if not isinstance(answer.get("seq"), int):
            raise JetStreamError(f"bucket {self.spec.name!r}: writing {key!r} was answered with {reply.data[:80]!r}")
        self._seen = True
        return int(answer["seq"])

    def put_many(
        self, values: Mapping[str, bytes], *, deadline: float, headers: Optional[Callable[[str], Dict[str, str]]] = None
    ) -> Tuple[Dict[str, int], Dict[str, BasketError]]:
        """Store many, without waiting for one before the next: revisions by key, and errors by key. ``headers`` gives those of
        a key."""
        stored: Dict[str, int] = {}
        failed: Dict[str, BasketError] = {}
        todo: Dict[str, bytes] = {}
        for key, data in values.items():
            try:
                self.check_size(key, data)
                todo[key] = data
            except BasketError as error:
                failed[key] = error
        if todo:
            self.require(deadline=deadline)
        for _ in self.attempts(deadline):
            homeless: Dict[str, bytes] = {}
            for window in _windows(todo):
                keys = list(window)
                if time.monotonic() >= deadline:
                    failed.update(dict.fromkeys(keys, BasketTimeoutError("not sent: the deadline had passed")))
                    continue
                try:
                    answers = self.link.request_many(
                        [self.spec.prefix + key for key in keys],
                        list(window.values()),
                        deadline=deadline,
                        headers=None if headers is None else [headers(key) for key in keys],
                        write=True,
                    )
                except BasketError as error:
                    if not stored and not failed and len(keys) == len(todo):
                        raise
                    failed.update(dict.fromkeys(keys, error))
                    continue
                failed.update({keys[index]: refused for index, refused in answers.errors.items()})
                for index, reply in answers.replies.items():
                    if reply.status == NO_RESPONDERS:
                        homeless[keys[index]] = window[keys[index]]
                        continue
                    try:
                        stored[keys[index]] = self._revision(keys[index], len(window[keys[index]]), reply, deadline)
                    except BasketError as error:
                        failed[keys[index]] = error
            if not homeless:
                return stored, failed
            todo = homeless
            try:
                self.absent(deadline=deadline, make=True)
            except BasketError as error:
                failed.update(dict.fromkeys(todo, error))
                return stored, failed
        failed.update({key: self.unanswered() for key in todo})
        return stored, failed

    def delete(self, key: str, *, deadline: float) -> bool:
        """Mark a key deleted; False, and nothing written, where there was no value."""
        if self.get(key, deadline=deadline) is None:
            return False
        self.put(key, b"", deadline=deadline, headers=DELETED)
        return True

    def delete_many(self, keys: Iterable[str], *, deadline: float) -> Tuple[Dict[str, int], Dict[str, BasketError]]:
        """Mark many keys deleted, without looking whether they are there; answers as ``put_many``."""
        return self.put_many(dict.fromkeys(keys, b""), deadline=deadline, headers=lambda key: DELETED)

    # -- which keys ---------------------------------------------------------------------------------------------------------

    def subjects(self, pattern: str, *, deadline: float) -> List[str]:
        """Keys that match a NATS pattern (``*`` one part, ``>`` the rest), **deleted ones included**, without their values."""
        keys: List[str] = []
        wanted = self.spec.prefix + pattern
        for _ in self.attempts(deadline):
            try:
                while True:
                    answer = self.api("STREAM.INFO", {"subjects_filter": wanted, "offset": len(keys)}, deadline=deadline)
                    page = (answer.get("state") or {}).get("subjects") or {}
                    keys.extend(subject[len(self.spec.prefix) :] for subject in page)
                    if not page or len(keys) >= int(answer.get("total") or 0):
                        self._seen = True
                        return keys
            except BucketMissingError:
                keys.clear()
                self.absent(deadline=deadline, make=False)
        raise self.unanswered()


def _windows(values: Mapping[str, bytes]) -> Iterator[Dict[str, bytes]]:
    window: Dict[str, bytes] = {}
    size = 0
    for key, data in values.items():
        window[key] = data
        size += len(data)
        if len(window) >= _WINDOW_COUNT or size >= _WINDOW_BYTES:
            yield window
            window, size = {}, 0
    if window:
        yield window
