"""How the agent does, in numbers: written by its main thread, read by whoever is asked for it over HTTP. No I/O."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import Any, Callable, Collection, Dict, NamedTuple, Optional, Tuple


@dataclass(frozen=True)
class Done:
    """One function. Times are seconds since the epoch, None for never. ``seconds``: how long its last run took."""

    runs: int = 0
    failures: int = 0
    last_success: Optional[float] = None
    seconds: Optional[float] = None
    reason: Optional[str] = None
    """Why it fails; None where it works, or has not run yet."""

    @property
    def settled(self) -> bool:
        """Whether it has been published, or failed, at least once."""
        return self.last_success is not None or self.reason is not None


@dataclass(frozen=True)
class Counts:
    """So far. ``waiting``: values that wait to be written; times are seconds since the epoch, None for never."""

    connections: int = 0
    writes: int = 0
    write_failures: int = 0
    waiting: int = 0
    heartbeats: int = 0
    last_heartbeat: Optional[float] = None
    last_facts: Optional[float] = None
    reloads: int = 0
    reload_failures: int = 0
    templates: int = 0


class Snapshot(NamedTuple):
    """Everything at one moment. ``state``: as Basket's, and ``connecting`` before there was a connection. ``pulse``: seconds
    since the main thread last turned."""

    peel_id: str
    started: float
    pulse: float
    state: str
    functions: Dict[str, Done]
    counts: Counts

    @property
    def unsettled(self) -> Tuple[str, ...]:
        """The functions of which nothing is known yet."""
        return tuple(name for name, done in sorted(self.functions.items()) if not done.settled)


class Vitals:
    """``wall`` gives seconds since the epoch; ``clock`` is monotonic. ``snapshot`` may be called from any thread."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._wall = wall
        self._lock = threading.Lock()
        self._counts = Counts()  # replaced whole, so whoever reads it sees one moment
        self._functions: Dict[str, Done] = {}
        self._pulse = clock()
        self.started = wall()
        self.peel_id = ""
        self.state: Callable[[], str] = lambda: "connecting"
        """How the connection does at this moment; must not block."""

    # -- from the main thread -----------------------------------------------------------------------------------------------

    def pulse(self) -> None:
        """The main thread is turning."""
        self._pulse = self._clock()

    def expect(self, names: Collection[str], templates: int) -> None:
        """These are the configured functions from now on, and so many templates."""
        with self._lock:
            self._functions = {name: self._functions.get(name, Done()) for name in names}
        self._count(templates=templates)

    def ran(self, name: str, seconds: float) -> None:
        """A run of a function has ended, whichever way."""
        self._function(name, lambda done: replace(done, runs=done.runs + 1, seconds=seconds))

    def worked(self, name: str) -> None:
        """Its value is in the bucket: written, or there already."""
        now = self._wall()
        self._function(name, lambda done: replace(done, last_success=now, reason=None))

    def failed(self, name: str, reason: str) -> None:
        """It failed, or its value was refused for good."""
        self._function(name, lambda done: replace(done, failures=done.failures + 1, reason=reason))

    def _function(self, name: str, change: Callable[[Done], Done]) -> None:
        with self._lock:
            if name in self._functions:
                self._functions[name] = change(self._functions[name])

    def _count(self, **changed: Any) -> None:
        self._counts = replace(self._counts, **changed)

    def connected(self) -> None:
        """For the first time, or again."""
        self._count(connections=self._counts.connections + 1)

    def delivered(self, written: int, failed: int, waiting: int) -> None:
        """A delivery has ended: so many values are written, were not, and wait for the next."""
        now = self._counts
        self._count(writes=now.writes + written, write_failures=now.write_failures + failed, waiting=waiting)

    def beat(self) -> None:
        self._count(heartbeats=self._counts.heartbeats + 1, last_heartbeat=self._wall())

    def described(self) -> None:
        """The facts are in their bucket: written, or there already."""
        self._count(last_facts=self._wall())

    def reloaded(self, works: bool) -> None:
        if works:
            self._count(reloads=self._counts.reloads + 1)
        else:
            self._count(reload_failures=self._counts.reload_failures + 1)

    # -- from any thread ----------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        with self._lock:
            functions = dict(self._functions)
        return Snapshot(self.peel_id, self.started, self._clock() - self._pulse, self.state(), functions, self._counts)
