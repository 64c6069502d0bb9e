"""The agent's life: start, signals, new versions of the configuration, orderly end. The loop on the main thread is here.

The main thread owns all state. Workers, the file watch and signal handlers only leave letters in its mailbox, and between
two letters it sleeps until the next thing is due.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence, Set

import basket
from basket import config as configuration
from basket.agent import deliver, footprint
from basket.agent.changes import compare
from basket.agent.connection import Connection, open_basket
from basket.agent.mailbox import Mailbox
from basket.agent.publishing import FACTS, Publishing
from basket.agent.reporting import Reporting
from basket.agent.resolving import Resolving
from basket.agent.retry import Backoff
from basket.agent.schedule import Schedule
from basket.agent.tasks import Activity, Tasks
from basket.agent.templates import Templates
from basket.agent.troubles import Troubles
from basket.agent.vitals import Vitals
from basket.agent.workers import Job, Workers, start_thread
from basket.config import Config
from basket.errors import BasketError, ClosedError, ServerError
from basket.logs import Log

if TYPE_CHECKING:
    from basket.agent.reload import FileWatch
    from basket.client import Basket

log = Log("basket.agent")

RETRY_FIRST, RETRY_MOST = 0.25, 4.0
"""Seconds between attempts to reach NATS or to write. A fleet that lost its server finds it again within seconds."""

STOP_TIME, LAST_LOOK = 4.0, 0.3
"""Seconds for the orderly end: children, connection. What has not ended by then ends with the process."""

SETTLED_AFTER = 3.0
"""Seconds after the start when everything has been imported and run once."""

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True)
class _Signal:
    number: int


@dataclass(frozen=True)
class _FilesChanged:
    pass


@dataclass(frozen=True)
class _Reconnected:
    basket: Any


class Agent:
    """Make it, ``run`` it once, on the main thread. ``reload`` reads the configuration again and may raise ConfigError."""

    def __init__(
        self,
        config: Config,
        *,
        servers: Sequence[str] = (),
        once: bool = False,
        reload: Optional[Callable[[], Config]] = None,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._config = config
        self._servers = tuple(servers)
        self._once = once
        self._reload = reload
        self._mailbox = Mailbox()
        self._troubles = Troubles()
        self._tasks = Tasks(Schedule(draw), Workers(self._mailbox.post), clock)
        vitals = Vitals(clock=clock)
        self._reporting = Reporting(self._tasks, vitals)
        self._publishing = Publishing(
            self._tasks,
            self._troubles,
            Backoff(RETRY_FIRST, RETRY_MOST, draw),
            clock,
            vitals=vitals,
            settled=self._settled,
            lost=self._lost,
        )
        self._connection = self._publishing.connection = Connection(
            self._tasks,
            self._troubles,
            Backoff(RETRY_FIRST, RETRY_MOST, draw),
            config,
            servers=self._servers,
            opener=self._open,
            up=self._connected,
            refused=self._refused,
        )
        vitals.state = self._connection.state
        self._templates = Templates()
        self._resolving = Resolving(self._tasks, self._troubles, Backoff(RETRY_FIRST, RETRY_MOST, draw))
        self._watch: Optional[FileWatch] = None
        self._ever_connected = False
        self._stopping = False
        self._status = 0
        self._fatal: Optional[BaseException] = None
        # Only with ``once``: what has not been published yet, and what failed.
        self._pending: Set[str] = set()
        self._failed: List[str] = []

    def run(self) -> int:
        """Until a signal ends it (0), or with ``once`` until all is published (1 where a function failed). BasketError where it
        cannot start at all; with ``once`` also where NATS cannot be reached."""
        from basket import identity

        before = self._take_signals()
        if not self._once:
            footprint.one_arena()
        try:
            self._peel_id = identity.peel_id(self._config.peel, pin=True)
            if not self._once:
                self._templates.require(self._config)
            log.info(
                "agent starting",
                version=basket.__version__,
                peel=self._peel_id,
                server=self._server_names(),
                functions=len(self._config.basket.functions),
            )
            if self._once:
                self._pending = {scheduled.function.name for scheduled in self._config.basket.functions}
                self._pending |= {FACTS} if self._config.facts.publish else set()
            self._connection.connect()
            self._publishing.start(self._config, once=self._once)
            if not self._once:
                self._templates.follow(self._config, None)
                self._resolving.follow(self._config)
                self._watch_files()
                self._reporting.start(self._config, self._peel_id)
                self._tasks.once("trim", Activity(lambda: footprint.trim, _ignore), SETTLED_AFTER)
            while not self._stopping and not (self._once and not self._pending):
                self._turn()
            return self._leave()
        finally:
            self._end()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _turn(self) -> None:
        self._tasks.step()
        for letter in self._mailbox.take(self._tasks.next_step()):
            if isinstance(letter, Job):
                self._tasks.ended(letter)
            elif isinstance(letter, _Reconnected):
                if letter.basket is self._connection.basket:
                    self._reporting.connected()
                    self._publishing.connected()
            elif isinstance(letter, _FilesChanged):
                self._read_again()
            elif letter.number == signal.SIGHUP:
                self._troubles.forget("configuration")  # somebody asks: the same problem is worth saying again
                self._reporting.reloading()
                self._read_again(asked=True)
                self._reporting.reloaded()
            else:
                self._stop(letter.number)

    def _leave(self) -> int:
        if self._fatal is not None:
            raise self._fatal
        if self._once:
            if self._pending:
                log.error("ended before everything was published", missing=",".join(sorted(self._pending)))
                return 1
            if self._failed:
                log.error("published, but not all", failed=",".join(self._failed))
                return 1
            log.info("published", functions=len(self._config.basket.functions))
        return self._status

    # -- signals ----------------------------------------------------------------------------------------------------------

    def _take_signals(self) -> Dict[int, Any]:
        if threading.current_thread() is not threading.main_thread():
            return {}
        return {number: signal.signal(number, self._on_signal) for number in SIGNALS}

    def _on_signal(self, number: int, frame: object) -> None:
        self._mailbox.post(_Signal(number))

    def _stop(self, number: int) -> None:
        log.info("stopping", signal=signal.Signals(number).name)
        self._stopping = True

    # -- the connection -----------------------------------------------------------------------------------------------------

    def _open(self, config: Config, servers: Sequence[str]) -> Basket:
        return open_basket(config, servers, self._peel_id)

    def _connected(self, opened: Basket) -> None:
        self._ever_connected = True
        self._reporting.connected()
        opened.on_connected(lambda: self._mailbox.post(_Reconnected(opened)))
        self._publishing.connected()
        self._templates.use(opened)
        self._resolving.use(opened)

    def _refused(self, error: BaseException) -> bool:
        """An attempt to connect failed; True where there is no point in another one."""
        wrong = isinstance(error, BasketError) and not isinstance(error, (ServerError, ClosedError))
        if self._once or (wrong and not self._ever_connected):
            self._fail(error)
            return True
        return False

    def _lost(self, error: BaseException) -> None:
        if self._once:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._fatal = self._fatal or error
        self._stopping = True

    def _settled(self, name: str, works: bool) -> None:
        if name in self._pending:
            self._pending.discard(name)
            if not works:
                self._failed.append(name)

    def _server_names(self) -> str:
        return ",".join(configuration.redacted(url) for url in self._servers or self._config.nats.url)

    # -- the configuration ----------------------------------------------------------------------------------------------------

    def _watch_files(self) -> None:
        """Watch the files that the running configuration was read from."""
        from basket.agent.reload import FileWatch

        if self._watch is not None:
            self._watch.stop()
            self._watch = None
        if self._config.watched and self._reload is not None:
            self._watch = FileWatch(self._config.watched, lambda: self._mailbox.post(_FilesChanged()))
            self._watch.start()
            # It knows the files as they are now, which may not be what was read a moment ago.
            self._mailbox.post(_FilesChanged())

    def _read_again(self, *, asked: bool = False) -> None:
        if self._reload is None or self._once:
            return
        from basket import identity

        try:
            new = self._reload()
            self._templates.require(new)
            peel_id = identity.peel_id(new.peel, pin=True) if new.peel != self._config.peel else self._peel_id
        except BasketError as error:
            message = "configuration not taken over, the running one stays"
            self._troubles.failed("configuration", str(error), log.error, message)
            self._reporting.vitals.reloaded(False)
            return
        self._troubles.worked("configuration", log.info, "configuration can be read again")
        old, self._config = self._config, new
        if old == new:
            (log.info if asked else log.debug)("configuration unchanged")
            return
        changes = compare(old, new)
        log.info("configuration taken over", functions=len(new.basket.functions))
        if changes.connection:
            leaving = peel_id != self._peel_id
            self._peel_id = peel_id
            log.info("connecting anew", peel=peel_id, server=self._server_names())
            # Under another id, what was published under the old one would stay for ever.
            self._connection.replace(new, deliver.farewell(s.function.name for s in old.basket.functions) if leaving else None)
        elif changes.asking:
            self._connection.rescope(new)
        self._reporting.vitals.reloaded(True)
        self._reporting.apply(new, self._peel_id)
        self._publishing.apply(new, changes)
        self._resolving.follow(new)
        if old.templates or new.templates:
            self._templates.follow(new, self._connection.basket)
        if old.watched != new.watched:
            self._watch_files()

    # -- the end ----------------------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """Children first, since they cost others most; then the connection. Bounded: what hangs is left to the process's end."""
        self._stopping = True
        self._reporting.stopping()
        steps: List[Callable[[], object]] = [self._reporting.stop]
        if self._watch is not None:
            steps.append(self._watch.stop)
        steps.append(self._templates.stop)
        from basket import functions

        steps.append(functions.stop_all)
        if self._connection.basket is not None:
            steps.append(self._connection.basket.close)
        _together(steps, STOP_TIME)
        _together([functions.stop_all], LAST_LOOK)  # a function may have started a child in between


def _ignore(job: Job) -> None:
    pass


def _together(steps: Sequence[Callable[[], object]], limit: float) -> None:
    """Do all of them at the same time, and wait ``limit`` seconds at most."""
    done = [threading.Event() for _ in steps]
    for number, step in enumerate(steps):
        start_thread(f"basket-stop-{number}", partial(_quietly, step, done[number]))
    deadline = time.monotonic() + limit
    for event in done:
        event.wait(max(0.0, deadline - time.monotonic()))


def _quietly(step: Callable[[], object], done: threading.Event) -> None:
    try:
        step()
    except Exception as error:
        log.debug("while stopping", error=f"{type(error).__name__}: {error}")
    finally:
        done.set()
