"""Changes as they happen: what a target selects now, then every change to it, deletions included.

A watch holds no queue of events. It holds the set of peels that may have changed, and looks at a feed's live copy when the
consumer is ready for the next: a slow consumer sees the latest value of each key, and nothing grows without bound.
"""

from __future__ import annotations

import collections
import logging
import threading
import time
from types import TracebackType
from typing import Any, Callable, Deque, Dict, Iterable, List, Mapping, NamedTuple, Optional, Set, Tuple, Type

from basket.bus.feed import Feed
from basket.bus.record import Record, moment
from basket.entry import entry
from basket.errors import BasketError
from basket.keys import join_key, split_key
from basket.target import Target, matcher, needs_facts

log = logging.getLogger("basket.watch")

PUT, DELETE = "put", "delete"


class _Fields(NamedTuple):
    kind: str
    peel_id: str
    function: str
    value: Any
    revision: int
    stamp: Any
    online: Optional[bool]
    error: Optional[str]


class Change(_Fields):
    """``kind`` is "put", or "delete" where the value is gone or its peel no longer matches; then as Entry.

    Of a deletion ``value`` is None, ``revision`` and ``updated`` are those of the value that was delivered last.
    """

    __slots__ = ()

    @property
    def updated(self) -> Any:
        """When the value was written, by the server's clock: an aware datetime in UTC."""
        return moment(self.stamp)


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
        self._functions = functions
        self._values = values
        self._facts = facts
        self._document = document
        self._on_stop = on_stop
        self._match = matcher(tree)
        self._by_facts = needs_facts(tree)
        self._condition = threading.Condition()
        self._dirty: Dict[str, None] = {}
        self._ready: Deque[Change] = collections.deque()
        self._delivered: Dict[Tuple[str, str], Record] = {}
        self._ended = False
        self._thread: Optional[threading.Thread] = None

    # -- life -----------------------------------------------------------------------------------------------------------

    def start(self, deadline: float, callback: Optional[Callable[[Change], Any]] = None) -> Watch:
        """Begin: waits for the present values. ``Basket.watch`` has done it already."""
        self._values.want(self._patterns(), self._changed)
        if self._facts is not None:
            self._facts.want(["*"], self._facts_changed)
        try:
            self._values.wait(deadline)
            if self._facts is not None:
                self._facts.wait(deadline)
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

    def _patterns(self) -> List[str]:
        return [f"*.{name}" for name in self._functions]

    def stop(self) -> None:
        """End it: iterations end, the callback is not called again. Any thread, the callback's own too, any number of times."""
        with self._condition:
            if self._ended:
                return
            self._ended = True
            self._condition.notify_all()
        try:
            self._values.release(self._patterns(), self._changed)
            if self._facts is not None:
                self._facts.release(["*"], self._facts_changed)
        except BasketError:
            pass  # the connection is closed, and the feeds with it
        self._on_stop(self)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(2.0)

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
            if self._ready and not self._ended:
                return self._ready.popleft()
            with self._condition:
                while not self._dirty and not self._ended:
                    left = None if deadline is None else deadline - time.monotonic()
                    if left is not None and left <= 0:
                        return None
                    self._condition.wait(left)
                if self._ended:
                    return None
                peel_id = next(iter(self._dirty))
                del self._dirty[peel_id]
            self._ready.extend(self._differences(peel_id))

    def _call_back(self, callback: Callable[[Change], Any]) -> None:
        while True:
            try:
                change = self._next(None)
                if change is None:
                    return
                callback(change)
            except Exception:
                log.exception("a watch callback failed")

    # -- finding out ----------------------------------------------------------------------------------------------------------

    def _differences(self, peel_id: str) -> Iterable[Change]:
        """What of this peel differs from what was delivered."""
        matches: Optional[bool] = None
        for name in self._functions:
            key = join_key(peel_id, name)
            record = self._values.table.get(key)
            before = self._delivered.get((peel_id, name))
            if record is not None:
                if matches is None:
                    matches = self._match(peel_id, self._facts_of(peel_id))
                if not matches:
                    record = None
            if record is None:
                if before is not None:
                    del self._delivered[peel_id, name]
                    yield Change(DELETE, peel_id, name, None, before.revision, before.stamp, None, None)
            elif before is None or before.revision != record.revision:
                # The bytes are in the feed's table: here only what tells one value from the next.
                self._delivered[peel_id, name] = record._replace(data=b"")
                made = entry(record, key, None)
                yield Change(PUT, *made)

    def _facts_of(self, peel_id: str) -> Mapping[str, Any]:
        if not self._by_facts or self._facts is None:
            return {}
        return self._document(self._facts.table.get(peel_id))

    def retarget(self, tree: Target) -> None:
        """Another scope: the same watch from now on with this tree; what no longer matches is delivered as deleted."""
        with self._condition:
            self._match = matcher(tree)
            peels = {peel_id for peel_id, _ in self._delivered} | {split_key(key)[0] for key in list(self._values.table)}
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
