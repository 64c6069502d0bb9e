"""The agent's Basket: made in the background, tried again until it works, made anew when its settings change.

An outage after that is the Basket's own affair: it reconnects by itself and tells so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Optional, Sequence

from basket.agent.faults import passing
from basket.agent.retry import Backoff
from basket.agent.tasks import Activity, Tasks
from basket.agent.troubles import Troubles
from basket.agent.workers import Job
from basket.config import Config
from basket.errors import AuthError, BasketError
from basket.logs import Log

if TYPE_CHECKING:
    from basket.client import Basket

log = Log("basket.agent")

CONNECT = "connect"

SCOPE = "scope"


def open_basket(config: Config, servers: Sequence[str], peel_id: str) -> Basket:
    """Connect as ``config`` says, to ``servers`` where the command line named some. Blocks; errors of basket.connect."""
    import basket

    return basket.connect(list(servers) or None, config=config, peel_id=peel_id, timeout=config.nats.timeout)


class Connection:
    """``basket`` is None until there is one. ``up`` is called on the main thread with each new one."""

    def __init__(
        self,
        tasks: Tasks,
        troubles: Troubles,
        backoff: Backoff,
        config: Config,
        *,
        servers: Sequence[str],
        up: Callable[[Basket], None],
        refused: Callable[[BaseException], bool],
        opener: Callable[[Config, Sequence[str]], Basket],
    ) -> None:
        self.basket: Optional[Basket] = None
        self._tasks = tasks
        self._troubles = troubles
        self._backoff = backoff
        self._config = config
        self._servers = servers
        self._up = up
        self._refused = refused
        self._open = opener
        self._closing = 0
        self._version = 0

    def state(self) -> str:
        """As Basket's, and ``connecting`` while there is none. Any thread."""
        basket = self.basket
        return "connecting" if basket is None else basket.state

    def connect(self, delay: float = 0.0) -> None:
        """Try to connect, and go on trying."""
        self._tasks.once(CONNECT, Activity(self._prepare, self._done, urgent=True), delay)

    def replace(self, config: Config, farewell: Optional[Callable[[Basket], None]] = None) -> None:
        """Give up the present connection, if any, for one as ``config`` says; ``farewell`` uses it a last time, and may block."""
        self._config = config
        self._version += 1
        self._backoff.reset()
        self.abandon(farewell)
        self.connect()

    def rescope(self, config: Optional[Config] = None) -> None:
        """Queries from now on are as ``config`` says; without one, the scope is filled in from the facts of now. Where that
        cannot be done, it is told: a fact that the scope names may be gone, and come back."""
        self._config = config or self._config
        if self.basket is None:
            return
        from basket.connecting import filler

        try:
            now = self._config
            self.basket.rescope(now.basket.scope, now.nodegroups, filler(now.facts.custom))
        except BasketError as error:
            message = "the scope cannot be applied: queries fail, and watches stay as they were, until it can"
            self._troubles.failed(SCOPE, str(error), log.error, message)
        else:
            self._troubles.worked(SCOPE, log.info, "the scope is applied again")

    def abandon(self, farewell: Optional[Callable[[Basket], None]] = None) -> None:
        """Close the present connection in the background."""
        old, self.basket = self.basket, None
        if old is not None:
            self._close(old, farewell)

    def _close(self, old: Basket, farewell: Optional[Callable[[Basket], None]] = None) -> None:
        def close() -> None:
            try:
                if farewell is not None:
                    farewell(old)
            finally:
                old.close()

        self._closing += 1
        self._tasks.once(f"close {self._closing}", Activity(lambda: close, _ignore, urgent=True))

    def _prepare(self) -> Optional[Callable[[], object]]:
        config, version = self._config, self._version
        # What it was made with comes back with it: the settings may have changed meanwhile.
        return None if self.basket is not None else lambda: (config, version, self._open(config, self._servers))

    def _done(self, job: Job) -> None:
        if job.error is not None:
            if self._refused(job.error):
                return
            message = "cannot connect yet, trying on" if passing(job.error) else "cannot connect with these settings, trying on"
            self._troubles.failed("nats", str(job.error), log.warning, message)
            self.connect(self._backoff.next(refused=isinstance(job.error, AuthError)))
            return
        config, version, basket = job.value
        if version != self._version:
            self._close(basket)
            return  # another attempt has been asked for already
        self.basket = basket
        if config is not self._config:
            self.rescope()
        self._backoff.reset()
        self._troubles.worked("nats", log.info, "connected")
        self._up(basket)


def _ignore(job: Job) -> None:
    if job.error is not None:
        log.debug("closing a connection failed", error=job.error)
