"""The agent's life: start, signals, new versions of the configuration, end. The loop on the main thread is here.

The main thread owns all state. Workers, the file watch and signal handlers only leave letters in its mailbox, and between
two letters it sleeps until the next thing is due.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence

import basket
from basket.addresses import redacted
from basket.agent import deliver, ending, footprint
from basket.agent.changes import compare
from basket.agent.connection import Connection, open_basket
from basket.agent.following import Following, Version
from basket.agent.mailbox import Mailbox
from basket.agent.once import Once
from basket.agent.publishing import Publishing
from basket.agent.reporting import Reporting
from basket.agent.resolving import Resolving
from basket.agent.retry import Backoff
from basket.agent.schedule import Schedule
from basket.agent.tasks import Activity, Tasks
from basket.agent.templates import Templates
from basket.agent.troubles import Troubles
from basket.agent.vitals import Vitals
from basket.agent.workers import Job, Workers
from basket.config import Config
from basket.errors import BasketError, ClosedError, ServerError
from basket.logs import Log

if TYPE_CHECKING:
    from basket.client import Basket

log = Log("basket.agent")

RETRY_FIRST, RETRY_MOST = 0.25, 4.0
"""Seconds between attempts to reach NATS or to write. A fleet that lost its server finds it again within seconds."""

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
        self._running = Version(config, "")  # its id is found out at the start
        self._servers = tuple(servers)
        self._once = Once(config) if once else None
        self._mailbox = Mailbox()
        self._troubles = Troubles()
        self._tasks = Tasks(Schedule(draw), Workers(self._mailbox.post), clock)
        vitals = Vitals(clock=clock)
        self._reporting = Reporting(self._tasks, vitals)

        def backoff() -> Backoff:
            return Backoff(RETRY_FIRST, RETRY_MOST, draw)

        self._connection = Connection(
            self._tasks,
            self._troubles,
            backoff(),
            config,
            servers=self._servers,
            opener=self._open,
            up=self._connected,
            refused=self._refused,
        )
        vitals.state = self._connection.state
        self._publishing = Publishing(
            self._tasks,
            self._troubles,
            backoff(),
            clock,
            self._connection,
            once=once,
            vitals=vitals,
            settled=_ignore if self._once is None else self._once.settled,
            lost=_ignore if self._once is None else self._fail,
        )
        self._templates = Templates()
        self._resolving = Resolving(self._tasks, self._troubles, backoff())
        self._following: Optional[Following] = None
        if reload is not None and not once:
            self._following = Following(
                self._tasks,
                self._troubles,
                self._reporting,
                reload,
                running=lambda: self._running,
                changed=lambda: self._mailbox.post(_FilesChanged()),
                taken=self._take_over,
            )
        self._ever_connected = False
        self._stopping = False
        self._fatal: Optional[BaseException] = None

    def run(self) -> int:
        """Until a signal ends it (0), or with ``once`` until all is published (1 where a function failed). BasketError where it
        cannot start at all; with ``once`` also where NATS cannot be reached."""
        before = self._take_signals()
        if self._once is None:
            footprint.one_arena()
        try:
            self._start()
            while not self._stopping and not (self._once is not None and self._once.done):
                self._turn()
            if self._fatal is not None:
                raise self._fatal
            return 0 if self._once is None else self._once.status()
        finally:
            self._end()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _start(self) -> None:
        from basket import exposure, identity

        config = self._running.config
        exposure.configured(config)
        peel_id = identity.peel_id(config.peel, pin=True)
        if self._once is None:
            Templates.require(config)
        self._running = Version(config, peel_id)
        count = len(config.basket.functions)
        log.info("agent starting", version=basket.__version__, peel=peel_id, server=self._server_names(), functions=count)
        if not (count or config.templates or config.agent.resolver):
            missing = "this agent publishes no value: name what to publish under [basket.functions]"
            log.warning(missing, file=config.file or "no configuration file found")
        self._connection.connect()
        self._publishing.start(config, peel_id)
        if self._once is None:
            self._templates.follow(config, None)
            self._resolving.follow(config)
            if self._following is not None:
                self._following.start()
            self._reporting.start(config, peel_id)
            self._tasks.once("trim", Activity(lambda: footprint.trim, _ignore), SETTLED_AFTER)

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
                if self._following is not None:
                    self._following.read()
            elif letter.number == signal.SIGHUP:
                if self._following is not None:
                    self._following.ask()
            else:
                self._stop(letter.number)

    def _end(self) -> None:
        self._stopping = True
        self._reporting.stopping()
        steps: List[Callable[[], object]] = [self._reporting.stop, self._templates.stop]
        if self._following is not None:
            steps.append(self._following.stop)
        if self._connection.basket is not None:
            steps.append(self._connection.basket.close)
        ending.end(steps)

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
        return open_basket(config, servers, self._running.peel_id)

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
        if self._once is not None or (wrong and not self._ever_connected):
            self._fail(error)
            return True
        return False

    def _fail(self, error: BaseException) -> None:
        self._fatal = self._fatal or error
        self._stopping = True

    def _server_names(self) -> str:
        return ",".join(redacted(url) for url in self._servers or self._running.config.nats.url)

    # -- the configuration ----------------------------------------------------------------------------------------------------

    def _take_over(self, new: Version) -> None:
        old, self._running = self._running, new
        config, peel_id = new
        renamed = peel_id != old.peel_id
        changes = compare(old.config, config, renamed=renamed)
        if changes.connection:
            log.info("connecting anew", peel=peel_id, server=self._server_names())
            self._connection.replace(config, deliver.farewell if renamed else None)
        elif changes.asking:
            self._connection.rescope(config)  # before templates are rendered anew by it
        self._reporting.apply(config, peel_id)
        self._publishing.apply(config, changes, peel_id)
        self._resolving.follow(config)
        if old.config.templates or config.templates:
            self._templates.follow(config, self._connection.basket)


def _ignore(*what: object) -> None:
    pass
