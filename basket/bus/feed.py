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
from typing import Callable, Dict, Iterable, List, Optional, Set, Tuple, Type

from basket.bus import loop as loops
from basket.bus.bucket import Bucket
from basket.bus.connection import CLOSED, CONNECTED
from basket.bus.following import Follower
from basket.bus.record import Record
from basket.bus.wire import WireClient
from basket.errors import (
    BasketError,
    BasketTimeoutError,
    ClosedError,
    PermissionDeniedError,
    UnreachableError,
)

log = logging.getLogger("basket.bus")

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
        self.bucket = bucket
        self.link = bucket.link
        self._generation = loops.generation
        self._wanted: Dict[str, int] = {}
        self.wishes = 0
        """Counts what was asked for: a copy made for an earlier wish may not pass for complete."""
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
        self._follower: Optional[Follower] = None
        self.left: List[str] = []
        """Consumers whose connection has gone: to be removed on the next one."""
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
                self.wishes += 1
                self._current, self._error, self.filled = False, None, False
        if listener is not None:
            self.link.call(self._replay, listener)
        if fresh:
            self.link.call(self._restart)

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
            self.link.call(self._restart)

    @property
    def inherited(self) -> bool:
        """Whether it came through a fork: it is the parent's then, and tells this process nothing."""
        return self._generation != loops.generation

    def wait(self, deadline: float, hopeless: Tuple[Type[BasketError], ...] = (PermissionDeniedError,)) -> None:
        """Until the copy is complete and the listeners know it, or nothing is wanted any more. Raises at ``deadline``, when the
        Basket is closed, and at once where the server gives a ``hopeless`` reason."""
        with self._changed:
            while (not self._current or self._replaying) and self._wanted:
                if self.link.state == CLOSED:
                    raise ClosedError("this Basket is closed")
                if isinstance(self._error, hopeless):
                    raise copy.copy(self._error)  # several threads may wait, and each adds its own traceback
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    if self.link.state != CONNECTED:
                        raise UnreachableError(str(self.link.last_error or "no connection to NATS"))
                    raise copy.copy(self._error) or BasketTimeoutError(
                        f"bucket {self.bucket.spec.name!r} could not be read in time"
                    )

    # -- on the loop ---------------------------------------------------------------------------------------------------------

    def connection_changed(self) -> None:
        """The link was lost, or made anew, or closed: what is known may be out of date."""
        self._interrupt()
        if self.link.state == CLOSED and self._follower is not None:
            self._follower.end()  # now: before its task runs, the connection will be closed
        if self._again is not None:
            self._again.set()

    def _restart(self) -> None:
        self._interrupt()
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

    def complete(self, wishes: int) -> None:
        """The copy holds what was wanted when there were so many wishes; if there are no more by now, it is current. For the
        follower."""
        with self._changed:
            if wishes == self.wishes:
                self._current, self._error = True, None
                self._changed.notify_all()

    def _interrupt(self, error: Optional[BasketError] = None) -> None:
        """The copy may be out of date from now on."""
        with self._changed:
            self._current, self._error = False, error
            self._changed.notify_all()

    async def _run(self) -> None:
        assert self._again is not None
        delay = RETRY_FIRST
        while self._wanted and self.link.state != CLOSED:
            self._again.clear()
            ours: Optional[BasketError] = None
            client = self.link.client
            if client is None:  # told by connection_changed
                await self._again.wait()
                continue
            self._clear_away(client)
            with self._lock:
                follower = Follower(self, client, self._filters(), self.wishes)
            self._follower = follower
            try:
                await follower.follow(self._again)
                self._interrupt()
                if follower.complete:
                    delay = RETRY_FIRST
            except Exception as error:
                # nats-py's own come where the connection has just been closed; one that got away would end this for good.
                ours = error if isinstance(error, BasketError) else UnreachableError(f"the connection was lost: {error!r}")
                log.info("watching bucket %r: %s", self.bucket.spec.name, ours)
                self._interrupt(ours)
                if isinstance(error, BasketTimeoutError):
                    self.link.suspect()
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
        self._interrupt()
        self.replace({})

    def _clear_away(self, client: WireClient) -> None:
        """Remove the consumers that a lost connection left behind; the server itself would do it after a while."""
        for name in self.left:
            client.send(f"$JS.API.CONSUMER.DELETE.{self.bucket.spec.stream}.{name}", "", b"")
        self.left.clear()

    def _filters(self) -> List[str]:
        # The server refuses filters that overlap.
        return [EVERYTHING] if EVERYTHING in self._wanted else sorted(self._wanted)

    def replace(self, table: Table) -> None:
        """Everything was read anew: take it over, and tell what differs. For the follower."""
        old, self.table = self.table, table
        # Not by the revision alone: a bucket made anew counts from 1 again.
        changed = {key for key, record in table.items() if old.get(key) != record}
        changed.update(key for key in old if key not in table)
        self.reads += 1
        self._tell(changed)

    def apply(self, key: str, record: Record) -> None:
        """One change. For the follower."""
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
