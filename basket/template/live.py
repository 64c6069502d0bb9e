"""Keeps files current: renders them at the start, and again when what they are made of changes.

One thread, ``basket-templates``, renders and runs commands, so that nothing else waits for them. It is told of changes by
the watches of ``interest``; ``waiting`` says when a template is due, ``believing`` what must not be believed yet after a
loss, ``complaints`` what is said about it.
"""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Callable, Dict, List, Mapping, Optional, Set

from basket.config.sections import Config, TemplateSection
from basket.errors import BasketError, ClosedError, CommandFailedError, DestinationError, ServerError, TooFewError
from basket.logs import Log
from basket.template.believing import Memory, Stored, stored
from basket.template.complaints import Complaints
from basket.template.delivery import Delivered, deliver, reload
from basket.template.interest import Interest, Pair, pairs_of
from basket.template.owed import Owed
from basket.template.rendering import Attempt, Renderer, require_jinja
from basket.template.waiting import Due

if TYPE_CHECKING:
    from basket.client import Basket

log = Log("basket.template")

RETRY_FIRST, RETRY_MOST = 1.0, 10.0
"""Seconds until the next attempt where the server could not be asked."""

DISK_RETRY = 30.0
"""Seconds until the next attempt where a file could not be written."""

SETTLE = 2.0
"""Seconds after an outage in which others come back too: what is rendered then is rendered once."""

HEARTBEATS_SETTLE = 30.0
"""Seconds after an outage before anybody counts as offline: until then, heartbeats may just not have been written yet."""

LOOK = 5.0
"""Seconds between renderings of a template that asks who is online or how old a value is: nothing announces that."""

REFILL_LOOK = 2.0
"""Seconds between attempts while a wiped store fills up again."""


class _Kept:
    """One template that is kept current, and what is known of it."""

    def __init__(self, section: TemplateSection, clock: Callable[[], float], stored: Callable[[], Stored]) -> None:
        self.section = section
        self.due = Due(*section.wait)
        self.due.soon(clock())
        self.complaints = Complaints(section.destination)
        self.memory = Memory(clock, stored)
        self.sources: Set[str] = {section.source}
        self.pairs: Set[Pair] = set()
        self.passing = False
        self.facts = False
        self.failures = 0

    def took(self, attempt: Attempt) -> None:
        """Remember what this attempt depended on, for better or worse."""
        self.sources = set(attempt.sources)
        self.pairs = pairs_of(attempt.asked)
        self.passing = any(query.passing for query in attempt.asked)
        self.facts = attempt.facts


class Keeper:
    """Keeps the templates of a configuration current, from ``start`` to ``stop``. All methods from any thread; none blocks
    on rendering, but ``stop`` waits for it up to two seconds.

    Give it a Basket with ``use``, also when it is replaced by another, and a changed configuration with ``apply``. What it
    does and cannot do goes to the log "basket.template". ``listener`` is called with each round's results, on its thread.
    """

    def __init__(
        self,
        config: Config,
        *,
        clock: Callable[[], float] = time.monotonic,
        listener: Optional[Callable[[List[Delivered], List[CommandFailedError]], None]] = None,
    ) -> None:
        require_jinja()
        self._clock = clock
        self._listener = listener
        self._condition = threading.Condition()
        self._stopping = False
        self._thread: Optional[threading.Thread] = None
        self._basket: Optional[Basket] = None
        self._used: Optional[Basket] = None  # whose watches there are
        self._connections = 0
        self._interest = Interest(self._value_changed, self._file_changed)
        self._interest_due: Optional[float] = None
        self._facts_known: Optional[bytes] = None
        self._facts_due = 0.0
        self._config = config
        self._owed = Owed(config.peel.state)
        self._kept: Dict[str, _Kept] = {}
        self._take(config)

    # -- told from outside ------------------------------------------------------------------------------------------------

    def start(self) -> Keeper:
        """Begin. Returns at once; what can be rendered is, as soon as there is a Basket."""
        with self._condition:
            if self._thread is None and not self._stopping:
                self._thread = threading.Thread(target=self._run, name="basket-templates", daemon=True)
                self._thread.start()
        return self

    def use(self, basket: Basket) -> None:
        """Ask this one from now on. The former may be closed already."""
        basket.on_connected(self._wake)
        with self._condition:
            self._basket = basket
            self._connections = basket.connections
            for kept in self._kept.values():
                kept.due.soon(self._clock())
            self._condition.notify_all()

    def apply(self, config: Config) -> None:
        """Follow a changed configuration: new templates are rendered, changed ones again, the others only where what holds
        for all of them has changed."""
        with self._condition:
            self._take(config)
            self._condition.notify_all()

    def stop(self) -> None:
        """End it. A command that runs is left to whoever ends the commands (``functions.stop_all``)."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(2.0)

    def _take(self, config: Config) -> None:
        old, self._config = self._config, config
        if old.peel.state != config.peel.state:
            self._owed = Owed(config.peel.state)
        alike = (old.basket.expect, old.basket.scope, old.nodegroups, old.facts.custom) == (
            config.basket.expect,
            config.basket.scope,
            config.nodegroups,
            config.facts.custom,
        )
        kept: Dict[str, _Kept] = {}
        for section in config.templates:
            known = self._kept.get(section.destination)
            if known is None or known.section != section:
                known = _Kept(section, self._clock, self._stored)
            elif not alike:
                known.due.changed(self._clock())
            if old.nats != config.nats:  # another server is no wiped one
                known.memory = Memory(self._clock, self._stored)
            kept[section.destination] = known
        self._kept = kept

    # -- told by the watches --------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        with self._condition:
            self._condition.notify_all()

    def _value_changed(self, pair: Pair) -> None:
        with self._condition:
            for kept in self._kept.values():
                if pair in kept.pairs:
                    kept.due.changed(self._clock())
            self._condition.notify_all()

    def _file_changed(self) -> None:
        with self._condition:
            for kept in self._kept.values():
                kept.due.changed(self._clock())
            self._condition.notify_all()

    # -- the thread -----------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while True:
                with self._condition:
                    if self._stopping:
                        return
                    ready = self._ready()
                    look = not ready and self._look_due() <= self._clock()
                    if not ready and not look:
                        self._condition.wait(self._pause())
                        continue
                try:
                    if look:
                        self._look()
                    else:
                        self._round(ready)
                except Exception as error:  # a defect of ours: the next round may go well
                    log.error("unexpected error, please report it", error=f"{type(error).__name__}: {error}")
                    with self._condition:
                        self._facts_due = self._clock() + self._config.facts.interval
                        for kept in ready:
                            kept.due.soon(self._clock() + RETRY_MOST)
        finally:
            self._interest.stop()

    def _connected(self) -> bool:
        return self._basket is not None and self._basket.state == "connected"

    def _ready(self) -> List[_Kept]:
        """What to render now. Tells what has been waited for."""
        now = self._clock()
        connected = self._connected()
        if connected and self._basket is not None and self._basket.connections != self._connections:
            self._connections = self._basket.connections
            for kept in self._kept.values():
                kept.due.settle(now + (HEARTBEATS_SETTLE if kept.passing else SETTLE))
        ready = []
        for kept in self._kept.values():
            at = kept.due.at()
            if at is not None and at <= now:
                if connected:
                    ready.append(kept)
                else:
                    kept.complaints.waiting(self._no_connection(), now)
            kept.complaints.tell(now)
        return ready

    def _no_connection(self) -> str:
        error = None if self._basket is None or self._basket.closed else self._basket.status().error
        return f"a connection to NATS ({error})" if error is not None else "a connection to NATS"

    def _look_due(self) -> float:
        """When to look after what nothing announces: facts that may have changed, watches that could not be begun."""
        times = [] if self._interest_due is None or not self._connected() else [self._interest_due]
        if any(kept.facts for kept in self._kept.values()):
            times.append(self._facts_due)
        return min(times, default=math.inf)

    def _look(self) -> None:
        now = self._clock()
        if self._facts_due <= now:
            known = self._facts_known
            self._facts()
            with self._condition:
                for kept in self._kept.values():
                    if kept.facts and known != self._facts_known:
                        kept.due.changed(now)
        if self._interest_due is not None and self._interest_due <= now:
            self._follow()

    def _pause(self) -> Optional[float]:
        """Seconds until there is something to do, where nobody says anything."""
        now = self._clock()
        connected = self._connected()
        times = [self._look_due()]
        for kept in self._kept.values():
            told = kept.complaints.tells_at()
            if told is not None:
                times.append(told)
            at = kept.due.at()
            # Without a connection only what it waits for is told; its return wakes us.
            if at is not None and (connected or at > now):
                times.append(at)
        first = min(times)
        return None if first == math.inf else max(0.0, first - now)

    def _round(self, ready: List[_Kept]) -> None:
        basket = self._basket
        assert basket is not None
        # Before they are read: what changes from here on is then seen as a change.
        self._read()
        renderer = Renderer(basket, config=self._config, facts=self._facts)
        done: List[Delivered] = []
        for kept in ready:
            if self._stopping or self._basket is not basket:
                break  # those that are left are due still
            with self._condition:
                kept.due.take()
            done.append(self._bring(kept, renderer))
        failed = reload(done, self._owed)
        self._read()
        self._follow()
        if self._listener is not None:
            self._listener(done, list(failed.values()))

    def _bring(self, kept: _Kept, renderer: Renderer) -> Delivered:
        sources, pairs = kept.sources, kept.pairs
        one = deliver(kept.section, renderer, self._owed, doubt=kept.memory.doubt)
        now = self._clock()
        with self._condition:
            kept.took(one.attempt)
            if kept.sources - sources:
                kept.due.soon(now)  # a file that was included for the first time: it was not watched while it was read
            if kept.pairs - pairs:
                kept.due.changed(now)  # as with a file: what changed since it was asked for may have been told to others only
            kept.complaints.dropped(one.attempt.dropped)
            if one.error is None:
                kept.failures = 0
                kept.memory.written(one.attempt)
                kept.complaints.worked()
                if kept.passing:
                    kept.due.soon(now + LOOK)
            else:
                kept.complaints.failed(one.error, now)
                pause = self._again_in(kept, one.error)
                if pause is not None:
                    kept.due.soon(now + pause)
        return one

    def _again_in(self, kept: _Kept, error: BasketError) -> Optional[float]:
        """Seconds until it is worth another attempt though nothing has changed; None where it is not."""
        if isinstance(error, (ServerError, ClosedError)):
            kept.failures += 1
            return min(RETRY_MOST, RETRY_FIRST * 2.0 ** min(kept.failures - 1, 10))
        if isinstance(error, DestinationError):
            return DISK_RETRY
        if isinstance(error, TooFewError):
            return REFILL_LOOK if kept.memory.doubting else LOOK if kept.passing else None
        return LOOK if kept.passing else None

    def _read(self) -> None:
        """Watch the files that the templates were read from."""
        with self._condition:
            paths = {path for kept in self._kept.values() for path in kept.sources}
        self._interest.read(paths)

    def _follow(self) -> None:
        """Watch the values that the templates asked for."""
        with self._condition:
            basket = self._basket
            pairs = {pair for kept in self._kept.values() for pair in kept.pairs}
        if basket is not self._used:
            self._interest.forget()
            self._used = basket
        if basket is None:
            return
        begun, complete = self._interest.follow(basket, pairs)
        now = self._clock()
        self._interest_due = None if complete else now + RETRY_MOST
        with self._condition:
            for kept in self._kept.values():
                if kept.pairs & begun:
                    kept.due.changed(now)  # what left before the watch began, it does not tell

    # -- for the renderings -----------------------------------------------------------------------------------------------------

    def _facts(self) -> Mapping[str, object]:
        from basket import codec, facts

        document = facts.collect(self._config.facts.custom)
        self._facts_known = codec.encode(facts.stable(document))
        self._facts_due = self._clock() + self._config.facts.interval
        return document

    def _stored(self) -> Stored:
        if self._basket is None:
            raise ClosedError("there is no connection")
        return stored(self._basket)
