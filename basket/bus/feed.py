"""A live copy of part of a bucket: what is there now, and every change as it happens. Runs on the loop's thread.

One ordered consumer for all that a process wants from one bucket, or one a pattern where our permissions tell functions
apart. It is never trusted for long: after every reconnection, when deliveries have a gap, and when the server's idle
heartbeats stay away, everything is read anew and compared with what was known, so that values which vanished meanwhile (a
wiped store, a bucket deleted and made again) are told as deletions.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import random
import threading
import time
import uuid
from typing import Any, Callable, Dict, Iterable, List, Optional, Set, Tuple, Type

from basket.bus import loop as loops
from basket.bus import translate
from basket.bus.bucket import Bucket
from basket.bus.connection import CLOSED, CONNECTED
from basket.bus.consumer import consumer_request
from basket.bus.headers import Headers, header, status
from basket.bus.record import Record, delivery, from_delivery
from basket.bus.wire import WireClient
from basket.errors import (
    BasketError,
    BasketTimeoutError,
    BucketMissingError,
    ClosedError,
    JetStreamError,
    PermissionDeniedError,
    UnreachableError,
)

log = logging.getLogger("basket.bus")

HEARTBEAT = 2.0
"""Seconds between the server's idle heartbeats."""

SILENCE = 2.5 * HEARTBEAT
"""Seconds without a word after which the consumer counts as gone."""

ASK_TIMEOUT = 5.0
EVERYTHING = ">"
RETRY_FIRST, RETRY_MOST, RETRY_REFUSED = 0.05, 1.0, 30.0
"""Seconds between attempts, doubled each time; the last of them where the server does not let us."""

Table = Dict[str, Record]
Listener = Callable[[Set[str]], None]
"""Called on the loop's thread with the keys that changed, none where everything was read anew and found the same. It must
not block."""


class Feed:
    """The live copy of the keys that match the wanted patterns. ``table`` (key -> record) is replaced or changed on the
    loop's thread only; other threads read single items of it, or iterate over a copy."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._link = bucket.link
        self._generation = loops.generation
        self._wanted: Dict[str, int] = {}
        self._wishes = 0  # counts what was asked for: a copy made for an earlier wish may not pass for complete
        self._replaying = 0
        self.filled = False
        """Whether all that is wanted has been read at least once, so that what is not in the table is not in the bucket."""
        self._listeners: List[Listener] = []
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._current = False
        self._error: Optional[BasketError] = None
        self._task: Optional[asyncio.Task[None]] = None
        self._again: Optional[asyncio.Event] = None
        self._follower: Optional[_Follower] = None
        self._left: List[str] = []
        self.table: Table = {}
        self.reads = 0
        """How many times everything was read anew."""

    # -- asked from any thread ---------------------------------------------------------------------------------------------

    @property
    def current(self) -> bool:
        """Whether the copy is complete and the connection it lives on is up."""
        return self._current

    def table_of(self) -> Table:
        """The copy of this moment; it is another object after everything was read anew."""
        return self.table

    def want(self, patterns: Iterable[str], listener: Optional[Listener] = None) -> None:
        """Have these patterns covered from now on; ``listener`` is told of what is there already, then of every change to any
        of the feed's keys."""
        with self._lock:
            fresh = False
            for pattern in patterns:
                fresh = fresh or (pattern not in self._wanted and EVERYTHING not in self._wanted)
                self._wanted[pattern] = self._wanted.get(pattern, 0) + 1
            if listener is not None:
                self._listeners.append(listener)
                self._replaying += 1
            if fresh:
                self._wishes += 1
                self._current, self._error, self.filled = False, None, False
        if listener is not None:
            self._link.call(self._replay, listener)
        if fresh:
            self._link.call(self._restart)

    def release(self, patterns: Iterable[str], listener: Optional[Listener] = None) -> None:
        """Undo one ``want``. The consumer ends with the last of them."""
        if self.inherited:  # a lock may have been held at the fork, and the connection is the parent's
            return
        with self._lock:
            for pattern in patterns:
                left = self._wanted.get(pattern, 0) - 1
                if left > 0:
                    self._wanted[pattern] = left
                else:
                    self._wanted.pop(pattern, None)
            if listener in self._listeners:
                self._listeners.remove(listener)
            # One that cannot be made may have failed for what is no longer wanted.
            needless = not self._wanted or not self._current
        if needless:
            self._link.call(self._restart)

    @property
    def inherited(self) -> bool:
        """Whether it came through a fork: it is the parent's then, and tells this process nothing."""
        return self._generation != loops.generation

    def wait(self, deadline: float, hopeless: Tuple[Type[BasketError], ...] = (PermissionDeniedError,)) -> None:
        """Until the copy is complete and the listeners know it, or nothing is wanted any more. Raises at ``deadline``, when the
        Basket is closed, and at once where the server gives a ``hopeless`` reason."""
        with self._changed:
            while (not self._current or self._replaying) and self._wanted:
                if self._link.state == CLOSED:
                    raise ClosedError("this Basket is closed")
                if isinstance(self._error, hopeless):
                    raise copy.copy(self._error)  # several threads may wait, and each adds its own traceback
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    if self._link.state != CONNECTED:
                        raise UnreachableError(str(self._link.last_error or "no connection to NATS"))
                    raise copy.copy(self._error) or BasketTimeoutError(
                        f"bucket {self._bucket.spec.name!r} could not be read in time"
                    )

    # -- on the loop ---------------------------------------------------------------------------------------------------------

    def connection_changed(self) -> None:
        """The link was lost, or made anew, or closed: what is known may be out of date."""
        self._set_current(False)
        if self._link.state == CLOSED and self._follower is not None:
            self._follower.end()  # now: before its task runs, the connection will be closed
        if self._again is not None:
            self._again.set()

    def _restart(self) -> None:
        self._set_current(False)
        if self._task is None or self._task.done():
            self._again = asyncio.Event()
            self._task = asyncio.ensure_future(self._run())
        elif self._again is not None:
            self._again.set()

    def _replay(self, listener: Listener) -> None:
        self._tell(set(self.table), [listener])
        with self._changed:
            self._replaying -= 1
            self._changed.notify_all()

    def _set_current(self, current: bool, error: Optional[BasketError] = None) -> None:
        with self._changed:
            self._current = current
            self._error = error
            self._changed.notify_all()

    async def _run(self) -> None:
        assert self._again is not None
        delay = RETRY_FIRST
        while self._wanted and self._link.state != CLOSED:
            self._again.clear()
            ours: Optional[BasketError] = None
            client = self._link.client
            if client is None:  # told by connection_changed
                await self._again.wait()
                continue
            self._clear_away(client)
            with self._lock:
                follower = _Follower(self, client, self._filters(), self._wishes)
            self._follower = follower
            try:
                await follower.follow(self._again)
                self._set_current(False)
                if follower.complete:
                    delay = RETRY_FIRST
            except Exception as error:
                # nats-py's own come where the connection has just been closed; one that got away would end this for good.
                ours = error if isinstance(error, BasketError) else UnreachableError(f"the connection was lost: {error!r}")
                log.info("watching bucket %r: %s", self._bucket.spec.name, ours)
                self._set_current(False, ours)
                if isinstance(error, BasketTimeoutError):
                    self._link.suspect()
            finally:
                follower.end()
            if self._again.is_set():  # a reason to begin anew at once
                continue
            try:
                await asyncio.wait_for(self._again.wait(), delay * random.uniform(0.7, 1.0))
            except asyncio.TimeoutError:
                pass
            delay = min(delay * 2, RETRY_MOST)
            if isinstance(ours, PermissionDeniedError):
                delay = RETRY_REFUSED
        self._set_current(False)
        self._replace({})

    def _clear_away(self, client: WireClient) -> None:
        """Remove the consumers that a lost connection left behind; the server itself would do it after a while."""
        for name in self._left:
            client.send(f"$JS.API.CONSUMER.DELETE.{self._bucket.spec.stream}.{name}", "", b"")
        self._left.clear()

    def _filters(self) -> List[str]:
        # The server refuses filters that overlap.
        return [EVERYTHING] if EVERYTHING in self._wanted else sorted(self._wanted)

    def _replace(self, table: Table) -> None:
        """Everything was read anew: take it over, and tell what differs."""
        old, self.table = self.table, table
        # Not by the revision alone: a bucket made anew counts from 1 again.
        changed = {key for key, record in table.items() if old.get(key) != record}
        changed.update(key for key in old if key not in table)
        self.reads += 1
        self._tell(changed)

    def _apply(self, key: str, record: Record) -> None:
        if record.deleted:
            if self.table.pop(key, None) is None:
                return
        else:
            self.table[key] = record
        self._tell({key})

    def _tell(self, keys: Set[str], listeners: Optional[Iterable[Listener]] = None) -> None:
        for listener in list(self._listeners if listeners is None else listeners):
            try:
                listener(keys)
            except Exception:
                log.exception("a listener failed")


class _Follower:
    """What is there now and every change from then on, through one consumer or several, from their creation to their end."""

    def __init__(self, feed: Feed, client: WireClient, patterns: List[str], wishes: int) -> None:
        self._feed = feed
        self._wishes = wishes
        self._client = client
        self._bucket = feed._bucket
        self._subjects = [self._bucket.spec.prefix + pattern for pattern in patterns]
        self._skip = len(self._bucket.spec.prefix)
        self._consumers: List[_Consumer] = []
        self._snapshot: Optional[Table] = {}
        self._broken: Optional[str] = None
        self._event = asyncio.Event()

    @property
    def complete(self) -> bool:
        """Whether everything that was there at its start has come."""
        return self._snapshot is None

    async def follow(self, again: asyncio.Event) -> None:
        """Deliver until ``again`` is set, or until there is a reason to begin anew (both return); raises what went wrong."""
        try:
            await self._start([[subject] for subject in self._subjects] if self._bucket.limited else [self._subjects])
        except PermissionDeniedError:
            if self._bucket.limited or len(self._subjects) == 1:
                raise
            self._bucket.found_limited()
            await self._start([[subject] for subject in self._subjects])
        while not again.is_set() and self._broken is None:
            left = min(consumer.heard for consumer in self._consumers) + SILENCE - time.monotonic()
            if left <= 0:
                self._broken = "the server has fallen silent"
                self._feed._link.suspect()
                break
            waits = {asyncio.ensure_future(again.wait()), asyncio.ensure_future(self._event.wait())}
            _, unfinished = await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            for task in unfinished:
                task.cancel()
        if self._broken is not None:
            log.info("watching bucket %r anew: %s", self._bucket.spec.name, self._broken)

    async def _start(self, groups: List[List[str]]) -> None:
        # All of them are known before the first delivers, so that none passes for the last one to catch up.
        self._consumers = [_Consumer(self, self._client, self._bucket, subjects) for subjects in groups]
        for consumer in self._consumers:
            await consumer.start()

    def deliver(self, record: Record) -> None:
        """One message of one consumer."""
        key = record.subject[self._skip :]
        if self._snapshot is None:
            self._feed._apply(key, record)
        elif record.deleted:
            self._snapshot.pop(key, None)
        else:
            self._snapshot[key] = record

    def fail(self, reason: str) -> None:
        """One consumer cannot be relied on any more."""
        self._broken = reason
        self._event.set()

    @property
    def failed(self) -> bool:
        """Whether it only waits for its end."""
        return self._broken is not None

    def caught_up(self) -> None:
        """One consumer has delivered all that was there. With the last of them the copy is complete."""
        if self._snapshot is None or not all(consumer.caught_up for consumer in self._consumers):
            return
        table, self._snapshot = self._snapshot, None
        asked_since = self._wishes != self._feed._wishes
        self._feed.filled = not asked_since
        self._feed._replace(table)
        if not asked_since:
            self._feed._set_current(True)

    def nothing_left(self) -> None:
        """The bucket is not there any more."""
        self._feed.filled = self._wishes == self._feed._wishes
        self._feed._replace({})

    def left_behind(self, name: str) -> None:
        """A consumer whose connection has gone: to be removed on the next one."""
        self._feed._left.append(name)

    def end(self) -> None:
        """Leave nothing behind."""
        for consumer in self._consumers:
            consumer.end()


class _Consumer:
    """One consumer on the server: whether its deliveries are complete, and in time."""

    def __init__(self, follower: _Follower, client: WireClient, bucket: Bucket, subjects: List[str]) -> None:
        self._follower = follower
        self._client = client
        self._bucket = bucket
        self._subjects = subjects
        self._name = uuid.uuid4().hex  # not to be guessed: who knows it may remove the consumer
        self._subscription: Any = None
        self._asked = False
        self._sequence = 0
        self.heard = time.monotonic()
        self.caught_up = False
        """Whether everything that was there at its start has come."""

    async def start(self) -> None:
        """Have it made; raises what went wrong."""
        inbox = self._client.new_inbox()
        self._subscription = await self._client.receive(inbox, self._receive)
        pending = await self._create(inbox)
        self.heard = time.monotonic()
        if pending == 0:  # otherwise a value that was just written has told it
            self._catch_up()

    async def _create(self, inbox: str) -> int:
        subject, body = consumer_request(
            self._bucket.spec.stream, self._name, inbox, self._subjects, heartbeat=HEARTBEAT, inactive=30.0
        )
        self._asked = True
        try:
            reply = await self._bucket.link.ask(subject, body, ASK_TIMEOUT)
        except PermissionDeniedError:
            self._asked = False
            self.end()
            raise
        try:
            answer = translate.checked(reply, self._bucket.spec.name)
        except JetStreamError as error:
            self._asked = False
            if isinstance(error, BucketMissingError):  # the server says so itself: nothing is there any more
                self._follower.nothing_left()
            raise
        return int(answer.get("num_pending") or 0)

    def _receive(self, subject: bytes, reply: bytes, headers: Headers, data: bytes) -> None:
        self.heard = time.monotonic()
        place = delivery(reply)
        if place is None and not data and status(headers) == 100:  # of a delivery, whoever wrote it put that there
            if reply:  # the server asks whether we keep up
                self._client.send(reply.decode(), "", b"")
            last = header(headers, "Nats-Last-Consumer")
            if last is not None and last.isdigit():
                if int(last) != self._sequence:
                    self._follower.fail("deliveries were lost")
                elif not self.caught_up and header(headers, "Nats-Consumer-Stalled") is None:
                    self._catch_up()  # what was still to come has been removed meanwhile
            return
        record = from_delivery(subject, reply, headers, data)
        if place is None or record is None or self._follower.failed:
            return
        if place.consumer_sequence != self._sequence + 1:
            self._follower.fail("deliveries were lost")
            return
        self._sequence = place.consumer_sequence
        self._follower.deliver(record)
        if place.pending == 0:
            self._catch_up()

    def _catch_up(self) -> None:
        if not self.caught_up:
            self.caught_up = True
            self._follower.caught_up()

    def end(self) -> None:
        """No subscription, no consumer, not even one that the server makes too late for us."""
        if self._asked and self._client is not self._bucket.link.client:
            self._follower.left_behind(self._name)
        if self._client.is_closed:
            return
        if self._subscription is not None:
            self._client.leave(self._subscription)
            self._subscription = None
        if self._asked:
            self._asked = False
            self._client.send(f"$JS.API.CONSUMER.DELETE.{self._bucket.spec.stream}.{self._name}", "", b"")
