"""A live local copy of values, facts and heartbeats: what it covers is answered from memory.

It knows whether it is current. While it is not (the connection is down, or it is being read anew) it answers only those
who asked for what was last known.
"""

from __future__ import annotations

import datetime
import threading
import time
from types import TracebackType
from typing import Any, Callable, Dict, FrozenSet, Iterable, List, Mapping, Optional, Sequence, Set, Type

from basket.bus.feed import Feed
from basket.bus.record import Record, moment
from basket.entry import MirrorStatus, entry
from basket.errors import BasketError
from basket.keys import split_key
from basket.live.outcomes import Outcomes
from basket.query import Entries
from basket.query.presence import HEARTBEAT_LIFE, NOBODY_KNOWS
from basket.target import Target, exact_ids, matcher, needs_facts


class Mirror:
    """A ``Source``, made by ``Basket.mirror``. Any thread. ``stop`` ends it; its Basket asks the server again from then on.

    What was published a moment ago, by this very process too, arrives when the server delivers it: about a millisecond later.
    A server that falls silent without closing the connection is noticed after 5 s; until then what was last known is current.
    """

    def __init__(
        self,
        functions: Optional[Sequence[str]],
        values: Feed,
        facts: Feed,
        heartbeats: Feed,
        document: Callable[[Optional[Record]], Mapping[str, Any]],
        on_stop: Callable[[Mirror], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._functions = None if functions is None else frozenset(functions)
        self._values = values
        self._facts = facts
        self._heartbeats = heartbeats
        self._document = document
        self._on_stop = on_stop
        self._index: Dict[str, Dict[str, Record]] = {}
        self._outcomes = Outcomes(facts.table_of, document)
        self._clock = clock
        self._offset = 0.0
        self._ending = threading.Lock()
        self._ended = False

    # -- life -----------------------------------------------------------------------------------------------------------

    def start(self, deadline: float, server_now: float) -> Mirror:
        """Begin, and wait until it is complete. ``server_now``: the server's time, in seconds since 1970."""
        self._offset = server_now - self._clock()
        self._values.want(self._patterns(), self._changed)
        self._facts.want(["*"])
        self._heartbeats.want(["*"])
        try:
            self.wait(deadline)
        except BaseException:
            self.stop()
            raise
        return self

    def _patterns(self) -> List[str]:
        return [">"] if self._functions is None else [f"*.{name}" for name in sorted(self._functions)]

    def stop(self) -> None:
        """End it. Any thread, any number of times."""
        if self._values.inherited:
            return
        with self._ending:
            if self._ended:
                return
            self._ended = True
        self._on_stop(self)
        try:
            self._values.release(self._patterns(), self._changed)
            self._facts.release(["*"])
            self._heartbeats.release(["*"])
        except BasketError:
            pass  # the connection is closed, and the feeds with it

    def __enter__(self) -> Mirror:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.stop()

    @property
    def ended(self) -> bool:
        """Whether it was stopped."""
        return self._ended

    @property
    def current(self) -> bool:
        """Whether it is complete and its connection up."""
        return self._values.current and self._facts.current

    def wait(self, deadline: float, *, facts: bool = True, alive: Optional[bool] = False) -> None:
        """Until what a question needs is current; raises at the deadline (``time.monotonic()``). ``alive`` is None where it does
        not matter who is alive, and True where nothing but knowing it will do."""
        self._values.wait(deadline)
        if facts:
            self._facts.wait(deadline)
        if alive is not None:
            self.wait_for_heartbeats(deadline, insist=alive)

    def wait_for_heartbeats(self, deadline: float, *, insist: bool) -> None:
        """Until it is known who is alive, or (unless one has to ``insist``) that nobody may know."""
        try:
            self._heartbeats.wait(deadline, NOBODY_KNOWS)
        except NOBODY_KNOWS:
            if insist:
                raise

    @property
    def status(self) -> MirrorStatus:
        """Its state, for ``Basket.status``."""
        functions = None if self._functions is None else tuple(sorted(self._functions))
        values = sum(len(peels) for peels in list(self._index.values()))
        return MirrorStatus(functions, self.current, values, len(self._facts.table), self._values.reads)

    # -- answering ------------------------------------------------------------------------------------------------------------

    def covers(self, functions: Optional[Iterable[str]]) -> bool:
        """Whether these functions' values (None: those of all) are here."""
        return self._functions is None or (functions is not None and self._functions.issuperset(functions))

    def entries(self, tree: Target, functions: List[str], *, deadline: float, alive: bool, stale_ok: bool = False) -> Entries:
        """As Source."""
        by_facts = needs_facts(tree)
        if not stale_ok:
            self.wait(deadline, facts=by_facts, alive=alive)
        elif alive:  # what was last known of that would be wrong soon, and turn into an empty answer
            self.wait_for_heartbeats(deadline, insist=True)
        named = self.matching(tree) if by_facts else exact_ids(tree)
        match = matcher(tree)
        found: Entries = {}
        for name in functions:
            peels = self._index.get(name, {})
            # A copy, since the loop goes on; few of many, or many of few: either way each is looked up once.
            records = peels.copy() if named is None else {peel_id: peels.get(peel_id) for peel_id in named}
            found[name] = {
                peel_id: entry(record, peel_id, name, self.online(peel_id))
                for peel_id, record in records.items()
                if record is not None and (by_facts or match(peel_id, {}))
            }
        return found

    def value(self, peel_id: str, function: str, *, deadline: float, stale_ok: bool = False) -> Optional[Record]:
        """As Source."""
        if not stale_ok:
            self.wait(deadline, facts=False, alive=None)
        return self._index.get(function, {}).get(peel_id)

    def functions_of(self, peel_id: str, *, deadline: float) -> List[str]:
        """As Source."""
        self.wait(deadline, facts=False, alive=None)
        return sorted(name for name, peels in list(self._index.items()) if peel_id in peels)

    def facts_of(self, peel_id: str, *, deadline: float) -> Optional[Record]:
        """As Source."""
        self.wait(deadline, facts=True, alive=None)
        return self._facts.table.get(peel_id)

    def peels(self, tree: Target, *, deadline: float) -> FrozenSet[str]:
        """As Source."""
        self.wait(deadline, facts=True, alive=None)
        return self.matching(tree) & self.known()

    def now(self, *, deadline: float) -> datetime.datetime:
        """As Source."""
        return datetime.datetime.fromtimestamp(self._server_time(), datetime.timezone.utc)

    def known(self) -> Set[str]:
        """Every peel with facts or (of the covered functions) values."""
        return set(self._facts.table).union(*[set(peels) for peels in list(self._index.values())])

    def matching(self, tree: Target) -> FrozenSet[str]:
        """The ids that a target selects, among the peels known here."""
        return self._outcomes.matching(tree, self.known)

    def online(self, peel_id: str) -> Optional[bool]:
        """Whether the peel's last heartbeat is younger than its life; None while heartbeats do not reach us."""
        record = self._heartbeats.table.get(peel_id)
        if record is not None and self._server_time() - moment(record.stamp).timestamp() < HEARTBEAT_LIFE:
            return True
        return False if self._heartbeats.current else None

    def _server_time(self) -> float:
        return self._clock() + self._offset

    # On the loop's thread.

    def _changed(self, keys: Set[str]) -> None:
        table = self._values.table
        for key in keys:
            peel_id, name = split_key(key)
            record = table.get(key)
            if record is not None:
                peels = self._index.get(name)
                if peels is None:
                    peels = self._index[name] = {}
                peels[peel_id] = record
            elif name in self._index:
                self._index[name].pop(peel_id, None)
                if not self._index[name]:
                    del self._index[name]
