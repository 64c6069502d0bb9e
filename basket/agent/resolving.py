"""Offering the target resolution service on the agent's connection, where the configuration says so.

It is begun by a worker, since fetching the facts of all peels may take a while, and begun again where that failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Optional

from basket.agent.retry import Backoff
from basket.agent.tasks import Activity, Tasks
from basket.agent.troubles import Troubles
from basket.agent.workers import Job
from basket.config import Config
from basket.errors import PermissionDeniedError
from basket.logs import Log

if TYPE_CHECKING:
    from basket.client import Basket

log = Log("basket.agent")

RESOLVER = "resolver"


class Resolving:
    """For the main thread. ``backoff`` says how long to wait after a failure."""

    def __init__(self, tasks: Tasks, troubles: Troubles, backoff: Backoff) -> None:
        self._tasks = tasks
        self._troubles = troubles
        self._backoff = backoff
        self._wanted = False
        self._basket: Optional[Basket] = None

    def use(self, basket: Basket) -> None:
        """There is a connection, the first or another one. Over its outages the service lives by itself."""
        self._basket = basket
        self._begin()

    def follow(self, config: Config) -> None:
        """Offer it, or leave it to others, as ``config`` says."""
        if config.agent.resolver != self._wanted:
            self._wanted = config.agent.resolver
            self._begin()

    def _begin(self, delay: float = 0.0) -> None:
        if self._basket is not None:
            self._tasks.once(RESOLVER, Activity(self._prepare, self._done), delay)

    def _prepare(self) -> Optional[Callable[[], object]]:
        basket, wanted = self._basket, self._wanted
        if basket is None:
            return None

        def work() -> object:
            (basket.serve_targets if wanted else basket.stop_serving_targets)()
            return basket, wanted

        return work

    def _done(self, job: Job) -> None:
        if job.error is not None:
            self._troubles.failed(RESOLVER, str(job.error), log.warning, "cannot answer target resolution requests, trying on")
            self._begin(self._backoff.next(refused=isinstance(job.error, PermissionDeniedError)))
            return
        self._backoff.reset()
        if self._wanted:
            self._troubles.worked(RESOLVER, log.info, "answering target resolution requests")
