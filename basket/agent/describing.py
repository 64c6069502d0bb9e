"""This peel's facts in their bucket: written when they change, deleted when they are not to be published any more."""

from __future__ import annotations

from typing import Any, Callable, Mapping, Optional

from basket.agent import deliver
from basket.agent.connection import Connection
from basket.agent.faults import passing, reason
from basket.agent.retry import Backoff
from basket.agent.tasks import Activity, Tasks
from basket.agent.troubles import Troubles
from basket.agent.vitals import Vitals
from basket.agent.workers import Job
from basket.config import Config
from basket.logs import Log

log = Log("basket.agent")

FACTS = "facts"

AT_MOST = 3600.0
"""Seconds after which the facts are written even where only values have changed that always change."""


class Describing:
    """For the main thread. ``settled(FACTS, works)`` is called when they were published or cannot be, ``lost`` where the
    connection or the server could not do it, ``withdrawn`` once they are deleted."""

    def __init__(
        self,
        tasks: Tasks,
        troubles: Troubles,
        backoff: Backoff,
        clock: Callable[[], float],
        connection: Connection,
        vitals: Vitals,
        *,
        settled: Callable[[str, bool], None],
        lost: Callable[[BaseException], None],
        withdrawn: Callable[[], None],
    ) -> None:
        self._tasks = tasks
        self._troubles = troubles
        self._backoff = backoff
        self._clock = clock
        self._connection = connection
        self._vitals = vitals
        self._settled = settled
        self._lost = lost
        self._told_withdrawn = withdrawn
        self._custom: Mapping[str, Any] = {}
        self._interval = 0.0
        self._wanted = False
        self._publishes = False  # what the run under way does
        self._written = 0.0
        self.there = False
        """Whether they are in the bucket, or may be."""
        self.known: Optional[bytes] = None
        """What is stable in the facts as they were written; None where that is not known, or they are not published."""

    def follow(self, config: Config, *, published: bool = False) -> None:
        """Publish them as ``config`` says, or delete them where they are published now; ``published``: by an earlier agent."""
        self._custom = config.facts.custom
        self._interval = config.facts.interval
        before, self._wanted = self._wanted or published, config.facts.publish
        self.there = self.there or before or self._wanted
        if self._wanted or before:
            # Publishing and deleting are one task, so that never both are under way, and the later wish wins.
            self._tasks.repeat(FACTS, Activity(self._prepare, self._done), self._interval)
        if before != self._wanted:
            self.again()

    def again(self) -> None:
        """What the bucket holds is not believed any more."""
        self.known = None
        self._tasks.hurry(FACTS)

    def hurry(self) -> None:
        """They may have changed."""
        self._tasks.hurry(FACTS)

    def connected(self) -> None:
        """There is a connection, for the first time or again."""
        if self.known is None:
            self._tasks.hurry(FACTS)

    def _prepare(self) -> Optional[Callable[[], object]]:
        basket = self._connection.basket
        if basket is None:
            return None  # due again as soon as there is one
        self._publishes = self._wanted
        if not self._wanted:
            return lambda: (basket, basket.delete_facts())
        old = self._clock() - self._written >= AT_MOST
        known, custom = None if old else self.known, self._custom
        return lambda: (basket, deliver.publish_facts(basket, custom, known))

    def _done(self, job: Job) -> None:
        if self._publishes != self._wanted:
            return  # it was switched meanwhile, and is due again at once
        if job.error is None and job.value[0] is not self._connection.basket:
            self._tasks.hurry(FACTS)
        elif self._wanted:
            self._published(job)
        else:
            self._deleted(job)

    def _published(self, job: Job) -> None:
        error = job.error
        if error is None:
            facts = job.value[1]
            if facts.revision is not None:
                self.known, self._written = facts.stable, self._clock()
                log.debug("facts written", revision=facts.revision)
                self._connection.rescope()
            self._vitals.described()
            self._troubles.worked(FACTS, log.info, "facts are published again")
            self._settled(FACTS, True)
            return
        if passing(error):
            self.known = None
            self._lost(error)
            self._tasks.hurry(FACTS, self._backoff.next())
        else:
            self._settled(FACTS, False)
        self._troubles.hindered(FACTS, error, log.warning, "facts cannot be published")

    def _deleted(self, job: Job) -> None:
        error = job.error
        if error is not None and passing(error):
            self._troubles.hindered(FACTS, error, log.warning, "facts cannot be deleted now, trying on")
            self._tasks.hurry(FACTS, self._backoff.next())
            return
        self._troubles.forget(FACTS)
        self._tasks.drop(FACTS)
        if error is None:
            self.there = False
            log.info("facts deleted, they are not published any more")
            self._told_withdrawn()
        else:
            log.warning("facts cannot be deleted, others still select this peel by them", reason=reason(error))
