"""Changes as they happen: what a target selects now, then every change to it, deletions included.

A watch holds no queue of events. It holds the set of peels that may have changed, and looks at a feed's live copy when the
consumer is ready for the next: a slow consumer sees the latest value of each key, and nothing grows without bound.
"""

from __future__ import annotations

import collections
import logging
import sys
import threading
import time
from types import TracebackType
from typing import Any, Callable, Deque, Dict, Iterable, List, Mapping, Optional, Set, Tuple, Type

from basket.bus.feed import Feed
from basket.bus.record import Record
from basket.entry import Change, entry
from basket.errors import BasketError, ClosedError, TargetError
from basket.keys import join_key, split_key
from basket.target import Matcher, Target, matcher, needs_facts

log = logging.getLogger("basket.watch")

PUT, DELETE = "put", "delete"


class Watch:
    """Iterate over it, or give ``Basket.watch`` a callback. One consumer thread at a time; ``stop`` from any thread.

    Over an outage it keeps still; afterwards it delivers what differs from what was delivered before.
    """

    def __init__(
        self,
        tree: Target,
        functions: List[str],
        values: Feed,
        facts: Optional[Feed],
        document: Callable[[Optional[Record]], Mapping[str, Any]],
        on_stop: Callable[[Watch], None],
    ) -> None:
        self._tree = tree
        self._functions = functions
        self._values = values
        self._document = document
        self._on_stop = on_stop
        # What is meant, and by which facts, always replaced together: one with the other's would look like a deletion.
        self._aim: Tuple[Matcher, Optional[Feed]] = (matcher(tree), facts)
        self._condition = threading.Condition()
        self._dirty: Dict[str, None] = {}
        self._ready: Deque[Change] = collections.deque()
        self._delivered: Dict[Tuple[str, str], Record] = {}
        self._failed: Set[str] = set()
        self._ended = False
        self._wanting: List[Feed] = []
        self._thread: Optional[threading.Thread] = None

    # -- life -----------------------------------------------------------------------------------------------------------

    def start(self, deadline: float, callback: Optional[Callable[[Change], Any]] = None) -> Watch:
        """Begin: waits for the present values. ``Basket.watch`` has done it already."""
        try:
            with self._condition:
                if self._ended:  # closed by another thread
                    raise ClosedError("this Basket is closed")
                self._wanting.append(self._values)
                self._values.want(self._patterns(), self._changed)
                self._want_facts()
            for feed in self._wanting:
                feed.wait(deadline)
        except BaseException:
            self.stop()
            raise
        with self._condition:
            # In order of the ids, as a query gives them; what came in meanwhile is among them or behind them.
            present = sorted({split_key(key)[0] for key in list(self._values.table) if split_key(key)[1] in self._functions})
            self._dirty = dict.fromkeys([*present, *self._dirty])
            self._condition.notify_all()
        if callback is not None:
            self._thread = threading.Thread(
                target=self._call_back, args=(callback,), name=f"basket-callbacks-{id(self) & 0xFFFF:04x}", daemon=True
            )
            self._thread.start()
        return self

    def _want_facts(self) -> None:
        facts = self._aim[1]
        if facts is not None and facts not in self._wanting:
            self._wanting.append(facts)
            facts.want(["*"], self._facts_changed)

    def _patterns(self) -> List[str]:
        return [f"*.{name}" for name in self._functions]

    def stop(self, timeout: float = 2.0) -> None:
        """End it: iterations end, the callback is not called again. Any thread, the callback's own too, any number of times.

        Waits up to ``timeout`` seconds for a callback that is running just now.
        """
        if self._values.inherited:
            self._ended = True
            return
        with self._condition:
            if self._ended:
                return
            self._ended = True
            self._condition.notify_all()
        try:
            for feed in self._wanting:
                if feed is self._values:
                    feed.release(self._patterns(), self._changed)
                else:
                    feed.release(["*"], self._facts_changed)
        except BasketError:
            pass  # the connection is closed, and the feeds with it
        self._on_stop(self)
        self.join(time.monotonic() + timeout)

    def join(self, deadline: float) -> None:
        """Wait until the callback's thread has ended, at most until ``deadline`` (``time.monotonic()``)."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))

    @property
    def ended(self) -> bool:
        """Whether it was stopped, or its Basket closed."""
        return self._ended

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.stop()

    # -- being consumed -----------------------------------------------------------------------------------------------------

    def __iter__(self) -> Watch:
        return self

    def __next__(self) -> Change:
        change = self._next(None)
        if change is None:
            raise StopIteration
        return change

    def wait(self, timeout: Optional[float] = None) -> Optional[Change]:
        """The next change; None where none came within ``timeout`` seconds (None: however long), or the watch has ended.

        Of a watch with a callback: waits for the end of the watch instead, and gives None.
        """
        if self._thread is not None:
            self._thread.join(timeout)
            return None
        return self._next(None if timeout is None else time.monotonic() + timeout)

    def _next(self, deadline: Optional[float]) -> Optional[Change]:
        while True:
            if self._values.inherited:  # in the child of a fork nothing would ever come
                return None
            if self._ready and not self._ended:
                return self._ready.popleft()
            with self._condition:
                while not (self._dirty and self._facts_at_hand()) and not self._ended:
                    left = None if deadline is None else deadline - time.monotonic()
                    if left is not None and left <= 0:
                        return None
                    self._condition.wait(left)
                if self._ended:
                    return None
                peel_id = next(iter(self._dirty))
                del self._dirty[peel_id]
                aim = self._aim
            try:
                self._ready.extend(self._differences(peel_id, aim))
            except TargetError:
                # The next look has a matcher with time left; once only, for some patterns use up any.
                with self._condition:
                    if peel_id not in self._failed:
                        self._failed.add(peel_id)
                        self._dirty[peel_id] = None
                raise
            self._failed.discard(peel_id)

    def _call_back(self, callback: Callable[[Change], Any]) -> None:
        while True:
            try:
                change = self._next(None)
                if change is None:
                    return
                callback(change)
            except Exception:
                if logging.getLogger().handlers:
                    log.exception("a watch callback failed")
                else:  # nobody set up logging: as Python tells of any thread's failure, for silence would look like "no change"
                    told = (*sys.exc_info(), threading.current_thread())
                    threading.excepthook(threading.ExceptHookArgs(told))

    # -- finding out ----------------------------------------------------------------------------------------------------------

    def _differences(self, peel_id: str, aim: Tuple[Matcher, Optional[Feed]]) -> Iterable[Change]:
        """What of this peel differs from what was delivered."""
        matches: Optional[bool] = None
        for name in self._functions:
            key = join_key(peel_id, name)
            record = self._values.table.get(key)
            before = self._delivered.get((peel_id, name))
            if record is not None:
                if matches is None:
                    matches = self._matches(peel_id, aim)
                if not matches:
                    record = None
            if record is None:
                if before is not None:
                    del self._delivered[peel_id, name]
                    yield Change(DELETE, peel_id, name, None, before.revision, before.stamp, None, None)
            elif before is None or (before.revision, before.stamp) != (record.revision, record.stamp):
                # The bytes are in the feed's table: here only what tells one value from the next.
                self._delivered[peel_id, name] = record._replace(data=b"")
                yield Change(PUT, *entry(record, peel_id, name, None))

    def _facts_at_hand(self) -> bool:
        """False while the facts that another scope asks for are still to come: a missing fact would pass for a deletion."""
        facts = self._aim[1]
        return facts is None or facts.filled

    def _matches(self, peel_id: str, aim: Tuple[Matcher, Optional[Feed]]) -> bool:
        match, facts = aim
        try:
            return match(peel_id, {} if facts is None else self._document(facts.table.get(peel_id)))
        except TargetError:  # this matcher has used up its time for good
            with self._condition:
                if self._aim is aim:
                    self._aim = (matcher(self._tree), facts)
            raise

    def retarget(self, tree: Target, facts: Callable[[], Feed]) -> None:
        """Another scope: the same watch from now on with this tree; what no longer matches is delivered as deleted. ``facts``
        gives their feed where the tree looks at them."""
        aim = (matcher(tree), facts() if needs_facts(tree) else None)
        with self._condition:
            if self._ended:
                return
            self._tree, self._aim = tree, aim
            if self._wanting:  # otherwise it is about to start
                self._want_facts()
            # Copies: the consumer changes the one, the loop the other.
            peels = {peel_id for peel_id, _ in list(self._delivered)} | {split_key(key)[0] for key in list(self._values.table)}
            self._dirty.update(dict.fromkeys(sorted(peels)))
            self._condition.notify_all()

    # On the loop's thread: nothing but marking.

    def _changed(self, keys: Set[str]) -> None:
        functions = self._functions
        with self._condition:
            for key in keys:
                peel_id, _, name = key.partition(".")
                if name in functions:
                    self._dirty[peel_id] = None
            self._condition.notify_all()

    def _facts_changed(self, peel_ids: Set[str]) -> None:
        with self._condition:
            self._dirty.update(dict.fromkeys(peel_ids))
            self._condition.notify_all()
