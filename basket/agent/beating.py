"""The heartbeat: while it is written, this peel counts as online."""

from __future__ import annotations

from typing import Callable, Optional

from basket.agent.connection import Connection
from basket.agent.tasks import Activity, Tasks
from basket.agent.troubles import Troubles
from basket.agent.vitals import Vitals
from basket.agent.workers import Job
from basket.config import Config
from basket.logs import Log

log = Log("basket.agent")

HEARTBEAT = "heartbeat"


class Beating:
    """For the main thread."""

    def __init__(self, tasks: Tasks, troubles: Troubles, connection: Connection, vitals: Vitals) -> None:
        self._tasks = tasks
        self._troubles = troubles
        self._connection = connection
        self._vitals = vitals

    def follow(self, config: Config) -> None:
        """Beat as often as ``config`` says, which may be never."""
        if config.agent.heartbeat > 0:
            # Urgent: however busy the functions keep this peel, it is alive.
            self._tasks.repeat(HEARTBEAT, Activity(self._prepare, self._done, urgent=True), config.agent.heartbeat)
        else:
            self._tasks.drop(HEARTBEAT)

    def connected(self) -> None:
        """There is a connection, for the first time or again."""
        self._tasks.hurry(HEARTBEAT)

    def _prepare(self) -> Optional[Callable[[], object]]:
        return None if self._connection.basket is None else self._connection.basket.beat

    def _done(self, job: Job) -> None:
        if job.error is None:
            self._vitals.beat()
            self._troubles.worked(HEARTBEAT, log.info, "heartbeats are written again")
        else:
            self._troubles.hindered(HEARTBEAT, job.error, log.warning, "heartbeat cannot be written")
