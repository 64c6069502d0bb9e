"""What the peel publishes: functions on their intervals, facts, heartbeats; and that NATS really holds what it should.

Values are computed by schedule whether there is a connection or not; the newest of each waits for it in the outbox.
The memory of what was written is not believed for ever: somebody may delete a key, or wipe the whole store. So it is
compared, by revision, with what the bucket holds: after each reconnection, and from time to time.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, Dict, Mapping, Optional, Sequence

from basket.agent import deliver
from basket.agent.changes import Changes
from basket.agent.connection import Connection
from basket.agent.outbox import Outbox
from basket.agent.retry import Backoff
from basket.agent.tasks import Activity, Tasks
from basket.agent.troubles import Troubles
from basket.agent.vitals import Vitals
from basket.agent.workers import Job
from basket.config import Config, Scheduled
from basket.errors import BasketError, ClosedError, FunctionError, UnreachableError
from basket.logs import Log

log = Log("basket.agent")

FACTS, HEARTBEAT, LOOK, DELIVER = "facts", "heartbeat", "look", "deliver"
_FUNCTION = "function "

FACTS_AT_MOST = 3600.0
"""Seconds after which the facts are written even where only values have changed that always change."""

LOOK_LEAST, LOOK_MOST = 10.0, 120.0
"""Seconds between two looks at what the bucket really holds: the shortest interval of a function, within these bounds."""


class Publishing:
    """``settled(name, works)`` is called when a function (or ``facts``) was published or cannot be."""

    def __init__(
        self,
        tasks: Tasks,
        troubles: Troubles,
        backoff: Backoff,
        clock: Callable[[], float],
        *,
        vitals: Optional[Vitals] = None,
        settled: Callable[[str, bool], None],
        lost: Callable[[BaseException], None],
    ) -> None:
        self._tasks = tasks
        self._troubles = troubles
        self._backoff = backoff
        self._clock = clock
        self._vitals = vitals or Vitals()
        self._settled = settled
        self._lost = lost
        self._outbox = Outbox()
        self._functions: Dict[str, Scheduled] = {}
        self._custom: Mapping[str, Any] = {}
        self._facts_known: Optional[bytes] = None
        self._facts_written = 0.0
        self.connection: Connection

    # -- what there is to do --------------------------------------------------------------------------------------------

    def start(self, config: Config, *, once: bool) -> None:
        """Everything at once, then each at its interval."""
        self._custom = config.facts.custom
        for scheduled in config.basket.functions:
            self._define(scheduled)
        self._plan_facts(config)
        if not once:
            self._plan_heartbeat(config)
            self._plan_look()

    def apply(self, config: Config, changes: Changes) -> None:
        """Take over what a new version of the configuration changed, and nothing else."""
        self._custom = config.facts.custom
        for name in changes.removed:
            self._undefine(name)
            self._outbox.retire(name)
            log.info("function retired", function=name)
        for scheduled in changes.redefined:
            self._undefine(scheduled.function.name)
        for scheduled in (*changes.added, *changes.redefined, *changes.rescheduled):
            self._define(scheduled)
        if changes.facts:
            self._plan_facts(config)
        if changes.custom:
            self._tasks.hurry(FACTS)
            for name, scheduled in self._functions.items():
                if scheduled.function.kind == "fact":
                    self._tasks.hurry(_FUNCTION + name)
        if changes.heartbeat:
            self._plan_heartbeat(config)
        if changes.added or changes.removed or changes.redefined or changes.rescheduled:
            self._plan_look()
        if changes.connection:
            self._outbox.recall()
            self._outbox.forget_all()
            self._facts_known = None
            self._tasks.hurry(FACTS)
        self.push()

    def connected(self) -> None:
        """There is a connection, for the first time or again."""
        self._backoff.reset()
        if self._facts_known is None:
            self._tasks.hurry(FACTS)
        self._tasks.hurry(HEARTBEAT)
        self._tasks.hurry(LOOK)
        self._tasks.hurry(DELIVER)  # where it waits for its next attempt
        self.push()

    def _define(self, scheduled: Scheduled) -> None:
        name = scheduled.function.name
        self._functions[name] = scheduled
        activity = Activity(partial(self._computing, name), partial(self._computed, name), timeout=scheduled.timeout)
        self._tasks.repeat(_FUNCTION + name, activity, scheduled.interval)

    def _undefine(self, name: str) -> None:
        self._functions.pop(name, None)
        self._tasks.drop(_FUNCTION + name)
        self._troubles.forget(_FUNCTION + name)

    def _plan_facts(self, config: Config) -> None:
        if config.facts.publish:
            activity = Activity(self._describing, self._described)
            self._tasks.repeat(FACTS, activity, config.facts.interval)
        else:
            self._tasks.drop(FACTS)
            self._facts_known = None

    def _plan_heartbeat(self, config: Config) -> None:
        if config.agent.heartbeat > 0:
            # Urgent: however busy the functions keep this peel, it is alive.
            activity = Activity(self._beating, self._beaten, urgent=True)
            self._tasks.repeat(HEARTBEAT, activity, config.agent.heartbeat)
        else:
            self._tasks.drop(HEARTBEAT)

    def _plan_look(self) -> None:
        shortest = min((s.interval for s in self._functions.values()), default=LOOK_MOST)
        activity = Activity(self._looking, self._looked, urgent=True)
        self._tasks.repeat(LOOK, activity, min(LOOK_MOST, max(LOOK_LEAST, shortest)))

    # -- functions ------------------------------------------------------------------------------------------------------

    def _computing(self, name: str) -> Callable[[], object]:
        return partial(deliver.compute, self._functions[name], self._custom)

    def _computed(self, name: str, job: Job) -> None:
        self._vitals.ran(name, self._clock() - job.started)
        if job.abandoned:
            seconds = self._functions[name].timeout
            self._failed(name, f"no result after {seconds:g} s, and it cannot be ended; it is left alone until it returns")
        elif job.error is not None:
            self._failed(name, reason(job.error))
        elif self._outbox.offer(name, job.value):
            self.push()
        else:
            self._works(name)

    def _failed(self, name: str, why: str) -> None:
        told = self._troubles.failed(_FUNCTION + name, why, log.warning, "function failed", function=name)
        if not told:
            log.debug("function failed again", function=name)
        self._vitals.failed(name, why)
        self._settled(name, False)

    def _works(self, name: str) -> None:
        self._vitals.worked(name)
        self._troubles.worked(_FUNCTION + name, log.info, "function works again", function=name)
        self._settled(name, True)

    # -- deliveries -----------------------------------------------------------------------------------------------------

    def push(self) -> None:
        """Deliver what waits, unless a delivery is under way or the last one has just failed."""
        if self.connection.basket is not None and DELIVER not in self._tasks:
            self._deliver_in(0.0)

    def _deliver_in(self, delay: float) -> None:
        self._tasks.once(DELIVER, Activity(self._delivering, self._delivered, urgent=True), delay)

    def _delivering(self) -> Optional[Callable[[], object]]:
        basket = self.connection.basket
        delivery = None if basket is None else self._outbox.take()
        if basket is None or delivery is None:
            return None
        return lambda: (basket, delivery, deliver.deliver(basket, delivery))

    def _delivered(self, job: Job) -> None:
        if job.error is not None:  # deliver() returns every failure; this is a defect, and nothing may be lost over it
            log.error("unexpected error, please report it", error=reason(job.error))
            self._outbox.recall()
            self._deliver_in(self._backoff.next())
            return
        basket, delivery, done = job.value
        again = frozenset(name for name, error in done.failed.items() if deliver.passing(error))
        self._outbox.settle(delivery, done.revisions, again)
        self._vitals.delivered(len(done.revisions), len(done.failed), len(self._outbox))
        if basket is not self.connection.basket:
            self.push()  # it was replaced meanwhile: what it failed at is the new one's to do
            return
        for name in done.revisions:
            if name in self._functions:
                self._works(name)
        for name, error in done.failed.items():
            if name in again:
                continue
            if name in self._functions:
                self._failed(name, reason(error))
            else:
                log.warning("key of a retired function cannot be deleted", function=name, reason=reason(error))
        if done.revisions or done.deleted:
            log.debug("written", functions=",".join(done.revisions), deleted=",".join(sorted(done.deleted)) or None)
        if again:
            self._trouble(done.failed[min(again)])
            self._deliver_in(self._backoff.next())
        else:
            self._troubles.worked("nats", log.info, "values are written again")
            self._backoff.reset()
            self.push()  # what was offered meanwhile

    def _trouble(self, error: BasketError) -> None:
        """The connection or the server cannot do it now."""
        if isinstance(error, UnreachableError):
            log.debug("not connected, values wait", reason=error)  # the connection itself has told of that
        else:
            self._troubles.failed("nats", reason(error), log.warning, "cannot write now, trying on", key=type(error).__name__)
        self._lost(error)
        if isinstance(error, ClosedError):  # not by us
            self.connection.abandon()
            self.connection.connect(self._backoff.next())

    # -- facts and heartbeats ---------------------------------------------------------------------------------------------

    def _describing(self) -> Optional[Callable[[], object]]:
        if self.connection.basket is None:
            return None  # due again as soon as there is one
        old = self._clock() - self._facts_written >= FACTS_AT_MOST
        basket, known, custom = self.connection.basket, None if old else self._facts_known, self._custom
        return lambda: (basket, deliver.publish_facts(basket, custom, known))

    def _described(self, job: Job) -> None:
        error = job.error
        if error is None:
            basket, facts = job.value
            if basket is not self.connection.basket:
                self._tasks.hurry(FACTS)
                return
            if facts.revision is not None:
                self._facts_known, self._facts_written = facts.stable, self._clock()
                log.debug("facts written", revision=facts.revision)
                self.connection.rescope()
            self._vitals.described()
            self._troubles.worked(FACTS, log.info, "facts are published again")
            self._settled(FACTS, True)
            return
        if deliver.passing(error):
            self._facts_known = None
            self._lost(error)
            self._tasks.hurry(FACTS, self._backoff.next())
        else:
            self._settled(FACTS, False)
        if not isinstance(error, (UnreachableError, ClosedError)):
            kind = type(error).__name__
            self._troubles.failed(FACTS, reason(error), log.warning, "facts cannot be published", key=kind)

    def _beating(self) -> Optional[Callable[[], object]]:
        return None if self.connection.basket is None else self.connection.basket.beat

    def _beaten(self, job: Job) -> None:
        if job.error is None:
            self._vitals.beat()
            self._troubles.worked(HEARTBEAT, log.info, "heartbeats are written again")
        elif not isinstance(job.error, (UnreachableError, ClosedError)):
            kind = type(job.error).__name__
            self._troubles.failed(HEARTBEAT, reason(job.error), log.warning, "heartbeat cannot be written", key=kind)

    # -- is it still there? -----------------------------------------------------------------------------------------------

    def _looking(self) -> Optional[Callable[[], object]]:
        basket, held, facts = self.connection.basket, self._outbox.held(), self._facts_known
        if basket is None or not (held or facts):
            return None
        return lambda: (basket, held, facts, deliver.look(basket, held, facts=facts is not None))

    def _looked(self, job: Job) -> None:
        if job.error is not None:
            if not isinstance(job.error, (UnreachableError, ClosedError)):
                kind = type(job.error).__name__
                self._troubles.failed(LOOK, reason(job.error), log.warning, "cannot compare with the bucket", key=kind)
            return
        self._troubles.worked(LOOK, log.debug, "compared with the bucket again")
        basket, known, facts, found = job.value
        if basket is not self.connection.basket:
            return
        now = self._outbox.held()
        gone = []
        for name, revision in known.items():
            # What was written while we looked is no news.
            if now.get(name) == revision and found.revisions.get(name) != revision and self._outbox.forget(name):
                gone.append(name)
        if gone:
            log.info("the bucket does not hold what was written, writing it again", functions=_some(gone))
            self.push()
        if found.facts is False and facts is self._facts_known:
            log.info("the bucket does not hold this peel's facts, writing them again")
            self._facts_known = None
            self._tasks.hurry(FACTS)


def reason(error: BaseException) -> str:
    """Why, in one line, for the log."""
    if isinstance(error, FunctionError):
        return error.reason
    text = str(error)
    if isinstance(error, BasketError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _some(names: Sequence[str]) -> str:
    return ",".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
