"""How the agent does, in numbers: written by its main thread, read by whoever is asked for it over HTTP. No I/O."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from typing import Callable, Collection, Dict, NamedTuple, Optional, Tuple


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


class Snapshot(NamedTuple):
    """Everything at one moment. ``state``: as Basket's, and ``connecting`` before there was a connection."""

    peel_id: str
    started: float
    pulse: float
    state: str
    connections: int
    functions: Dict[str, Done]
    writes: int
    write_failures: int
    waiting: int
    heartbeats: int
    last_heartbeat: Optional[float]
    last_facts: Optional[float]
    reloads: int
    reload_failures: int
    templates: int

    @property
    def unsettled(self) -> Tuple[str, ...]:
        """The functions of which nothing is known yet."""
        return tuple(name for name, done in sorted(self.functions.items()) if not done.settled)


@dataclass
class _Counts:
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
    functions: Dict[str, Done] = field(default_factory=dict)


class Vitals:
    """``wall`` gives seconds since the epoch; ``clock`` is monotonic. ``snapshot`` may be called from any thread."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._wall = wall
        self._lock = threading.Lock()
        self._counts = _Counts()
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
            known = self._counts.functions
            self._counts.functions = {name: known.get(name, Done()) for name in names}
            self._counts.templates = templates

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
            if name in self._counts.functions:
                self._counts.functions[name] = change(self._counts.functions[name])

    def connected(self) -> None:
        """For the first time, or again."""
        self._counts.connections += 1

    def delivered(self, written: int, failed: int, waiting: int) -> None:
        """A delivery has ended: so many values are written, were not, and wait for the next."""
        self._counts.writes += written
        self._counts.write_failures += failed
        self._counts.waiting = waiting

    def beat(self) -> None:
        self._counts.heartbeats += 1
        self._counts.last_heartbeat = self._wall()

    def described(self) -> None:
        """The facts are in their bucket: written, or there already."""
        self._counts.last_facts = self._wall()

    def reloaded(self, works: bool) -> None:
        if works:
            self._counts.reloads += 1
        else:
            self._counts.reload_failures += 1

    # -- from any thread ----------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """``pulse`` in it: seconds since the main thread last turned."""
        with self._lock:
            functions = dict(self._counts.functions)
        counts = self._counts
        return Snapshot(
            peel_id=self.peel_id,
            started=self.started,
            pulse=self._clock() - self._pulse,
            state=self.state(),
            connections=counts.connections,
            functions=functions,
            writes=counts.writes,
            write_failures=counts.write_failures,
            waiting=counts.waiting,
            heartbeats=counts.heartbeats,
            last_heartbeat=counts.last_heartbeat,
            last_facts=counts.last_facts,
            reloads=counts.reloads,
            reload_failures=counts.reload_failures,
            templates=counts.templates,
        )
