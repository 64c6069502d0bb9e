"""The look: whether the buckets still hold what this peel has written, by revision. What they do not is written again."""

from __future__ import annotations

from typing import Callable, List, Optional, Sequence

from basket.agent import deliver
from basket.agent.connection import Connection
from basket.agent.describing import Describing
from basket.agent.outbox import Outbox
from basket.agent.tasks import Activity, Tasks
from basket.agent.troubles import Troubles
from basket.agent.workers import Job
from basket.logs import Log

log = Log("basket.agent")

LOOK = "look"
_RIVAL = "rival"

LEAST, MOST = 10.0, 120.0
"""Seconds between two looks: the shortest interval of a function, within these bounds."""


class Comparing:
    """For the main thread. ``push`` is called when there is something to write again."""

    def __init__(
        self,
        tasks: Tasks,
        troubles: Troubles,
        connection: Connection,
        outbox: Outbox,
        describing: Describing,
        push: Callable[[], None],
    ) -> None:
        self._tasks = tasks
        self._troubles = troubles
        self._connection = connection
        self._outbox = outbox
        self._describing = describing
        self._push = push

    def follow(self, shortest: float) -> None:
        """Look as often as suits functions of which the most frequent has this interval, in seconds."""
        self._tasks.repeat(LOOK, Activity(self._prepare, self._done, urgent=True), min(MOST, max(LEAST, shortest)))

    def connected(self) -> None:
        """There is a connection, for the first time or again: what is behind it may have been wiped meanwhile."""
        self._tasks.hurry(LOOK)

    def anew(self) -> None:
        """Another server, or another id: a rival there is another one."""
        self._troubles.forget(_RIVAL)

    def _prepare(self) -> Optional[Callable[[], object]]:
        basket, held, facts = self._connection.basket, self._outbox.held(), self._describing.known
        if basket is None or not (held or facts):
            return None
        return lambda: (basket, held, facts, deliver.look(basket, held, facts=facts is not None))

    def _done(self, job: Job) -> None:
        if job.error is not None:
            self._troubles.hindered(LOOK, job.error, log.warning, "cannot compare with the bucket")
            return
        self._troubles.worked(LOOK, log.debug, "compared with the bucket again")
        basket, known, facts, found = job.value
        if basket is not self._connection.basket:
            return
        now = self._outbox.held()
        gone: List[str] = []
        foreign: List[str] = []
        for name, revision in known.items():
            there = found.revisions.get(name)
            # What was written while we looked is no news.
            if there == revision or now.get(name) != revision or not self._outbox.forget(name):
                continue
            # A lower revision is that of a store put back to an earlier state.
            (foreign if there is not None and there > revision else gone).append(name)
        if foreign:
            # Once only: two peels with one id find each other's values at every look, and now and then they do not.
            message = "somebody else writes as this peel: do two hosts share its id?"
            self._troubles.failed(_RIVAL, "it holds values that are not ours", log.warning, message, functions=_some(foreign))
            log.info("the bucket holds what somebody else wrote, writing ours again", functions=_some(foreign))
        if gone:
            log.info("the bucket does not hold what was written, writing it again", functions=_some(gone))
        if gone or foreign:
            self._push()
        if found.facts is False and facts is self._describing.known:
            log.info("the bucket does not hold this peel's facts, writing them again")
            self._describing.again()


def _some(names: Sequence[str]) -> str:
    return ",".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
