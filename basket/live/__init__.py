"""Everything of one Basket that stays alive between calls: feeds, watches, the mirror, the resolve service.

A feed is shared by all that need its bucket, so a process has one consumer a bucket however many watches it has.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from basket.bus import loop as loops
from basket.bus.bucket import Bucket
from basket.bus.link import Link
from basket.errors import BasketError
from basket.query import document
from basket.target import Target, needs_facts

if TYPE_CHECKING:  # each is imported when it is first asked for: who only asks once shall not pay for it
    from basket.bus.feed import Feed
    from basket.entry import Change
    from basket.live.answering import ResolveService
    from basket.live.mirror import Mirror
    from basket.live.watch import Watch

CALLBACKS_END = 2.0
"""Seconds for which closing waits for callbacks that are running."""


class Live:
    """Any thread. ``retarget`` gives a watch its tree anew when the scope has changed."""

    def __init__(self, link: Link, values: Bucket, facts: Bucket, heartbeats: Bucket) -> None:
        self._link = link
        self._values = values
        self._facts = facts
        self._heartbeats = heartbeats
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._feeds: Dict[str, Feed] = {}
        self._watches: List[Tuple[Watch, Callable[[], Target]]] = []
        self._scopes = 0  # how many were set: a watch that was begun under one must not miss the next
        self._mirror: Optional[Mirror] = None
        self._service: Optional[ResolveService] = None
        self._generation = loops.generation  # at the very end: other threads of a forked child look at it

    def _here(self) -> None:
        """In the child of a fork, what the parent watched is not ours."""
        with loops.fork_lock():
            if self._generation != loops.generation:
                self._reset()

    def _feed(self, bucket: Bucket) -> Feed:
        with self._lock:
            feed = self._feeds.get(bucket.spec.name)
            if feed is None:
                from basket.bus.feed import Feed

                feed = self._feeds[bucket.spec.name] = Feed(bucket)
                self._link.on_change(feed.connection_changed)
            return feed

    def watch(
        self, tree: Callable[[], Target], functions: List[str], callback: Optional[Callable[[Change], Any]], deadline: float
    ) -> Watch:
        """A started watch; ``tree`` is asked again when the scope changes."""
        self._link.ready(deadline)
        self._here()
        self._seen(deadline, self._values)
        scopes = self._scopes
        target = tree()
        by_facts = needs_facts(target)
        if by_facts:
            self._seen(deadline, self._facts)
        facts = self._feed(self._facts) if by_facts else None
        from basket.live.watch import Watch

        watch = Watch(target, functions, self._feed(self._values), facts, document, self._forget)
        with self._lock:
            self._watches.append((watch, tree))
            outdated = scopes != self._scopes
        if outdated:
            try:
                watch.retarget(tree(), lambda: self._feed(self._facts))
            except BaseException:
                self._forget(watch)
                raise
        return watch.start(deadline, callback)

    def _seen(self, deadline: float, *buckets: Bucket) -> None:
        """Make the buckets that are missing: a feed would wait for them."""
        for bucket in buckets:
            bucket.require(deadline=deadline)

    def _forget(self, watch: Watch) -> None:
        with self._lock:
            self._watches = [(one, tree) for one, tree in self._watches if one is not watch]

    def rescope(self) -> None:
        """The scope or the named groups changed: every watch follows."""
        if self._generation != loops.generation:  # what watches there are is the parent's, and so may be a lock held there
            return
        with self._lock:
            self._scopes += 1
            watches = list(self._watches)
        failed: Optional[BasketError] = None
        for watch, tree in watches:
            try:
                watch.retarget(tree(), lambda: self._feed(self._facts))
            except BasketError as error:  # this one stays as it was, the others have their own
                failed = error
        if failed is not None:
            raise failed

    def mirror(self, functions: Optional[Sequence[str]], deadline: float) -> Mirror:
        """The mirror, started; a former one is replaced once the new one is complete."""
        from basket.live.mirror import Mirror
        from basket.query.presence import NOBODY_KNOWS

        self._link.ready(deadline)
        self._here()
        self._seen(deadline, self._values, self._facts)
        try:
            self._seen(deadline, self._heartbeats)
        except NOBODY_KNOWS:
            pass
        server_now = time.time() + self._values.clock_ahead(deadline=deadline)
        feeds = (self._feed(self._values), self._feed(self._facts), self._feed(self._heartbeats))
        mirror = Mirror(functions, *feeds, document=document, on_stop=self._drop).start(deadline, server_now)
        with self._lock:
            former, self._mirror = self._mirror, mirror
        if former is not None:
            former.stop()
        return mirror

    def _drop(self, mirror: Mirror) -> None:
        with self._lock:
            if self._mirror is mirror:
                self._mirror = None

    @property
    def mirrored(self) -> Optional[Mirror]:
        """The mirror, if there is one in this process."""
        return self._mirror if self._generation == loops.generation else None

    def serve(self, groups: Callable[[], Mapping[str, str]], deadline: float) -> ResolveService:
        """The resolve service, started."""
        self._link.ready(deadline)
        self._here()
        self._seen(deadline, self._facts)
        with self._lock:
            if self._service is None:
                from basket.live.answering import ResolveService

                self._service = ResolveService(self._link, self._feed(self._facts), document, groups)
            service = self._service
        return service.start(deadline)

    def stop_serving(self) -> None:
        """Withdraw the resolve service, if it is offered."""
        if self._generation != loops.generation:
            return
        with self._lock:
            service, self._service = self._service, None
        if service is not None:
            service.stop()

    def stop(self) -> None:
        """End it all, watches first. Waits for callbacks that are running, all together no longer than ``CALLBACKS_END``."""
        if self._generation != loops.generation:
            return
        with self._lock:
            watches = [watch for watch, _ in self._watches]
        for watch in watches:
            watch.stop(0.0)
        deadline = time.monotonic() + CALLBACKS_END
        for watch in watches:
            watch.join(deadline)
        self.stop_serving()
        mirror = self._mirror
        if mirror is not None:
            mirror.stop()
        self._feeds = {}  # a connection opened again makes its own
